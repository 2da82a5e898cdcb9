import type { ByteString } from '../base/byte-string.ts';
import { cString } from './files.ts';
import { bind, check, lastErrno, SystemCallError } from './libc.ts';

const fsetxattr = bind<(fd: number, name: Buffer, value: Uint8Array, size: number, flags: number) => number>(
  'int fsetxattr(int fd, const uint8_t *name, const uint8_t *value, size_t size, int flags)',
);
const fgetxattr = bind<(fd: number, name: Buffer, value: Buffer, size: number) => number>(
  'long fgetxattr(int fd, const uint8_t *name, uint8_t *value, size_t size)',
);
const flistxattr = bind<(fd: number, names: Buffer, size: number) => number>(
  'long flistxattr(int fd, uint8_t *names, size_t size)',
);
const fremovexattr = bind<(fd: number, name: Buffer) => number>('int fremovexattr(int fd, const uint8_t *name)');

/** What the kernel allows of one value, and of all names together. */
const MAX_BYTES = 65536;
const BUFFER = Buffer.alloc(MAX_BYTES);
/** koffi wants an address even where there are no bytes. */
const NOTHING = Buffer.alloc(1);

/** Sets an extended attribute of an open file or directory (not one opened with O_PATH). Throws `SystemCallError`. */
export function setXattr(fd: number, name: ByteString, value: Uint8Array): void {
  check(fsetxattr(fd, cString(name), value.length > 0 ? value : NOTHING, value.length, 0), 'fsetxattr', name);
}

/** Undefined when there is none, or the filesystem knows no such attributes. */
export function getXattr(fd: number, name: ByteString): Buffer | undefined {
  const length = fgetxattr(fd, cString(name), BUFFER, MAX_BYTES);
  if (length >= 0) return Buffer.from(BUFFER.subarray(0, length));
  const error = new SystemCallError('fgetxattr', lastErrno(), name);
  if (error.code === 'ENODATA' || error.code === 'ENOTSUP' || error.code === 'EOPNOTSUPP') return undefined;
  throw error;
}

/** In byte order. */
export function listXattrs(fd: number): ByteString[] {
  const length = flistxattr(fd, BUFFER, MAX_BYTES);
  if (length === 0) return [];
  if (length < 0) {
    const error = new SystemCallError('flistxattr', lastErrno());
    if (error.code === 'ENOTSUP' || error.code === 'EOPNOTSUPP') return [];
    throw error;
  }
  return BUFFER.toString('latin1', 0, length - 1)
    .split('\0')
    .sort();
}

/** Idempotent. */
export function removeXattr(fd: number, name: ByteString): void {
  if (fremovexattr(fd, cString(name)) >= 0) return;
  const error = new SystemCallError('fremovexattr', lastErrno(), name);
  if (error.code !== 'ENODATA' && error.code !== 'EOPNOTSUPP' && error.code !== 'ENOTSUP') throw error;
}
