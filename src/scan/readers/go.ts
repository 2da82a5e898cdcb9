import type { InstalledPackage } from '../../api/inventory.ts';
import { MEBIBYTE, type Reader } from './reader.ts';

/** What the Go linker writes into a program (debug/buildinfo): 16 bytes aligned, then flags, then strings. */
const MAGIC = Buffer.from('\xff Go buildinf:', 'latin1');
const INLINE_STRINGS = 2;

/** Modules that a Go program was linked from. Programs of Go before 1.18 keep them behind pointers and are not read. */
export const goReader: Reader = {
  limit: 512 * MEBIBYTE,
  magic: Buffer.from('\x7fELF', 'latin1'),
  read: (bytes, path) => {
    const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = file.indexOf(MAGIC); at >= 0; at = file.indexOf(MAGIC, at + 1)) {
      if (at % 16 !== 0 || at + 32 > file.length || ((file[at + 15] ?? 0) & INLINE_STRINGS) === 0) continue;
      const version = lengthPrefixed(file, at + 32);
      const modules = version && lengthPrefixed(file, version.end);
      if (version && modules) return packagesOf(version.text, modules.text, path);
    }
    return [];
  },
};

/** A length as an unsigned varint, then as many bytes. */
function lengthPrefixed(file: Buffer, start: number): { text: string; end: number } | undefined {
  let length = 0;
  let at = start;
  for (let shift = 0; ; shift += 7, at++) {
    const byte = file[at];
    if (byte === undefined || shift > 28) return undefined;
    length += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) break;
  }
  const end = at + 1 + length;
  return end > file.length ? undefined : { text: file.toString('utf8', at + 1, end), end };
}

/** Lines `dep<TAB>path<TAB>version<TAB>sum`, `=>` a replacement of the one above; 16 bytes of marks on both sides. */
function packagesOf(goVersion: string, modules: string, path: string): InstalledPackage[] {
  const standard = /^go(\d\S*)/.exec(goVersion)?.[1];
  const found: { name: string; version: string }[] =
    standard === undefined ? [] : [{ name: 'stdlib', version: standard }];
  for (const line of modules.split('\n')) {
    const [kind, name, version] = line.slice(Math.max(0, line.search(/(mod|dep|=>)\t/))).split('\t');
    if (!name || !version) continue;
    if (kind === '=>') found.pop();
    if (kind !== 'mod' && kind !== 'dep' && kind !== '=>') continue;
    if (version !== '(devel)') found.push({ name, version });
  }
  return found.map(({ name, version }) => ({ type: 'golang', name, version, path }));
}
