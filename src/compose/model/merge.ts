import { pairsOf } from './short-forms.ts';
import { asText, clone, dict, type Dict, isDict, textOf, type Value } from './value.ts';

/** What may be a list as well as a map, and what a name alone means in it. */
const PAIRS: ReadonlyMap<string, Value> = new Map<string, Value>([
  ['environment', null],
  ['labels', ''],
  ['annotations', ''],
  ['sysctls', ''],
  ['storage_opt', ''],
  ['build.args', null],
  ['build.labels', ''],
  ['build.additional_contexts', ''],
  ['deploy.labels', ''],
]);

/** What may be one word as well as a list of them. */
const LISTS: ReadonlySet<string> = new Set(['dns', 'dns_search', 'dns_opt', 'tmpfs', 'env_file', 'label_file']);

/** A form in which two can be merged: of files that are not interpolated each has its own. */
function mergeable(value: Value, rule: string): Value {
  if (LISTS.has(rule)) return Array.isArray(value) ? value : [value];
  if (!Array.isArray(value)) return value;
  const alone = PAIRS.get(rule);
  if (alone !== undefined) return pairsOf(value, alone);
  if (rule === 'depends_on') return dict(value.map((name) => [textOf(name), dict([['condition', 'service_started']])]));
  return value;
}

/** Merges what a later file (or an extending service) says over `base`. Neither is changed. */
export function merge(below: Value | undefined, above: Value | undefined, path: readonly string[] = []): Value {
  if (above === undefined) return clone(below ?? null);
  if (below === undefined || below === null || (above === null && !isDict(below) && !Array.isArray(below)))
    return clone(above);
  if (above === null) return clone(below);
  const rule = path[0] === 'services' && path.length > 2 ? path.slice(2).join('.') : '';
  const [base, over] = [mergeable(below, rule), mergeable(above, rule)];
  if (REPLACED.has(rule)) return clone(over);
  if (rule === 'logging' && isDict(base) && isDict(over)) {
    if (over['driver'] !== undefined && base['driver'] !== undefined && over['driver'] !== base['driver'])
      return clone(over);
  }
  if (isDict(base) && isDict(over)) {
    if (path.length === 5 && path[2] === 'ulimits') return clone(over);
    const out = dict();
    for (const [key, value] of Object.entries(base))
      out[key] = key in over ? merge(value, over[key], [...path, key]) : clone(value);
    for (const [key, value] of Object.entries(over)) if (!(key in base)) out[key] = clone(value);
    return out;
  }
  if (Array.isArray(base) && Array.isArray(over)) return unique([...base, ...over].map(clone), keyOf(rule, path));
  return clone(over);
}

/** Lists of a service in which the later of two items for one thing stands for both. */
export const UNIQUE: ReadonlySet<string> = new Set(
  [
    'cap_add',
    'cap_drop',
    'configs',
    'devices',
    'dns',
    'dns_opt',
    'dns_search',
    'env_file',
    'expose',
    'links',
    'ports',
  ].concat(['secrets', 'tmpfs', 'volumes']),
);

/** Leaves every thing once in a service's lists, in long form. Changes the service. */
export function deduplicate(service: Dict): void {
  for (const key of UNIQUE) {
    const list = service[key];
    if (Array.isArray(list)) service[key] = unique(list, keyOf(key, ['services', '', key]));
  }
}

/** Takes out what `!reset` and `!override` of a later file void. */
export function remove(tree: Dict, path: readonly string[]): void {
  let at: Value | undefined = tree;
  for (const key of path.slice(0, -1)) {
    at = isDict(at) ? at[key] : Array.isArray(at) ? at[Number(key)] : undefined;
    if (at === undefined) return;
  }
  const last = path.at(-1)!;
  if (isDict(at)) delete at[last];
}

const REPLACED = new Set(['command', 'entrypoint', 'healthcheck.test']);

type KeyOf = (item: Value) => string | undefined;

/** Undefined: what is in both lists stands twice. */
function keyOf(rule: string, path: readonly string[]): KeyOf | undefined {
  switch (rule) {
    case 'ports':
      return field((item) => [item['host_ip'], item['published'], item['target'], item['protocol'] ?? 'tcp']);
    case 'volumes':
    case 'devices':
      return field((item) => [item['target']]);
    case 'secrets':
    case 'configs':
      return field((item) => [item['target'] ?? item['source']]);
    case 'env_file':
      return field((item) => [item['path']]);
    case 'deploy.resources.reservations.devices':
    case 'deploy.resources.reservations.generic_resources':
    case 'gpus':
    case 'develop.watch':
    case 'pre_start':
    case 'post_start':
    case 'pre_stop':
      return undefined;
  }
  if (path[0] === 'networks' && path.slice(2).join('.') === 'ipam.config') return field((item) => [item['subnet']]);
  return (item) => (isDict(item) || Array.isArray(item) ? undefined : String(item));
}

function field(parts: (item: Dict) => (Value | undefined)[]): KeyOf {
  return (item) =>
    isDict(item)
      ? parts(item)
          .map((part) => asText(part) ?? '')
          .join('\0')
      : asText(item);
}

function unique(items: Value[], key: KeyOf | undefined): Value[] {
  if (!key) return items;
  const places = new Map<string, number>();
  const out: Value[] = [];
  for (const item of items) {
    const name = key(item);
    const place = name === undefined ? undefined : places.get(name);
    if (place !== undefined) out[place] = item;
    else {
      if (name !== undefined) places.set(name, out.length);
      out.push(item);
    }
  }
  return out;
}
