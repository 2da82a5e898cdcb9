import { posix } from 'node:path';
import { type Attributes, type evaluate, TARGET_ATTRIBUTES } from './definition.ts';
import { list, type Scope, toText, type Value } from './expression.ts';

/** A target with everything that it inherits and that was set. */
export interface BakeTarget {
  readonly name: string;
  /** Made only because another one is made from it. */
  readonly linked: boolean;
  readonly attributes: Attributes;
}

export interface BakePlan {
  readonly groups: ReadonlyMap<string, readonly string[]>;
  /** In an order in which each finds the targets that its contexts name. */
  readonly targets: readonly BakeTarget[];
}

/** Attributes whose values add to those inherited; of all others the last one counts. */
const ADDED = new Set([
  'cache-from',
  'cache-to',
  'secret',
  'ssh',
  'attest',
  'annotations',
  'entitlements',
  'ulimits',
  'no-cache-filter',
]);
const MAPS = new Set(['args', 'labels', 'contexts', 'extra-hosts']);
const SINGULAR: Readonly<Record<string, string>> = {
  platform: 'platforms',
  secrets: 'secret',
  outputs: 'output',
  tag: 'tags',
};

/** `TARGET.KEY=VALUE`, `TARGET.args.NAME=VALUE`, `TARGET.KEY+=VALUE` of `--set`. */
export interface Override {
  readonly pattern: string;
  readonly key: string;
  readonly member: string | undefined;
  readonly value: string;
  readonly append: boolean;
}

/** Throws `Error`. */
export function readOverride(text: string): Override {
  const cut = text.indexOf('=');
  const append = cut > 0 && text[cut - 1] === '+';
  const [pattern = '', key = '', ...rest] = text.slice(0, append ? cut - 1 : Math.max(0, cut)).split('.');
  if (cut < 0 || pattern === '' || key === '')
    throw new Error(`invalid override ${JSON.stringify(text)}: expected target.key=value`);
  const name = SINGULAR[key] ?? key;
  if (!TARGET_ATTRIBUTES.includes(name) && name !== 'push' && name !== 'load')
    throw new Error(`unknown key ${JSON.stringify(key)} in ${JSON.stringify(text)}`);
  const member = rest.length > 0 ? rest.join('.') : undefined;
  if (MAPS.has(name) !== (member !== undefined))
    throw new Error(
      `invalid override ${JSON.stringify(text)}: ${MAPS.has(name) ? `${key} needs a name` : `${key} takes no name`}`,
    );
  return { pattern, key: name, member, value: text.slice(cut + 1), append };
}

/** The targets that the names mean (`default` where there are none), inherited, multiplied and overridden. Throws `Error`. */
export function planBake(
  definition: ReturnType<typeof evaluate>,
  names: readonly string[],
  overrides: readonly Override[],
): BakePlan {
  const { targets, groups } = multiply(definition);
  const wanted = names.length > 0 ? names : ['default'];
  const chosen = new Map<string, readonly string[]>();
  const found: BakeTarget[] = [];
  const resolving = new Set<string>();
  const add = (name: string): void => {
    if (found.some((target) => target.name === name)) return;
    if (resolving.has(name)) throw new Error(`the targets ${[...resolving, name].join(' → ')} need each other`);
    resolving.add(name);
    const attributes = override(name, inherit(targets, name, []), overrides);
    for (const context of Object.values((attributes['contexts'] ?? {}) as Record<string, Value>)) {
      const other = /^target:(.+)$/.exec(toText(context))?.[1];
      if (other !== undefined) add(other);
    }
    resolving.delete(name);
    found.push({ name, attributes, linked: !all.includes(name) });
  };
  const expand = (name: string, seen: readonly string[]): string[] => {
    if (seen.includes(name)) throw new Error(`the groups ${[...seen, name].join(' → ')} hold each other`);
    const members = groups.get(name);
    if (members && !(targets.has(name) && seen.length > 0)) {
      chosen.set(name, members);
      return members.flatMap((member) => expand(member, [...seen, name]));
    }
    if (targets.has(name)) return [name];
    throw new Error(
      name === 'default' && names.length === 0
        ? `failed to find target default: name a target, there are: ${[...targets.keys()].join(', ')}`
        : `failed to find target ${name}: there are: ${[...targets.keys(), ...groups.keys()].join(', ')}`,
    );
  };
  const all = [...new Set(wanted.flatMap((name) => expand(name, [])))];
  // What was asked for is the default of what is shown.
  if (names.length > 1 || !groups.has(wanted[0]!)) chosen.set('default', [...new Set(wanted)].sort());
  else if (wanted[0] !== 'default') chosen.set('default', [wanted[0]!, ...(chosen.get('default') ?? [])]);
  for (const name of all) add(name);
  for (const { pattern } of overrides)
    if (![...targets.keys()].some((name) => matches(pattern, name)))
      throw new Error(`could not find any target matching '${pattern}'`);
  return { groups: chosen, targets: found };
}

