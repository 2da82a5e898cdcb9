import { inflateRawSync } from 'node:zlib';

export interface ZipEntry {
  readonly name: string;
  /** Uncompressed bytes; empty where the entry is larger than asked for, encrypted or damaged. */
  read(limit: number): Uint8Array;
}

const END_OF_DIRECTORY = 0x06054b50;
const DIRECTORY_ENTRY = 0x02014b50;
const MOST_ENTRIES = 200_000;

/** The entries of a zip (APPNOTE 6.3) by its central directory; none when it has no such. */
export function zipEntries(bytes: Uint8Array): ZipEntry[] {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = endOfDirectory(file);
  if (end === undefined) return [];
  const entries: ZipEntry[] = [];
  let at = file.readUInt32LE(end + 16);
  for (let count = Math.min(file.readUInt16LE(end + 10), MOST_ENTRIES); count > 0; count--) {
    if (at + 46 > file.length || file.readUInt32LE(at) !== DIRECTORY_ENTRY) break;
    const [nameLength, extra, comment] = [28, 30, 32].map((field) => file.readUInt16LE(at + field));
    entries.push({
      name: file.toString('utf8', at + 46, at + 46 + nameLength!),
      read: (
        (header) => (limit: number) =>
          content(file, header, limit)
      )(at),
    });
    at += 46 + nameLength! + extra! + comment!;
  }
  return entries;
}

function endOfDirectory(file: Buffer): number | undefined {
  for (let at = file.length - 22; at >= Math.max(0, file.length - 22 - 65535); at--) {
    if (file.readUInt32LE(at) === END_OF_DIRECTORY) return at;
  }
  return undefined;
}

function content(file: Buffer, header: number, limit: number): Uint8Array {
  const [flags, method] = [file.readUInt16LE(header + 8), file.readUInt16LE(header + 10)];
  const [packed, size, local] = [20, 24, 42].map((field) => file.readUInt32LE(header + field));
  if ((flags & 1) !== 0 || size! > limit || local! + 30 > file.length) return new Uint8Array();
  const start = local! + 30 + file.readUInt16LE(local! + 26) + file.readUInt16LE(local! + 28);
  const data = file.subarray(start, start + packed!);
  if (method === 0) return data.length <= limit ? data : new Uint8Array();
  try {
    return method === 8 ? inflateRawSync(data, { maxOutputLength: limit }) : new Uint8Array();
  } catch {
    return new Uint8Array();
  }
}
