import { nearest } from '../../base/nearest.ts';
import specification from './compose-spec.json' with { type: 'json' };
import { UNIQUE } from './merge.ts';
import { errorAt, type Place, type Places } from './place.ts';
import { type Dict, isDict, sameValue, type Value, textOf } from './value.ts';

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly oneOf?: readonly Schema[];
  readonly enum?: readonly Value[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly uniqueItems?: boolean;
  readonly definitions?: Readonly<Record<string, Schema>>;
}

const SPECIFICATION = specification as unknown as Schema;

interface Violation {
  readonly path: readonly string[];
  readonly place: Place | undefined;
  readonly message: string;
}

/**
 * Checks a file's tree against the specification's schema; texts that came from variables become the numbers and
 * switches that the schema asks for. Throws with file, line and column of the first violation.
 */
export function validateSchema(
  tree: Dict,
  options: { readonly places: Places; readonly interpolated: ReadonlySet<string>; readonly file: string },
): void {
  const check = new Check(options.places, options.interpolated);
  const violation = check.run(tree, SPECIFICATION, [], { file: options.file, line: 1, column: 1 });
  if (violation)
    throw errorAt(violation.place, `${violation.path.join('.') || 'compose file'} ${violation.message}`.trim());
}

class Check {
  readonly #places: Places;
  readonly #interpolated: ReadonlySet<string>;

  constructor(places: Places, interpolated: ReadonlySet<string>) {
    this.#places = places;
    this.#interpolated = interpolated;
  }

  run(value: Value, given: Schema, path: readonly string[], place: Place | undefined): Violation | undefined {
    const schema = given.$ref === undefined ? given : SPECIFICATION.definitions![given.$ref.split('/').at(-1)!]!;
    const fail = (message: string): Violation => ({ path, place, message });
    if (schema.oneOf) return this.#oneOf(value, schema.oneOf, path, place);
    const types = schema.type === undefined ? undefined : typeof schema.type === 'string' ? [schema.type] : schema.type;
    if (types && !types.some((type) => hasType(value, type))) return fail(`must be ${names(types)}`);
    if (schema.enum && !schema.enum.some((item) => sameValue(item, value)))
      return fail(`value must be one of ${schema.enum.map((item) => `'${textOf(item)}'`).join(', ')}`);
    if (typeof value === 'string' && schema.pattern !== undefined && !new RegExp(schema.pattern).test(value))
      return fail(`does not match pattern '${schema.pattern}'`);
    if (typeof value === 'number') {
      if (schema.minimum !== undefined && value < schema.minimum) return fail(`must be >= ${schema.minimum}`);
      if (schema.maximum !== undefined && value > schema.maximum) return fail(`must be <= ${schema.maximum}`);
    }
    if (Array.isArray(value)) return this.#list(value, schema, path, place);
    if (isDict(value)) return this.#dict(value, schema, path, place);
    return undefined;
  }

