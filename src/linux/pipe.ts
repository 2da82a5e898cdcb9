import { Socket } from 'node:net';
import { bind, check } from './libc.ts';

/** Both ends of a pipe, close-on-exec. Whoever holds a descriptor closes it, or gives it to a stream that does. */
export interface Pipe {
  readonly read: number;
  readonly write: number;
}

export function pipe(): Pipe {
  const fds = new Int32Array(2);
  check(pipe2(fds, O_CLOEXEC), 'pipe2');
  return { read: fds[0]!, write: fds[1]! };
}

/** A stream on a pipe's (or fifo's) read end, which it closes when it ends or is destroyed. */
export function readEnd(fd: number): Socket {
  return new Socket({ fd, readable: true, writable: false });
}

/** A stream on a pipe's write end. `end()` closes it, which is the reader's end of file. */
export function writeEnd(fd: number): Socket {
  return new Socket({ fd, readable: false, writable: true });
}

const O_CLOEXEC = 0o2000000;
const pipe2 = bind<(fds: Int32Array, flags: number) => number>('int pipe2(void *fds, int flags)');
