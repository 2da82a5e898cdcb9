import type { ByteString } from '../../base/byte-string.ts';
import { EngineError } from '../../base/errors.ts';
import type { Bytes } from '../content-store.ts';
import { BLOCK, FIELDS, padding, type TarHeader, tarHeader, TYPE_FLAGS } from './header.ts';
import { formatPaxTime, paxRecord, XATTR_PREFIX } from './pax.ts';

/** Two blocks of zeros. */
export const END_OF_ARCHIVE: Buffer = Buffer.alloc(2 * BLOCK);

export interface TarSource {
  readonly header: TarHeader;
  /** Exactly `header.size` bytes; none when the size is 0. */
  readonly body?: Bytes | Iterable<Uint8Array> | undefined;
}

/** An archive of the entries in their order. The same entries give the same bytes. Throws `internal` when a body is not as long as its header says. */
export async function* writeTar(entries: AsyncIterable<TarSource> | Iterable<TarSource>): AsyncGenerator<Uint8Array> {
  for await (const { header, body } of entries) {
    yield encodeHeader(header);
    let left = header.size;
    for await (const chunk of body ?? []) {
      left -= chunk.length;
      if (left < 0) break;
      yield chunk;
    }
    if (left !== 0) throw new EngineError('internal', `the content of ${header.name} is not ${header.size} bytes`);
    if (padding(header.size) > 0) yield END_OF_ARCHIVE.subarray(0, padding(header.size));
  }
  yield END_OF_ARCHIVE;
}

/**
 * The blocks in front of an entry's content: one ustar header, with an extended header (PAX) before it only when ustar
 * cannot hold everything: long names, large numbers, times with a fraction, extended attributes.
 */
export function encodeHeader(header: TarHeader): Buffer {
  const records: [ByteString, ByteString][] = [];
  const block = Buffer.allocUnsafe(BLOCK).fill(0);
  const split = splitName(header.name);
  if (split) {
    block.write(split.name, FIELDS.name[0], 'latin1');
    if (split.prefix !== '') block.write(split.prefix, FIELDS.prefix[0], 'latin1');
  } else {
    records.push(['path', header.name]);
    block.write(ascii(header.name).slice(0, FIELDS.name[1]), FIELDS.name[0], 'latin1');
  }
  if (header.linkName.length > FIELDS.linkName[1]) records.push(['linkpath', header.linkName]);
  if (header.linkName !== '') block.write(header.linkName.slice(0, FIELDS.linkName[1]), FIELDS.linkName[0], 'latin1');
  writeOctal(block, FIELDS.mode, header.mode);
  if (!writeOctal(block, FIELDS.uid, header.uid)) records.push(['uid', String(header.uid)]);
  if (!writeOctal(block, FIELDS.gid, header.gid)) records.push(['gid', String(header.gid)]);
  if (!writeOctal(block, FIELDS.size, header.size)) records.push(['size', String(header.size)]);
  if (header.userName.length > 31) records.push(['uname', header.userName]);
  else if (header.userName !== '') block.write(header.userName, FIELDS.userName[0], 'latin1');
  if (header.groupName.length > 31) records.push(['gname', header.groupName]);
  else if (header.groupName !== '') block.write(header.groupName, FIELDS.groupName[0], 'latin1');
  const seconds = header.mtime / 1_000_000_000n;
  const whole = header.mtime >= 0n && header.mtime % 1_000_000_000n === 0n;
  const fits = writeOctal(block, FIELDS.mtime, header.mtime < 0n ? 0 : Number(seconds));
  if (!whole || !fits) records.push(['mtime', formatPaxTime(header.mtime)]);
  if (header.type === 'character-device' || header.type === 'block-device') {
    writeOctal(block, FIELDS.deviceMajor, header.deviceMajor);
    writeOctal(block, FIELDS.deviceMinor, header.deviceMinor);
  }
  for (const name of header.xattrs.size === 0 ? [] : [...header.xattrs.keys()].sort()) {
    records.push([XATTR_PREFIX + name, Buffer.from(header.xattrs.get(name)!).toString('latin1')]);
  }
  block[FIELDS.typeFlag[0]] = TYPE_FLAGS[header.type].charCodeAt(0);
  seal(block);
  return records.length === 0 ? block : Buffer.concat([extendedHeader(header, records), block]);
}

function extendedHeader(header: TarHeader, records: readonly [ByteString, ByteString][]): Buffer {
  const text = records.map(([key, value]) => paxRecord(key, value)).join('');
  const base = header.name.replace(/\/+$/, '');
  const block = encodeHeader(
    tarHeader({
      type: 'file',
      name: `PaxHeaders.0/${ascii(base.slice(base.lastIndexOf('/') + 1)).slice(0, 80)}`,
      size: text.length,
    }),
  );
  block.write('x', FIELDS.typeFlag[0], 'latin1');
  seal(block);
  const data = Buffer.alloc(text.length + padding(text.length));
  data.write(text, 'latin1');
  return Buffer.concat([block, data]);
}

/** `name` and `prefix` of a ustar header; undefined when the name fits neither whole nor split at a slash. */
function splitName(path: ByteString): { name: ByteString; prefix: ByteString } | undefined {
  if (path.length <= FIELDS.name[1]) return { name: path, prefix: '' };
  const [, longest] = FIELDS.prefix;
  if (path.length > FIELDS.name[1] + longest + 1) return undefined;
  const slash = path.lastIndexOf('/', Math.min(longest, path.length - 2));
  if (slash <= 0 || path.length - slash - 1 > FIELDS.name[1]) return undefined;
  return { name: path.slice(slash + 1), prefix: path.slice(0, slash) };
}

/** Writes digits and a NUL; false, and zero written, when the number does not fit. */
function writeOctal(block: Buffer, [offset, length]: readonly [number, number], value: number): boolean {
  const fits = value >= 0 && value < 8 ** (length - 1);
  let left = fits ? value : 0;
  // A call into the runtime for each of these fields would be most of what a small file's header costs.
  for (let at = offset + length - 2; at >= offset; at--) {
    block[at] = DIGIT_0 + (left % 8);
    left = Math.floor(left / 8);
  }
  return fits;
}

const DIGIT_0 = 0x30;
const SPACE = 0x20;
const MAGIC: readonly number[] = [...Buffer.from('ustar\x0000', 'latin1')];

/** Writes magic and checksum, last. */
function seal(block: Buffer): void {
  const [magic] = FIELDS.magic;
  for (let at = 0; at < MAGIC.length; at++) block[magic + at] = MAGIC[at]!;
  const [offset, length] = FIELDS.checksum;
  for (let at = offset; at < offset + length; at++) block[at] = SPACE;
  let sum = 0;
  for (let at = 0; at < BLOCK; at++) sum += block[at]!;
  writeOctal(block, [offset, length - 1], sum);
  block[offset + length - 2] = 0;
}

function ascii(text: ByteString): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[^\x20-\x7e]/g, '_');
}
