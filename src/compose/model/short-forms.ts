import { EngineError } from '../../base/errors.ts';
import { dict, type Dict, type Value, textOf } from './value.ts';

/** `[[ip:]published:]target[/protocol]` with ranges: one entry a target port. Throws `invalid-argument`. */
export function portsOf(text: string): Dict[] {
  const match = /^(?:(?:\[([^\]]*)\]|([^:[\]]+)):)?(?:([\d-]*):)?([\d-]+)(?:\/([a-z]+))?$/i.exec(text);
  const two = /^([\d-]*):([\d-]+)(?:\/([a-z]+))?$/i.exec(text);
  const [ip, published, target, protocol] = two
    ? [undefined, two[1], two[2]!, two[3]]
    : match
      ? [match[1] ?? match[2], match[3], match[4]!, match[5]]
      : [undefined, undefined, '', undefined];
  const to = range(target);
  const from = published ? range(published) : undefined;
  if (!to) throw new EngineError('invalid-argument', `invalid containerPort: ${text}`);
  if (published && !from) throw new EngineError('invalid-argument', `invalid hostPort: ${published}`);
  const count = to[1] - to[0];
  if (from && count > 0 && from[1] - from[0] !== count)
    throw new EngineError(
      'invalid-argument',
      `invalid ranges specified for container and host Ports: ${target} and ${published}`,
    );
  const proto = (protocol ?? 'tcp').toLowerCase();
  if (!['tcp', 'udp', 'sctp'].includes(proto)) throw new EngineError('invalid-argument', `invalid proto: ${proto}`);
  return Array.from({ length: count + 1 }, (_, i) =>
    dict([
      ['mode', 'ingress'],
      ['host_ip', ip],
      ['target', to[0] + i],
      [
        'published',
        from === undefined
          ? undefined
          : count > 0 || from[0] === from[1]
            ? String(from[0] + i)
            : `${from[0]}-${from[1]}`,
      ],
      ['protocol', proto],
    ]),
  );
}

function range(text: string): [number, number] | undefined {
  const match = /^(\d+)(?:-(\d+))?$/.exec(text);
  if (!match) return undefined;
  const [from, to] = [Number(match[1]), Number(match[2] ?? match[1])];
  return from <= to && to <= 65535 ? [from, to] : undefined;
}

/** `[source:]target[:options]`. Throws `invalid-argument`. */
export function volumeOf(text: string): Dict {
  const parts = text.split(':');
  if (text === '' || parts.some((part) => part === '') || parts.length > 3)
    throw new EngineError('invalid-argument', `invalid spec: ${text}: empty section between colons`);
  const [source, target] = parts.length === 1 ? [undefined, parts[0]!] : [parts[0]!, parts[1]!];
  const out = dict();
  const bind = source !== undefined && /^[./~]/.test(source);
  out['type'] = bind ? 'bind' : 'volume';
  if (source !== undefined) out['source'] = source;
  out['target'] = target;
  const inner = dict(bind ? [['create_host_path', true]] : []);
  for (const option of parts[2]?.split(',') ?? []) {
    if (option === 'ro') out['read_only'] = true;
    else if (option === 'nocopy') inner['nocopy'] = true;
    else if (option === 'z' || option === 'Z') inner['selinux'] = option;
    else if (['rprivate', 'private', 'rshared', 'shared', 'rslave', 'slave'].includes(option))
      inner['propagation'] = option;
    else if (['consistent', 'cached', 'delegated'].includes(option)) out['consistency'] = option;
    else if (option !== 'rw')
      throw new EngineError('invalid-argument', `invalid spec: ${text}: unknown option ${JSON.stringify(option)}`);
  }
  out[bind ? 'bind' : 'volume'] = inner;
  return out;
}

/** `source[:target[:permissions]]`, or a CDI name as it stands. */
export function deviceOf(text: string): Dict {
  const [source, target, permissions, more] = text.split(':');
  if (more !== undefined || source === '')
    throw new EngineError('invalid-argument', `confusing device mapping, please use long syntax: ${text}`);
  return dict([
    ['source', source!],
    ['target', target ?? source!],
    ['permissions', permissions ?? 'rwm'],
  ]);
}

/** `KEY=value` lists as a mapping; a key alone gets `alone`. */
export function pairsOf(value: Value, alone: Value): Dict {
  if (value === null) return dict();
  if (!Array.isArray(value)) return value as Dict;
  const out = dict();
  for (const item of value) {
    const text = textOf(item);
    const cut = text.indexOf('=');
    out[cut < 0 ? text : text.slice(0, cut)] = cut < 0 ? alone : text.slice(cut + 1);
  }
  return out;
}