/** Targets with a matrix become one for each combination, and a group of their name. */
function multiply(definition: ReturnType<typeof evaluate>): {
  readonly targets: Map<string, Attributes>;
  readonly groups: Map<string, readonly string[]>;
} {
  const targets = new Map(definition.targets);
  const groups = new Map<string, readonly string[]>();
  for (const [name, attributes] of definition.groups) groups.set(name, list(attributes['targets'] ?? []).map(toText));
  for (const [name, attributes] of definition.matrices) {
    const matrix = attributes.get('matrix')!(definition.scope);
    if (typeof matrix !== 'object' || matrix === null || Array.isArray(matrix))
      throw new Error(`the matrix of ${name} is no object`);
    const made: string[] = [];
    for (const values of combinations(Object.entries(matrix as Record<string, Value>))) {
      const scope: Scope = {
        call: (word) => definition.scope.call(word),
        variable: (word) => (values.has(word) ? values.get(word)! : definition.scope.variable(word)),
      };
      const own = Object.fromEntries([...attributes].map(([key, value]) => [key, value(scope)]));
      const { matrix: _, name: given, ...rest } = own;
      if (given === undefined)
        throw new Error(`the target ${name} has a matrix and needs a name for each of its combinations`);
      const unique = toText(given);
      if (!/^[A-Za-z0-9_-]+$/.test(unique))
        throw new Error(`invalid name ${JSON.stringify(unique)} of a target: only letters, digits, _ and -`);
      if (made.includes(unique)) throw new Error(`two combinations of the matrix of ${name} have the name ${unique}`);
      made.push(unique);
      targets.set(unique, rest);
    }
    groups.set(name, made);
  }
  return { targets, groups };
}

function combinations(axes: readonly (readonly [string, Value])[]): Map<string, Value>[] {
  // The first axis turns fastest, as with buildx.
  return axes.reduce<Map<string, Value>[]>(
    (found, [name, values]) =>
      list(values).flatMap((value) => found.map((before) => new Map([...before, [name, value]]))),
    [new Map()],
  );
}

function inherit(targets: ReadonlyMap<string, Attributes>, name: string, seen: readonly string[]): Attributes {
  if (seen.includes(name)) throw new Error(`infinite loop from inheritance: ${[...seen, name].join(' → ')}`);
  const own = targets.get(name);
  if (!own) throw new Error(`failed to find target ${name}, which ${seen.at(-1) ?? 'the command line'} wants`);
  let merged: Attributes = {};
  for (const parent of list(own['inherits'] ?? []).map(toText))
    merged = mergeAttributes(merged, inherit(targets, parent, [...seen, name]));
  const { inherits: _, ...rest } = own;
  return mergeAttributes(merged, rest);
}

function mergeAttributes(before: Attributes, after: Attributes): Attributes {
  const merged: Record<string, Value> = { ...before };
  for (const [key, value] of Object.entries(after)) {
    if (value === null) continue;
    const old = merged[key];
    if (MAPS.has(key) && old !== undefined)
      merged[key] = { ...(old as Record<string, Value>), ...(value as Record<string, Value>) };
    else if (ADDED.has(key) && old !== undefined) merged[key] = [...list(old), ...list(value)];
    else merged[key] = value;
  }
  return merged;
}

