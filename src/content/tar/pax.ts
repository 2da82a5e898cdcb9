import type { ByteString } from '../../base/byte-string.ts';
import { EngineError } from '../../base/errors.ts';

/** Extended attributes as star, GNU tar and Go write them: the rest of the key is the name, the value is raw bytes. */
export const XATTR_PREFIX = 'SCHILY.xattr.';
/** As libarchive writes them: the name percent-encoded, the value in base64. */
const LIBARCHIVE_XATTR_PREFIX = 'LIBARCHIVE.xattr.';

const NAMES = new Set(['path', 'linkpath', 'uname', 'gname', 'GNU.sparse.name']);

/** The records of an extended header (POSIX.1-2001 pax, extended header file format). */
export interface PaxRecords {
  /** Last value of each key. */
  readonly values: ReadonlyMap<ByteString, ByteString>;
  readonly xattrs: ReadonlyMap<ByteString, Uint8Array>;
  /** Values of `GNU.sparse.offset` and `GNU.sparse.numbytes`, in turn: format 0.0 repeats these keys. */
  readonly sparsePairs: readonly ByteString[];
}

/** Throws `corrupt`. */
export function parsePax(data: Buffer): PaxRecords {
  const values = new Map<ByteString, ByteString>();
  const xattrs = new Map<ByteString, Uint8Array>();
  const sparsePairs: ByteString[] = [];
  let position = 0;
  while (position < data.length) {
    const space = data.indexOf(0x20, position);
    const length = space < 0 || space - position > 10 ? NaN : decimal(data.toString('latin1', position, space));
    const end = position + length;
    if (!(end <= data.length) || end <= space + 1 || data[end - 1] !== 0x0a)
      throw invalid('a record has a wrong length');
    const equals = data.indexOf(0x3d, space);
    if (equals < 0 || equals >= end - 1) throw invalid('a record has no "="');
    const key = data.toString('latin1', space + 1, equals);
    if (key === '' || key.includes('\0')) throw invalid('a record has no key');
    if (key.startsWith(XATTR_PREFIX)) {
      xattrs.set(key.slice(XATTR_PREFIX.length), Buffer.from(data.subarray(equals + 1, end - 1)));
    } else {
      const value = data.toString('latin1', equals + 1, end - 1);
      if (key.startsWith(LIBARCHIVE_XATTR_PREFIX)) {
        const name = percentDecoded(key.slice(LIBARCHIVE_XATTR_PREFIX.length));
        if (!xattrs.has(name)) xattrs.set(name, Buffer.from(value, 'base64'));
      } else if (key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes') {
        sparsePairs.push(value);
      } else {
        if (NAMES.has(key) && value.includes('\0')) throw invalid(`${key} holds a NUL`);
        values.set(key, value);
      }
    }
    position = end;
  }
  return { values, xattrs, sparsePairs };
}

/** `<length> <key>=<value>\n`, where length counts itself. */
export function paxRecord(key: ByteString, value: ByteString): ByteString {
  const rest = key.length + value.length + 3;
  let length = rest + String(rest).length;
  if (String(length).length !== String(rest).length) length = rest + String(length).length;
  return `${length} ${key}=${value}\n`;
}

/** A whole number of bytes, of an id, of a count. Throws `corrupt`. */
export function paxInteger(text: ByteString, key: string): number {
  const value = decimal(text);
  if (Number.isNaN(value)) throw invalid(`${key} is not a number`);
  return value;
}

/** Nanoseconds of `[-]seconds[.fraction]`; digits past the ninth are cut. Throws `corrupt`. */
export function paxTime(text: ByteString, key: string): bigint {
  const match = /^(-?)(\d{1,15})(?:\.(\d*))?$/.exec(text);
  if (!match) throw invalid(`${key} is not a time`);
  const nanos = BigInt(match[2]!) * 1_000_000_000n + BigInt((match[3] ?? '').slice(0, 9).padEnd(9, '0'));
  return match[1] === '-' ? -nanos : nanos;
}

export function formatPaxTime(nanos: bigint): string {
  const absolute = nanos < 0n ? -nanos : nanos;
  const fraction = String(absolute % 1_000_000_000n)
    .padStart(9, '0')
    .replace(/0+$/, '');
  return `${nanos < 0n ? '-' : ''}${absolute / 1_000_000_000n}${fraction === '' ? '' : `.${fraction}`}`;
}

/** NaN when it is no decimal number that can be counted with. */
function decimal(text: string): number {
  if (!/^\d{1,16}$/.test(text)) return NaN;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : NaN;
}

function percentDecoded(text: string): ByteString {
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
}

function invalid(why: string): EngineError {
  return new EngineError('corrupt', `invalid tar: extended header: ${why}`);
}
