import { writeSync } from 'node:fs';
import { bind, check } from './libc.ts';

/** A copy of the descriptor, close-on-exec, with a number above the first hundred. */
export function duplicate(fd: number): number {
  return check(fcntl(fd, F_DUPFD_CLOEXEC, 100), 'fcntl');
}

/** Writes to it return at once with what fits. Holds for every copy of the descriptor, in other processes too. */
export function setNonBlocking(fd: number): void {
  check(fcntl(fd, F_SETFL, check(fcntl(fd, F_GETFL, 0), 'fcntl') | O_NONBLOCK), 'fcntl');
}

/** Writes what fits: 0 when that is nothing now. Throws EPIPE or EIO when nobody will read any more. */
export function writeSome(fd: number, data: Uint8Array): number {
  try {
    return writeSync(fd, data);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return 0;
    throw error;
  }
}

const F_GETFL = 3;
const F_SETFL = 4;
const F_DUPFD_CLOEXEC = 1030;
const O_NONBLOCK = 0o4000;
const fcntl = bind<(fd: number, command: number, argument: number) => number>('int fcntl(int fd, int cmd, long arg)');
