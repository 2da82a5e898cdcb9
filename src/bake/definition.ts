import { readBody, type Block } from './body.ts';
import {
  type Expression,
  type HclFunction,
  list,
  type Scope,
  template,
  toNumber,
  toText,
  truth,
  type Value,
} from './expression.ts';
import { HclError } from './template-end.ts';
import { FUNCTIONS } from './functions.ts';

/** Attributes of a target or a group, with values. */
export type Attributes = Readonly<Record<string, Value>>;

/** What bake files say, put together: values computed, nothing inherited yet. */
export interface Definition {
  readonly groups: ReadonlyMap<string, Attributes>;
  readonly targets: ReadonlyMap<string, Attributes>;
  readonly variables: readonly { readonly name: string; readonly value: Value; readonly description: string }[];
}

/** A part of a definition, before its values are computed. */
export interface BakeSource {
  readonly groups: Map<string, Map<string, Expression>>;
  readonly targets: Map<string, Map<string, Expression>>;
  readonly variables: Map<string, Map<string, Expression>>;
  readonly globals: Map<string, Expression>;
  readonly functions: Map<string, UserFunction>;
  /** Conditions of variables. */
  readonly validations: Map<string, readonly Validation[]>;
  /** What is in the file and means nothing. */
  readonly warnings: string[];
}

interface Validation {
  readonly condition: Expression;
  readonly message: Expression | undefined;
}

interface UserFunction {
  readonly parameters: readonly string[];
  readonly variadic: string | undefined;
  readonly result: Expression;
}

export const TARGET_ATTRIBUTES: readonly string[] = [
  'annotations',
  'args',
  'attest',
  'cache-from',
  'cache-to',
  'call',
  'context',
  'contexts',
  'description',
  'dockerfile',
  'dockerfile-inline',
  'entitlements',
  'extra-hosts',
  'inherits',
  'labels',
  'matrix',
  'name',
  'network',
  'no-cache',
  'no-cache-filter',
  'output',
  'platforms',
  'pull',
  'secret',
  'shm-size',
  'ssh',
  'tags',
  'target',
  'ulimits',
];
const MAPS = new Set(['args', 'labels', 'contexts', 'extra-hosts']);
const BLOCKS = ['group', 'target', 'variable', 'function'];

/** Reads a bake file in HCL. Throws `HclError`. */
export function readHclFile(text: string): BakeSource {
  const source = emptySource();
  const body = readBody(text);
  for (const { name, value } of body.attributes) source.globals.set(name, value);
  for (const block of body.blocks) addBlock(source, block);
  return source;
}

/** Reads a bake file in JSON: its texts are templates as in HCL. Throws `HclError`, `SyntaxError`. */
export function readJsonFile(text: string): BakeSource {
  const source = emptySource();
  const document = JSON.parse(text) as Record<string, unknown>;
  if (typeof document !== 'object' || document === null || Array.isArray(document))
    throw new HclError(1, 'the file is no object');
  for (const [type, value] of Object.entries(document)) {
    if (!BLOCKS.includes(type)) {
      source.globals.set(type, jsonExpression(value));
      continue;
    }
    for (const [label, members] of Object.entries((value ?? {}) as Record<string, Record<string, unknown>>)) {
      const { validation, ...others } = members ?? {};
      if (type === 'variable' && validation !== undefined)
        for (const one of (Array.isArray(validation) ? validation : [validation]) as Record<string, unknown>[])
          addValidation(
            source,
            label,
            new Map(Object.entries(one).map(([name, value]) => [name, jsonExpression(value)])),
            1,
          );
      const kept = type === 'variable' ? others : (members ?? {});
      const attributes = new Map(Object.entries(kept).map(([name, one]) => [name, jsonExpression(one)]));
      add(source, type, label, attributes, 1);
    }
  }
  return source;
}

function emptySource(): BakeSource {
  return {
    groups: new Map(),
    targets: new Map(),
    variables: new Map(),
    globals: new Map(),
    functions: new Map(),
    validations: new Map(),
    warnings: [],
  };
}

