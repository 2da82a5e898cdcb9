import { createHash } from 'node:crypto';
import { canonicalService } from './canonical.ts';
import { asDict, clone, dict, type Dict, isDict, type Value } from './value.ts';

/**
 * The fingerprint of a service's configuration, as Docker's Compose computes it: what only says how an image is made,
 * how many containers there are, or in which order, does not count. A container whose label differs is made anew.
 */
export function serviceHash(service: Dict): string {
  const own = clone(service) as Dict;
  for (const key of ['build', 'pull_policy', 'scale', 'depends_on', 'profiles']) delete own[key];
  if (isDict(own['deploy'])) delete own['deploy']['replicas'];
  return createHash('sha256')
    .update(goJson(wireForm(own)))
    .digest('hex');
}

/** The fingerprint of a network's or volume's configuration, as Docker's Compose labels it. */
export function resourceHash(kind: 'network' | 'volume', resource: Dict): string {
  const given = dict(Object.entries(resource).filter(([key]) => !key.startsWith('x-')));
  const order =
    kind === 'network'
      ? [
          'name',
          'driver',
          'driver_opts',
          'ipam',
          'external',
          'internal',
          'attachable',
          'labels',
          'enable_ipv4',
          'enable_ipv6',
        ]
      : ['name', 'driver', 'driver_opts', 'external', 'labels'];
  if (kind === 'network')
    given['ipam'] = dict(Object.entries(asDict(given['ipam'])).filter(([key]) => key !== 'options'));
  else given['driver'] ??= 'local';
  return createHash('sha256')
    .update(
      goJson(
        dict(order.filter((key) => given[key] !== undefined && given[key] !== false).map((key) => [key, given[key]!])),
      ),
    )
    .digest('hex');
}

/** The document of Docker's own JSON: its always present fields, without extensions. */
export function wireForm(service: Dict): Dict {
  const hasDeploy = isDict(service['deploy']);
  const given = dict(Object.entries(service).filter(([, value]) => value !== null));
  const empty = given['command'] ?? null;
  given['command'] = empty;
  given['entrypoint'] ??= null;
  const ordered = dict();
  // Null would be left out by the order of keys, and stands in Docker's document.
  const marked = dict(Object.entries(given).map(([key, value]) => [key, value === null ? 'null' : value]));
  // So would an empty `deploy`, that Docker's document gives two fields.
  const emptyDeploy = hasDeploy && Object.keys(service['deploy'] as Dict).length === 0;
  if (emptyDeploy) marked['deploy'] = dict([['mode', 'none']]);
  for (const [key, value] of Object.entries(canonicalService(marked))) {
    if (key.startsWith('x-')) continue;
    ordered[key] = given[key] === null ? null : withoutExtensions(value);
  }
  if (hasDeploy) {
    const deploy = isDict(ordered['deploy']) && !emptyDeploy ? ordered['deploy'] : dict();
    const { endpoint_mode: mode, ...rest } = deploy;
    const resources = rest['resources'] ?? dict();
    const order = [
      'mode',
      'replicas',
      'labels',
      'update_config',
      'rollback_config',
      'resources',
      'restart_policy',
      'placement',
    ];
    const full: Dict = { ...rest, resources, placement: rest['placement'] ?? dict() };
    ordered['deploy'] = dict([
      ...order.filter((key) => full[key] !== undefined).map((key): [string, Value] => [key, full[key]!]),
      ['endpoint_mode', mode],
    ]);
  }
  // A file that is asked for in the short form is written in it.
  if (Array.isArray(ordered['env_file']))
    ordered['env_file'] = ordered['env_file'].map((file) =>
      isDict(file) && file['required'] !== false && file['format'] === undefined ? file['path']! : file,
    );
  const block = ordered['blkio_config'];
  if (isDict(block))
    for (const devices of Object.values(block))
      if (Array.isArray(devices)) devices.splice(0, devices.length, ...devices.map((item) => capitalized(item)));
  for (const limit of Object.values(isDict(ordered['ulimits']) ? ordered['ulimits'] : dict()))
    if (isDict(limit)) for (const key of ['soft', 'hard']) if (limit[key] === 0) delete limit[key];
  for (const mount of Array.isArray(ordered['volumes']) ? ordered['volumes'] : []) {
    const bind = asDict(mount)['bind'];
    if (isDict(bind) && bind['create_host_path'] === false) delete bind['create_host_path'];
  }
  const develop = ordered['develop'];
  if (isDict(develop) && Array.isArray(develop['watch']))
    for (const rule of develop['watch']) if (isDict(rule)) withExec(rule);
  return ordered;
}

/** Docker's block devices have no names of their own for JSON. */
function capitalized(item: Value): Value {
  return isDict(item)
    ? dict(Object.entries(item).map(([key, value]) => [key[0]!.toUpperCase() + key.slice(1), value]))
    : item;
}

/** Docker writes a rule's `exec` always, in its place before the patterns. */
function withExec(rule: Dict): void {
  const exec = isDict(rule['exec'])
    ? dict([['command', rule['exec']['command'] ?? null], ...Object.entries(rule['exec'])])
    : dict([['command', null]]);
  const tail = ['include', 'ignore', 'initial_sync'].map((key) => [key, rule[key]] as const);
  for (const key of ['exec', 'include', 'ignore', 'initial_sync']) delete rule[key];
  rule['exec'] = exec;
  for (const [key, value] of tail) if (value !== undefined) rule[key] = value;
}

function withoutExtensions(value: Value): Value {
  if (Array.isArray(value)) return value.map(withoutExtensions);
  return isDict(value)
    ? dict(
        Object.entries(value)
          .filter(([key]) => !key.startsWith('x-'))
          .map(([key, item]) => [key, withoutExtensions(item)]),
      )
    : value;
}

/** Go's `encoding/json` writes these as escapes. */
export function goJson(value: Value, indent?: number): string {
  return JSON.stringify(value, undefined, indent).replace(
    /[<>&\u2028\u2029]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
