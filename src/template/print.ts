import { GoStruct } from './go-value.ts';

/** Go's way to print values: what `{{.X}}` and `%v` show. */
export function goString(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return value;
    case 'number':
      return goNumber(value);
    case 'boolean':
    case 'bigint':
      return String(value);
    case 'object':
      if (value === null) return '<nil>';
      if (value instanceof GoString) return value.value;
      if (value instanceof GoStruct) return `{${[...value.fields.values()].map(goString).join(' ')}}`;
      if (Array.isArray(value)) return `[${value.map(goString).join(' ')}]`;
      return `map[${entriesOf(value)
        .map(([key, item]) => `${key}:${goString(item)}`)
        .join(' ')}]`;
    default:
      return '<no value>';
  }
}

/** A text that prints as it is, where a plain string would be quoted. */
export class GoString {
  readonly value: string;

  constructor(value: string) {
    this.value = value;
  }
}

/** Entries of a map as Go walks them: sorted by key. */
export function entriesOf(value: object): [string, unknown][] {
  const entries: [string, unknown][] =
    value instanceof Map
      ? [...(value as Map<string, unknown>)]
      : Object.entries(value instanceof GoStruct ? value.document : value);
  return entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

function goNumber(value: number): string {
  if (Number.isInteger(value))
    return Math.abs(value) < 1e21 ? BigInt(value).toString() : value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2');
  return String(value);
}

/** JSON as Go's encoder writes it: no spaces, `<`, `>` and `&` escaped. */
export function goJson(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) =>
    typeof item === 'bigint'
      ? (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(String(item))
      : item instanceof Map
        ? Object.fromEntries(item)
        : item,
  ).replace(/[<>&\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