function addBlock(source: BakeSource, { type, labels, body, line }: Block): void {
  if (!BLOCKS.includes(type))
    throw new HclError(line, `unsupported block type ${JSON.stringify(type)}: use ${BLOCKS.join(', ')}`);
  if (labels.length !== 1) throw new HclError(line, `a ${type} has one name`);
  const attributes = new Map(body.attributes.map(({ name, value }) => [name, value]));
  for (const block of body.blocks) {
    if (type === 'variable' && block.type === 'validation') {
      const own = new Map(block.body.attributes.map(({ name, value }) => [name, value]));
      addValidation(source, labels[0]!, own, block.line);
      continue;
    }
    const members = block.body.attributes;
    attributes.set(block.type, (scope) => Object.fromEntries(members.map(({ name, value }) => [name, value(scope)])));
  }
  add(source, type, labels[0]!, attributes, line);
}

/** A condition that a variable has to meet: looked at when all values are known. */
function addValidation(
  source: BakeSource,
  variable: string,
  attributes: ReadonlyMap<string, Expression>,
  line: number,
): void {
  const condition = attributes.get('condition');
  if (!condition) throw new HclError(line, `a validation of the variable ${variable} has no condition`);
  const known = source.validations.get(variable) ?? [];
  source.validations.set(variable, [...known, { condition, message: attributes.get('error_message') }]);
}

function add(source: BakeSource, type: string, name: string, attributes: Map<string, Expression>, line: number): void {
  if (type === 'function') {
    const result = attributes.get('result');
    if (!result) throw new HclError(line, `the function ${name} has no result`);
    const names = (key: string): string[] => {
      const value = attributes.get(key)?.({ variable: (word) => word, call: () => undefined });
      return value === undefined ? [] : list(value).map(toText);
    };
    source.functions.set(name, {
      parameters: names('params'),
      variadic: names('variadic_params')[0] ?? names('variadic_param')[0],
      result,
    });
    return;
  }
  if (type === 'target' || type === 'group') {
    const known = type === 'target' ? TARGET_ATTRIBUTES : ['targets', 'description'];
    for (const key of attributes.keys()) {
      if (known.includes(key)) continue;
      source.warnings.push(
        `line ${line}: ${JSON.stringify(key)} of the ${type} ${JSON.stringify(name)} means nothing here`,
      );
      attributes.delete(key);
    }
  }
  const table = type === 'group' ? source.groups : type === 'target' ? source.targets : source.variables;
  const before = table.get(name);
  table.set(name, before ? mergeExpressions(before, attributes) : attributes);
}

function jsonExpression(value: unknown): Expression {
  if (typeof value === 'string') return template({ text: value, line: 1, raw: true });
  if (Array.isArray(value)) {
    const items = value.map(jsonExpression);
    return (scope) => items.map((item) => item(scope));
  }
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).map(([key, one]) => [key, jsonExpression(one)] as const);
    return (scope) => Object.fromEntries(members.map(([key, one]) => [key, one(scope)]));
  }
  return () => value as Value;
}

function mergeExpressions(
  before: ReadonlyMap<string, Expression>,
  after: ReadonlyMap<string, Expression>,
): Map<string, Expression> {
  const merged = new Map(before);
  for (const [name, value] of after) {
    const old = before.get(name);
    merged.set(
      name,
      old && MAPS.has(name)
        ? (scope) => ({ ...(old(scope) as Record<string, Value>), ...(value(scope) as Record<string, Value>) })
        : value,
    );
  }
  return merged;
}

