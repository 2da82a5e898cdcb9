import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { bind, check, lastErrno, SystemCallError } from './libc.ts';

/** An exclusive lock on a file, which ends with the process, however it ends. The file holds the holder's pid. */
export class FileLock implements Disposable {
  #fd: number | undefined;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** The lock, or the pid (0 when unknown) of the process that holds it. */
  static acquire(path: string): FileLock | { readonly heldBy: number } {
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    try {
      if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        const errno = lastErrno();
        if (errno !== EWOULDBLOCK) throw new SystemCallError('flock', errno, path);
        const heldBy = Number.parseInt(readFileSync(path, 'latin1'), 10) || 0;
        closeSync(fd);
        return { heldBy };
      }
      ftruncateSync(fd);
      writeSync(fd, `${process.pid}\n`, 0);
      return new FileLock(fd);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** Idempotent. The file stays: removing it would let two hold a lock of that name. */
  [Symbol.dispose](): void {
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd === undefined) return;
    check(flock(fd, LOCK_UN), 'flock');
    closeSync(fd);
  }
}

const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;
const EWOULDBLOCK = 11;
const flock = bind<(fd: number, operation: number) => number>('int flock(int fd, int operation)');
