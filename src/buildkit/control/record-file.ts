import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** Parts of a record by their names, in the order in which they are kept. */
export type RecordParts = ReadonlyMap<string, Uint8Array>;

/** More than the names and sizes of a record's parts ever take. */
const MAX_HEAD = 64 << 10;

/** Several documents as one file: a line of JSON with their names and sizes, then their bytes, one after the other. */
export function joinParts(parts: RecordParts): Uint8Array[] {
  const sizes = [...parts].map(([name, bytes]): Size => [name, bytes.length]);
  return [Buffer.from(`${JSON.stringify(sizes)}\n`), ...parts.values()];
}

type Size = readonly [name: string, bytes: number];

/** Parts of such a file; those that it has not are left out. Throws for what is no such file, or not whole. */
export function readParts(path: string, wanted?: readonly string[]): Map<string, Buffer> {
  const file = openSync(path, 'r');
  try {
    const head = Buffer.alloc(MAX_HEAD);
    const line = head.subarray(0, head.subarray(0, readSync(file, head)).indexOf(10));
    const sizes = JSON.parse(line.toString()) as Size[];
    const parts = new Map<string, Buffer>();
    let at = line.length + 1;
    for (const [name, length] of sizes) {
      if (!wanted || wanted.includes(name)) parts.set(name, readAt(file, at, length));
      at += length;
    }
    if (fstatSync(file).size !== at) throw new Error(`${path} has not the size that its parts have`);
    return parts;
  } finally {
    closeSync(file);
  }
}

function readAt(file: number, at: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  return bytes.subarray(0, readSync(file, bytes, 0, length, at));
}