/** Puts the files together, later ones over earlier ones, and computes their values. Variables come from `environment` first. Throws `HclError`, `Error`. */
export function evaluate(
  sources: readonly BakeSource[],
  environment: Readonly<Record<string, string | undefined>>,
): Definition & { readonly scope: Scope; readonly matrices: ReadonlyMap<string, ReadonlyMap<string, Expression>> } {
  const all = emptySource();
  for (const source of sources) {
    for (const [name, attributes] of source.groups)
      all.groups.set(name, mergeExpressions(all.groups.get(name) ?? new Map(), attributes));
    for (const [name, attributes] of source.targets)
      all.targets.set(name, mergeExpressions(all.targets.get(name) ?? new Map(), attributes));
    for (const [name, attributes] of source.variables)
      all.variables.set(name, mergeExpressions(all.variables.get(name) ?? new Map(), attributes));
    for (const [name, value] of source.globals) all.globals.set(name, value);
    for (const [name, value] of source.functions) all.functions.set(name, value);
    for (const [name, value] of source.validations) all.validations.set(name, value);
  }
  const values = new Map<string, Value>();
  const running = new Set<string>();
  const scope: Scope = {
    variable(name) {
      if (values.has(name)) return values.get(name)!;
      if (name === 'BAKE_LOCAL_PLATFORM') return environment['BAKE_LOCAL_PLATFORM'] ?? 'linux';
      if (name === 'BAKE_CMD_CONTEXT') return 'cwd://';
      const own = all.variables.get(name);
      const global = all.globals.get(name);
      // Other blocks can be used by their names too: target.app.tags.
      if (!own && !global && (name === 'target' || name === 'group'))
        return blocks(name === 'target' ? all.targets : all.groups, scope);
      if (!own && !global) throw new Error(`there is no variable named ${JSON.stringify(name)}`);
      if (running.has(name)) throw new Error(`the variable ${JSON.stringify(name)} depends on itself`);
      running.add(name);
      const initial = (own?.get('default') ?? global)?.(scope) ?? null;
      const given = own ? environment[name] : undefined;
      const value = given === undefined ? initial : convert(given, initial, own?.get('type')?.(TYPES));
      running.delete(name);
      values.set(name, value);
      return value;
    },
    call(name) {
      const own = all.functions.get(name);
      if (own) return userFunction(name, own, scope);
      return Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
    },
  };
  for (const [name, validations] of all.validations)
    for (const { condition, message } of validations)
      if (!truth(condition(scope)))
        throw new Error(
          `validation of the variable ${name} failed: ${toText(message?.(scope) ?? '') || `it is ${shown(scope.variable(name))}`}`,
        );
  const compute = (attributes: ReadonlyMap<string, Expression>): Attributes =>
    Object.fromEntries([...attributes].map(([name, value]) => [name, value(scope)]));
  const matrices = new Map([...all.targets].filter(([, attributes]) => attributes.has('matrix')));
  return {
    groups: new Map([...all.groups].map(([name, attributes]) => [name, compute(attributes)])),
    targets: new Map(
      [...all.targets].filter(([name]) => !matrices.has(name)).map(([name, attributes]) => [name, compute(attributes)]),
    ),
    matrices,
    variables: [...all.variables].map(([name, attributes]) => ({
      name,
      value: scope.variable(name),
      description: toText(attributes.get('description')?.(scope) ?? ''),
    })),
    scope,
  };
}

function shown(value: Value): string {
  return typeof value === 'object' ? JSON.stringify(value) : toText(value);
}

function blocks(table: ReadonlyMap<string, ReadonlyMap<string, Expression>>, scope: Scope): Value {
  const found: Record<string, Value> = {};
  for (const [name, attributes] of table) {
    const values: Record<string, Value> = {};
    for (const [key, value] of attributes)
      Object.defineProperty(values, key, { enumerable: true, configurable: true, get: () => value(scope) });
    found[name] = values;
  }
  return found;
}

const TYPES: Scope = { variable: (name) => name, call: (name) => () => name };

/** A variable from the environment, as the kind that its default has. */
function convert(text: string, initial: Value, type: Value | undefined): Value {
  if (type === 'number' || typeof initial === 'number') return toNumber(text);
  if (type === 'bool' || typeof initial === 'boolean')
    return truth(/^(1|t|true)$/i.test(text) ? true : /^(0|f|false)$/i.test(text) ? false : text);
  if ((type === 'list' || type === 'set' || Array.isArray(initial)) && !text.trim().startsWith('['))
    return text === '' ? [] : text.split(',');
  if (typeof initial === 'object' && initial !== null) return JSON.parse(text) as Value;
  return text;
}

function userFunction(name: string, { parameters, variadic, result }: UserFunction, scope: Scope): HclFunction {
  return (...args) => {
    if (args.length < parameters.length || (args.length > parameters.length && variadic === undefined))
      throw new Error(`${name} takes ${parameters.length} arguments, not ${args.length}`);
    const own = new Map<string, Value>(parameters.map((parameter, at) => [parameter, args[at]!]));
    if (variadic !== undefined) own.set(variadic, args.slice(parameters.length));
    return result({ ...scope, variable: (word) => (own.has(word) ? own.get(word)! : scope.variable(word)) });
  };
}
