import { execFileSync } from 'node:child_process';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { type TarHeader, tarHeader } from '../../../src/content/tar/header.ts';
import { END_OF_ARCHIVE, encodeHeader } from '../../../src/content/tar/writer.ts';

export type Entry = Partial<TarHeader> & { readonly name: string; readonly content?: string | Buffer };

/** A context as clients send it. `file` unless an entry says otherwise. */
export function tar(...entries: readonly Entry[]): Buffer {
  const parts = entries.flatMap(({ content = '', ...fields }) => {
    const body = Buffer.from(content);
    const header = tarHeader({ type: 'file', size: body.length, ...fields });
    return [encodeHeader(header), body, Buffer.alloc((512 - (body.length % 512)) % 512)];
  });
  return Buffer.concat([...parts, END_OF_ARCHIVE]);
}

/** A context with a Dockerfile and a file to copy. */
export function context(dockerfile: string, ...more: readonly Entry[]): Buffer {
  return tar({ name: 'Dockerfile', content: dockerfile }, { name: 'file', content: 'content\n' }, ...more);
}

export const COPY = 'FROM scratch\nCOPY file /file\n';

export const compressed = {
  gzip: (bytes: Buffer): Buffer => gzipSync(bytes),
  zstd: (bytes: Buffer): Buffer => zstdCompressSync(bytes),
  xz: (bytes: Buffer): Buffer => execFileSync('xz', ['-c'], { input: bytes }),
  bzip2: (bytes: Buffer): Buffer => execFileSync('bzip2', ['-c'], { input: bytes }),
};

/** A PAX header of so many bytes in front of a file. */
export function longPax(bytes: number): Buffer {
  const value = 'x'.repeat(bytes - 20);
  let record = ` comment=${value}\n`;
  record = `${record.length + String(record.length).length}${record}`;
  const body = Buffer.from(record);
  const header = Buffer.from(encodeHeader(tarHeader({ type: 'file', name: 'pax', size: body.length })));
  header.write('x', 156);
  header.fill(' ', 148, 156);
  const sum = header.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([header, body, Buffer.alloc((512 - (body.length % 512)) % 512), context(COPY)]);
}
