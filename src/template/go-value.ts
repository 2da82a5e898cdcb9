/** JSON documents as Go's typed structs hold them, for templates: absent fields have their zero, and Go's names are found. */

/** What stands for a field that a document leaves out: a scalar's zero, null for a pointer to one, or a shape. */
export type Shape = string | number | boolean | null | StructShape | ListShape | MapShape | PointerShape;

export interface StructShape {
  readonly kind: 'struct';
  /** By Go's names, in the struct's order. */
  readonly fields: Readonly<Record<string, Shape>>;
}

export interface ListShape {
  readonly kind: 'list';
  readonly of: Shape;
}

export interface MapShape {
  readonly kind: 'map';
  readonly of: Shape;
  /** Its keys have a type of their own: `index` with a plain string finds only what is there. */
  readonly typedKeys: boolean;
}

export interface PointerShape {
  readonly kind: 'pointer';
  readonly to: StructShape;
}

export function struct(fields: Readonly<Record<string, Shape>>): StructShape {
  return { kind: 'struct', fields };
}

export function list(of: Shape): ListShape {
  return { kind: 'list', of };
}

export function map(of: Shape, { typedKeys = false }: { readonly typedKeys?: boolean } = {}): MapShape {
  return { kind: 'map', of, typedKeys };
}

export function pointer(to: StructShape): PointerShape {
  return { kind: 'pointer', to };
}

/** A struct: all its fields by Go's names, and the document it was read from. */
export class GoStruct {
  readonly fields: ReadonlyMap<string, unknown>;
  readonly document: Readonly<Record<string, unknown>>;

  constructor(fields: ReadonlyMap<string, unknown>, document: Readonly<Record<string, unknown>>) {
    this.fields = fields;
    this.document = document;
  }

  toJSON(): unknown {
    return this.document;
  }
}

/** A map of Go: a key that is not there is no mistake. */
export class GoMap extends Map<string, unknown> {
  /** What `index` gives for a key that is not there. */
  readonly zero: unknown;
  readonly #isNil: boolean;

  constructor(entries: readonly (readonly [string, unknown])[], zero: unknown, isNil: boolean) {
    super(entries);
    this.zero = zero;
    this.#isNil = isNil;
  }

  toJSON(): unknown {
    return this.#isNil ? null : Object.fromEntries(this);
  }
}

/** Reads `value` as Go's JSON decoder reads it into a variable of that shape; what does not fit stays as it is. */
export function decode(value: unknown, shape: Shape): unknown {
  const absent = value === undefined || value === null;
  if (typeof shape !== 'object' || shape === null) return absent ? shape : value;
  switch (shape.kind) {
    case 'pointer':
      return absent ? null : decode(value, shape.to);
    case 'list':
      if (absent) return Object.defineProperty([], 'toJSON', { value: () => null });
      return Array.isArray(value) ? value.map((item: unknown) => decode(item, shape.of)) : value;
    case 'map': {
      const zero = shape.typedKeys ? undefined : decode(undefined, shape.of);
      if (absent) return new GoMap([], zero, true);
      if (!isRecord(value)) return value;
      return new GoMap(
        Object.entries(value).map(([key, item]) => [key, decode(item, shape.of)] as const),
        zero,
        false,
      );
    }
    case 'struct':
      if (absent) return decodeStruct({}, shape);
      return isRecord(value) ? decodeStruct(value, shape) : value;
  }
}

/** The case of letters does not count: `Id` is the field `ID`, `ApiVersion` is `APIVersion` (encoding/json, Unmarshal). */
function decodeStruct(document: Readonly<Record<string, unknown>>, shape: StructShape): GoStruct {
  const folded = new Map(Object.keys(document).map((key) => [key.toLowerCase(), key]));
  const fields = new Map<string, unknown>();
  for (const [name, of] of Object.entries(shape.fields)) {
    const key = Object.hasOwn(document, name) ? name : folded.get(name.toLowerCase());
    fields.set(name, decode(key === undefined ? undefined : document[key], of));
  }
  return new GoStruct(fields, document);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
