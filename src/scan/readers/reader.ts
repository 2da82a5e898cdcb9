import type { InstalledPackage } from '../../api/inventory.ts';

/** Reads one kind of file that tells of packages. Never throws for what is in the file: what does not parse is no package. */
export interface Reader {
  /** First bytes that a file must have to be read at all. */
  readonly magic?: Uint8Array;
  /** Larger files are left out, with a note. Bytes. */
  readonly limit: number;
  read(bytes: Uint8Array, path: string): readonly InstalledPackage[];
}

export const MEBIBYTE = 1 << 20;

export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

/** Fields of one stanza as deb-control(5) and RFC 822 write them; continuation lines are joined. Names in lower case. */
export function fields(stanza: string): Map<string, string> {
  const found = new Map<string, string>();
  let last = '';
  for (const line of stanza.split('\n')) {
    if (line.startsWith(' ') || line.startsWith('\t')) {
      if (last !== '') found.set(last, `${found.get(last)!}\n${line.trim()}`);
      continue;
    }
    const colon = line.indexOf(':');
    if (colon <= 0) continue;
    last = line.slice(0, colon).toLowerCase();
    if (!found.has(last)) found.set(last, line.slice(colon + 1).trim());
    else last = '';
  }
  return found;
}
