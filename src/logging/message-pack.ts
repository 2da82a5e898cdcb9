/** A value that is packed already. */
export class Packed {
  readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }
}

export type Packable = string | number | Packed | readonly Packable[] | { readonly [name: string]: Packable };

/** MessagePack, of what log messages are made of; numbers are whole and not negative. https://github.com/msgpack/msgpack/blob/master/spec.md */
export function pack(value: Packable): Buffer {
  const parts: Buffer[] = [];
  put(parts, value);
  return Buffer.concat(parts);
}

function put(parts: Buffer[], value: Packable): void {
  if (typeof value === 'string') {
    const text = Buffer.from(value);
    parts.push(head(text.length, [0xa0, 32], [0xd9, 0xda, 0xdb]), text);
  } else if (typeof value === 'number') {
    parts.push(head(value, [0x00, 128], [0xcc, 0xcd, 0xce]));
  } else if (value instanceof Packed) {
    parts.push(value.bytes);
  } else if (Array.isArray(value)) {
    const items = value as readonly Packable[];
    parts.push(head(items.length, [0x90, 16], [undefined, 0xdc, 0xdd]));
    for (const item of items) put(parts, item);
  } else {
    const entries = Object.entries(value as Readonly<Record<string, Packable>>);
    parts.push(head(entries.length, [0x80, 16], [undefined, 0xde, 0xdf]));
    for (const [name, item] of entries) {
      put(parts, name);
      put(parts, item);
    }
  }
}

/** A number behind a mark: in the mark itself below `room`, or in the fewest of 1, 2 and 4 bytes that have a mark. */
function head(
  number: number,
  [small, room]: readonly [mark: number, room: number],
  [byte, short, long]: readonly [number | undefined, number, number],
): Buffer {
  if (number < room) return Buffer.of(small | number);
  if (byte !== undefined && number < 2 ** 8) return Buffer.of(byte, number);
  const bytes = Buffer.alloc(number < 2 ** 16 ? 3 : 5);
  bytes[0] = bytes.length === 3 ? short : long;
  bytes.writeUIntBE(number, 1, bytes.length - 1);
  return bytes;
}