  #list(value: Value[], schema: Schema, path: readonly string[], place: Place | undefined): Violation | undefined {
    if (schema.items) {
      for (const [i, item] of value.entries()) {
        const where = this.#places.get(value, i) ?? place;
        const found = this.#member(
          value as unknown as Dict,
          String(i),
          item,
          schema.items,
          [...path, String(i)],
          where,
        );
        if (found) return found;
      }
    }
    if (schema.uniqueItems === true && !(path.length === 3 && path[0] === 'services' && UNIQUE.has(path[2]!))) {
      const seen = new Map<string, number>();
      for (const [i, item] of value.entries()) {
        const key = JSON.stringify(item);
        const first = seen.get(key);
        if (first !== undefined)
          return { path, place: this.#places.get(value, i) ?? place, message: `items at ${first} and ${i} are equal` };
        seen.set(key, i);
      }
    }
    return undefined;
  }

  #dict(value: Dict, schema: Schema, path: readonly string[], place: Place | undefined): Violation | undefined {
    for (const key of schema.required ?? [])
      if (!(key in value)) return { path, place, message: `missing property '${key}'` };
    for (const [key, item] of Object.entries(value)) {
      const where = this.#places.get(value, key) ?? place;
      const inner = [...path, key];
      if (schema.properties && Object.hasOwn(schema.properties, key)) {
        const found = this.#member(value, key, item, schema.properties[key]!, inner, where);
        if (found) return found;
        continue;
      }
      const patterns = Object.entries(schema.patternProperties ?? {}).filter(([text]) => new RegExp(text).test(key));
      for (const [, member] of patterns) {
        const found = this.#member(value, key, item, member, inner, where);
        if (found) return found;
      }
      if (patterns.length > 0) continue;
      if (schema.additionalProperties === false)
        return { path, place: where, message: `additional properties '${key}' not allowed${suggestion(key, schema)}` };
      if (typeof schema.additionalProperties === 'object') {
        const found = this.#member(value, key, item, schema.additionalProperties, inner, where);
        if (found) return found;
      }
    }
    return undefined;
  }

  /** As `run`, and a text of variables is taken for the number or switch it looks like where only that fits. */
  #member(
    container: Dict,
    key: string,
    item: Value,
    schema: Schema,
    path: readonly string[],
    place: Place | undefined,
  ): Violation | undefined {
    if (typeof item === 'string' && isSwitch(schema)) {
      const meant = meaning(item);
      if (typeof meant !== 'boolean') return { path, place, message: `must be a boolean, not ${JSON.stringify(item)}` };
      container[key] = meant;
      return undefined;
    }
    const found = this.run(item, schema, path, place);
    if (!found || typeof item !== 'string' || !this.#interpolated.has(item)) return found;
    const meant = meaning(item);
    if (meant === undefined || this.run(meant, schema, path, place)) return found;
    container[key] = meant;
    return undefined;
  }

  /** The violation of the alternative that fits the value's type best. */
  #oneOf(
    value: Value,
    alternatives: readonly Schema[],
    path: readonly string[],
    place: Place | undefined,
  ): Violation | undefined {
    let deepest: Violation | undefined;
    for (const schema of alternatives) {
      const found = this.run(value, schema, path, place);
      if (!found) return undefined;
      const plain = found.path.length === path.length && found.message.startsWith('must be ');
      if (!plain && (!deepest || found.path.length >= deepest.path.length)) deepest = found;
    }
    if (deepest) return deepest;
    const types = alternatives.flatMap((schema) => this.#types(schema));
    return { path, place, message: `must be ${names([...new Set(types)])}` };
  }

  #types(given: Schema): string[] {
    const schema = given.$ref === undefined ? given : SPECIFICATION.definitions![given.$ref.split('/').at(-1)!]!;
    if (schema.oneOf) return schema.oneOf.flatMap((item) => this.#types(item));
    return schema.type === undefined ? [] : typeof schema.type === 'string' ? [schema.type] : [...schema.type];
  }
}

/** The key that is allowed there and looks most like it. */
function suggestion(key: string, schema: Schema): string {
  const [found] = nearest(key, Object.keys(schema.properties ?? {}));
  return found === undefined ? '' : `: did you mean '${found}'?`;
}

/** Texts are taken only because they may hold a variable. */
function isSwitch(schema: Schema): boolean {
  return Array.isArray(schema.type) && schema.type[0] === 'boolean' && schema.type[1] === 'string';
}

function hasType(value: Value, type: string): boolean {
  switch (type) {
    case 'null':
      return value === null;
    case 'array':
      return Array.isArray(value);
    case 'object':
      return isDict(value);
    case 'integer':
      return typeof value === 'number' && Number.isInteger(value);
    default:
      return typeof value === type;
  }
}

function meaning(text: string): Value | undefined {
  if (/^(true|yes|on|y)$/i.test(text)) return true;
  if (/^(false|no|off|n)$/i.test(text)) return false;
  if (text.trim() === '') return undefined;
  const number = /^[-+]?0[0-7]+$/.test(text) ? Number.parseInt(text, 8) : Number(text);
  return Number.isNaN(number) ? undefined : number;
}

const WORDS: Readonly<Record<string, string>> = {
  object: 'a mapping',
  array: 'a list',
  null: 'empty',
  boolean: 'a boolean',
  number: 'a number',
  integer: 'an integer',
  string: 'a string',
};

function names(types: readonly string[]): string {
  return types.map((type) => WORDS[type] ?? type).join(' or ');
}
