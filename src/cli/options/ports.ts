import { isIP } from 'node:net';
import type { PortBinding } from '../../api/network.ts';
import { cutPair, parseCsv } from './csv.ts';

export interface PublishedPorts {
  readonly exposed: Record<string, Record<string, never>>;
  readonly bindings: Record<string, PortBinding[]>;
}

/** What `-p` and `--expose` ask for. Throws an Error in docker's words. */
export function parsePorts(publish: readonly string[], expose: readonly string[]): PublishedPorts {
  const exposed: PublishedPorts['exposed'] = {};
  const bindings: PublishedPorts['bindings'] = {};
  for (const given of publish) {
    for (const { port, binding } of parsePublish(given.includes('=') ? shortForm(given) : given)) {
      exposed[port] = {};
      (bindings[port] ??= []).push(binding);
    }
  }
  for (const given of expose) {
    if (given.includes(':')) throw new Error(`invalid port format for --expose: ${given}`);
    const { range, protocol } = splitProtocol(given);
    const ports = parseRange(range);
    if (!ports) throw new Error(`invalid range format for --expose: ${given}, error: ${rangeComplaint(range)}`);
    for (let port = ports.from; port <= ports.to; port++) exposed[`${port}/${protocol}`] ??= {};
  }
  return { exposed, bindings };
}

/** `[[ip:][hostPort[-end]]:]containerPort[-end][/protocol]` */
export function parsePublish(given: string): { port: string; binding: PortBinding }[] {
  const { ip, host, container } = splitAddress(given);
  const { range, protocol } = splitProtocol(container);
  if (range === '') throw new Error(`no port specified: ${given}<empty>`);
  if (ip !== '' && isIP(ip) === 0) throw new Error(`invalid IP address: ${ip}`);
  const ports = parseRange(range);
  if (!ports) throw new Error(`invalid containerPort: ${range}`);
  const hostPorts = host === '' ? undefined : parseRange(host);
  if (host !== '' && !hostPorts) throw new Error(`invalid hostPort: ${host}`);
  const many = ports.to > ports.from;
  if (hostPorts && hostPorts.to - hostPorts.from !== ports.to - ports.from && many) {
    throw new Error(`invalid ranges specified for container and host Ports: ${range} and ${host}`);
  }
  if (!['tcp', 'udp', 'sctp'].includes(protocol)) throw new Error(`invalid proto: ${protocol}`);
  const found = [];
  for (let port = ports.from; port <= ports.to; port++) {
    const hostPort = !hostPorts
      ? ''
      : many
        ? String(hostPorts.from + port - ports.from)
        : hostPorts.to > hostPorts.from
          ? host
          : String(hostPorts.from);
    found.push({ port: `${port}/${protocol}`, binding: { HostIp: ip, HostPort: hostPort } });
  }
  return found;
}

function splitAddress(given: string): { ip: string; host: string; container: string } {
  const bracket = /^\[([^\]]*)\]:(.*)$/.exec(given);
  const parts = (bracket ? bracket[2]! : given).split(':');
  if (bracket)
    return { ip: bracket[1]!, host: parts.length > 1 ? parts.slice(0, -1).join(':') : '', container: parts.at(-1)! };
  if (parts.length === 1) return { ip: '', host: '', container: given };
  if (parts.length === 2) return { ip: '', host: parts[0]!, container: parts[1]! };
  return { ip: parts.slice(0, -2).join(':'), host: parts.at(-2)!, container: parts.at(-1)! };
}

function splitProtocol(text: string): { range: string; protocol: string } {
  const cut = text.indexOf('/');
  const protocol = cut < 0 ? '' : text.slice(cut + 1).toLowerCase();
  return { range: cut < 0 ? text : text.slice(0, cut), protocol: protocol === '' ? 'tcp' : protocol };
}

function parseRange(text: string): { from: number; to: number } | undefined {
  const match = /^(\d+)(?:-(\d+))?$/.exec(text);
  if (!match) return undefined;
  const from = Number(match[1]);
  const to = Number(match[2] ?? match[1]);
  return from <= to && to <= 65535 ? { from, to } : undefined;
}

function rangeComplaint(text: string): string {
  if (text === '') return 'empty string specified for ports';
  return /^\d+-\d+$/.test(text)
    ? `invalid range specified for port: ${text}`
    : `strconv.ParseUint: parsing ${JSON.stringify(text.split('-')[0])}: invalid syntax`;
}

/** `target=80,published=8080,protocol=tcp,mode=host` in the short form. */
function shortForm(given: string): string {
  let target = '';
  let published = '';
  let protocol = 'tcp';
  for (const field of parseCsv(given)) {
    const [key, value] = cutPair(field) ?? [field, undefined];
    if (value === undefined) throw new Error(`invalid field: ${field}`);
    switch (key) {
      case 'target':
        target = value;
        break;
      case 'published':
        published = value;
        break;
      case 'protocol':
        if (!['tcp', 'udp', 'sctp'].includes(value)) throw new Error(`invalid protocol value '${value}'`);
        protocol = value;
        break;
      case 'mode':
        if (!['host', 'ingress'].includes(value))
          throw new Error(`invalid publish mode value (${value}): must be either 'ingress' or 'host'`);
        break;
      default:
        throw new Error(`invalid field key: ${key}`);
    }
  }
  if (target === '') throw new Error(`missing mandatory field '"target"'`.replaceAll(`'`, ''));
  return `${published === '' ? '' : `${published}:`}${target}/${protocol}`;
}