function override(name: string, attributes: Attributes, overrides: readonly Override[]): Attributes {
  const changed: Record<string, Value> = { ...attributes };
  const replaced = new Set<string>();
  for (const { pattern, key, member, value, append } of overrides) {
    if (!matches(pattern, name)) continue;
    if (member !== undefined) changed[key] = { ...((changed[key] ?? {}) as Record<string, Value>), [member]: value };
    else if (LISTS.has(key)) {
      // The first of several takes the place of what the file says, the others add to it.
      const kept = append || replaced.has(key) ? list(changed[key] ?? []) : [];
      changed[key] = [...kept, value];
      replaced.add(key);
    } else changed[key] = value === 'true' || value === 'false' ? value === 'true' : value;
  }
  return changed;
}

const LISTS = new Set([
  'tags',
  'platforms',
  'output',
  'no-cache-filter',
  'secret',
  'ssh',
  'cache-from',
  'cache-to',
  'attest',
  'annotations',
  'entitlements',
  'ulimits',
]);

function matches(pattern: string, name: string): boolean {
  return new RegExp(
    `^${pattern
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.')}$`,
  ).test(name);
}

/** What `--print` shows, as buildx does. */
export function printPlan({ groups, targets }: BakePlan): string {
  const shown = targets.map(({ name, attributes, linked }): [string, unknown] => {
    const whole: Attributes = {
      context: '.',
      dockerfile: 'Dockerfile',
      ...attributes,
      ...(linked && { output: ['type=cacheonly'] }),
    };
    const ordered = ORDER.flatMap((key) => {
      const value = whole[key];
      return value === undefined || value === null ? [] : [[key, shownValue(key, value)]];
    });
    return [name, Object.fromEntries(ordered)];
  });
  const document = {
    group: Object.fromEntries(
      [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, members]) => [name, { targets: members }]),
    ),
    target: Object.fromEntries(shown.sort(([a], [b]) => (a < b ? -1 : 1))),
  };
  // What is printed can be read again: a template stays text.
  return JSON.stringify(document, null, 2).replaceAll(/([$%])\{/g, '$1$1{');
}

/** Texts where a build takes texts, sorted, and options in their parts. */
function shownValue(key: string, value: Value): unknown {
  if (key === 'context' && typeof value === 'string' && !/^[a-z]+:\/\//.test(value)) return posix.normalize(value);
  if (MAPS.has(key)) {
    const members = Object.entries(value as Record<string, Value>).filter(([, one]) => one !== null);
    return Object.fromEntries(members.map(([name, one]) => [name, toText(one)]).sort(([a], [b]) => (a! < b! ? -1 : 1)));
  }
  if (OPTIONS.has(key)) return list(value).map((one) => shownOption(key, one));
  return value;
}

function shownOption(key: string, value: Value): unknown {
  if (typeof value !== 'string') return value;
  if (!value.includes('=')) {
    if (key === 'ssh') return { id: value };
    return key === 'output' ? { dest: value, type: 'local' } : { ref: value, type: 'registry' };
  }
  if (key === 'ssh')
    return { id: value.slice(0, value.indexOf('=')), paths: value.slice(value.indexOf('=') + 1).split(',') };
  const fields = value.split(',').map((field): [string, string] => {
    const cut = field.indexOf('=');
    return cut < 0 ? [field, ''] : [field.slice(0, cut), field.slice(cut + 1)];
  });
  return Object.fromEntries(key === 'secret' ? fields : fields.sort(([a], [b]) => (a < b ? -1 : 1)));
}

const OPTIONS = new Set(['cache-from', 'cache-to', 'output', 'attest', 'secret', 'ssh']);
const ORDER = [
  'annotations',
  'attest',
  'context',
  'contexts',
  'dockerfile',
  'dockerfile-inline',
  'args',
  'labels',
  'tags',
  'cache-from',
  'cache-to',
  'target',
  'secret',
  'ssh',
  'platforms',
  'output',
  'pull',
  'no-cache',
  'network',
  'no-cache-filter',
  'shm-size',
  'ulimits',
  'call',
  'entitlements',
  'extra-hosts',
];
