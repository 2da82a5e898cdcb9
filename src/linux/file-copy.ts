import { readSync, writeSync } from 'node:fs';
import { bind, check, errnoName, lastErrno } from './libc.ts';

const ioctl = bind<(fd: number, request: number, argument: number) => number>(
  'int ioctl(int fd, unsigned long request, int argument)',
);
const lseek = bind<(fd: number, offset: number, whence: number) => number>(
  'long lseek(int fd, long offset, int whence)',
);
const ftruncate = bind<(fd: number, length: number) => number>('int ftruncate(int fd, long length)');
const copyFileRange = bind<
  (from: number, fromAt: null, to: number, toAt: null, length: number, flags: number) => number
>('long copy_file_range(int from, void *from_at, int to, void *to_at, size_t length, unsigned int flags)');
const sendfile = bind<(to: number, from: number, at: null, length: number) => number>(
  'long sendfile(int to, int from, void *at, size_t length)',
);

const FICLONE = 0x40049409;
const SEEK_SET = 0;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
/** Bytes of a file whose holes are not worth looking for. */
const SMALL = 32 * 1024;
const SMALL_BUFFER = Buffer.allocUnsafeSlow(SMALL);
/** Bytes between two calls of `check`. */
const STEP = 16 * 1024 * 1024;

/** Has two open files share their extents. False, with nothing done, where the filesystem cannot. */
export function shareContent(from: number, to: number): boolean {
  return ioctl(to, FICLONE, from) === 0;
}

/**
 * Copies the content of one open file to another, new one: in the kernel, holes staying holes. `progress` is called in
 * between and may throw to stop.
 */
export function copyContent(from: number, to: number, size: number, progress: () => void): void {
  if (size === 0) return;
  if (size <= SMALL && copySmall(from, to, size)) return;
  let way: Way = rangeCopy;
  for (let at = 0; at < size;) {
    const data = seek(from, at, SEEK_DATA);
    if (data === undefined) break;
    const end = seek(from, data, SEEK_HOLE) ?? size;
    check(lseek(from, data, SEEK_SET), 'lseek');
    check(lseek(to, data, SEEK_SET), 'lseek');
    for (let left = end - data; left > 0;) {
      progress();
      const moved = way(from, to, Math.min(left, STEP));
      if (moved === undefined) {
        way = way === rangeCopy ? kernelCopy : bufferCopy;
        continue;
      }
      // the file became shorter meanwhile
      if (moved === 0) break;
      left -= moved;
    }
    at = end;
  }
  check(ftruncate(to, size), 'ftruncate');
}

/** Two calls where the general way takes seven; false, with nothing written, when the file is not of that size any more. */
function copySmall(from: number, to: number, size: number): boolean {
  if (readSync(from, SMALL_BUFFER, 0, SMALL, 0) !== size) return false;
  for (let written = 0; written < size;) written += writeSync(to, SMALL_BUFFER, written, size - written, written);
  return true;
}

/** Moves up to `length` bytes from and to where the files stand; undefined when this way is not open between them. */
type Way = (from: number, to: number, length: number) => number | undefined;

const rangeCopy: Way = (from, to, length) => moved(copyFileRange(from, null, to, null, length, 0), 'copy_file_range');
const kernelCopy: Way = (from, to, length) => moved(sendfile(to, from, null, length), 'sendfile');
const bufferCopy: Way = (from, to, length) => {
  const buffer = Buffer.allocUnsafe(Math.min(length, 1024 * 1024));
  const count = readSync(from, buffer);
  for (let written = 0; written < count;) written += writeSync(to, buffer, written, count - written);
  return count;
};

function moved(result: number, call: string): number | undefined {
  if (result >= 0) return result;
  if (['EXDEV', 'EINVAL', 'ENOSYS', 'EOPNOTSUPP', 'ENOTSUP', 'EPERM', 'EBADF'].includes(errnoName(lastErrno()))) {
    return undefined;
  }
  return check(result, call);
}

function seek(fd: number, at: number, whence: number): number | undefined {
  const found = lseek(fd, at, whence);
  if (found >= 0) return found;
  const code = errnoName(lastErrno());
  if (code === 'ENXIO') return undefined;
  // a filesystem that knows no holes: all of it is data
  if (code === 'EINVAL') return whence === SEEK_DATA ? at : undefined;
  return check(found, 'lseek');
}
