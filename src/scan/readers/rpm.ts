import type { InstalledPackage } from '../../api/inventory.ts';
import { MEBIBYTE, type Reader } from './reader.ts';
import { sqliteBlobs } from './sqlite-blobs.ts';

/** Tags of rpm's header that matter here (rpmtag.h). */
const TAG = { name: 1000, version: 1001, release: 1002, epoch: 1003, license: 1014, architecture: 1022, source: 1044 };

/** `rpmdb.sqlite` of today's Fedora and RHEL: a table of header blobs. */
export const rpmSqliteReader: Reader = {
  limit: 256 * MEBIBYTE,
  magic: Buffer.from('SQLite format 3\0'),
  read: (bytes, path) => sqliteBlobs(bytes, 'Packages', 'blob').flatMap((blob) => packageOf(blob, path)),
};

/** `Packages.db` of SUSE: rpm's own slotted file. Slots of 16 bytes point to blobs in units of 16 bytes. */
export const rpmNdbReader: Reader = {
  limit: 256 * MEBIBYTE,
  magic: Buffer.from('RpmP'),
  read: (bytes, path) => {
    const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (file.length < 32) return [];
    const end = Math.min(file.readUInt32LE(12) * 4096, file.length);
    const found: InstalledPackage[] = [];
    for (let slot = 32; slot + 16 <= end; slot += 16) {
      if (file.toString('latin1', slot, slot + 4) !== 'Slot' || file.readUInt32LE(slot + 4) === 0) continue;
      const at = file.readUInt32LE(slot + 8) * 16;
      if (at + 16 > file.length || file.toString('latin1', at, at + 4) !== 'BlbS') continue;
      const length = file.readUInt32LE(at + 12);
      found.push(...packageOf(file.subarray(at + 16, at + 16 + length), path));
    }
    return found;
  },
};

/** The Berkeley DB of old releases: told of, not read. */
export const BERKELEY_NAMES: readonly string[] = ['var/lib/rpm/Packages'];

/** A header blob: counts, an index of (tag, type, offset, count), the data. Big-endian. */
function packageOf(blob: Buffer, path: string): InstalledPackage[] {
  if (blob.length < 8) return [];
  const [count, size] = [blob.readUInt32BE(0), blob.readUInt32BE(4)];
  const data = 8 + count * 16;
  if (count > 65536 || data + size > blob.length) return [];
  const values = new Map<number, string>();
  for (let index = 0; index < count; index++) {
    const at = 8 + index * 16;
    const [tag, type, offset] = [blob.readUInt32BE(at), blob.readUInt32BE(at + 4), data + blob.readUInt32BE(at + 8)];
    if (offset >= blob.length) continue;
    if (type === 6 || type === 8 || type === 9) {
      const end = blob.indexOf(0, offset);
      values.set(tag, blob.toString('utf8', offset, end < 0 ? blob.length : end));
    } else if (type === 4 && offset + 4 <= blob.length) {
      values.set(tag, String(blob.readUInt32BE(offset)));
    }
  }
  const [name, version, release] = [values.get(TAG.name), values.get(TAG.version), values.get(TAG.release)];
  if (!name || !version || release === undefined) return [];
  if (name === 'gpg-pubkey') return []; // a key, kept as if it were a package
  const epoch = values.get(TAG.epoch);
  const source = /^(.+)-([^-]+-[^-]+)\.src\.rpm$/.exec(values.get(TAG.source) ?? '');
  const [architecture, license] = [values.get(TAG.architecture), values.get(TAG.license)];
  return [
    {
      type: 'rpm',
      name,
      version: `${epoch === undefined || epoch === '0' ? '' : `${epoch}:`}${version}-${release}`,
      ...(source && { source: { name: source[1]!, version: source[2]! } }),
      ...(architecture && { architecture }),
      ...(license && { license }),
      path,
    },
  ];
}
