import { bind, check } from './libc.ts';

/** Keeps a descriptor open when this process replaces itself: Node marks what it inherits to be closed then. Throws SystemCallError. */
export function keepOpenAcrossExec(fd: number): void {
  const flags = check(fcntl(fd, F_GETFD, 0), 'fcntl', `descriptor ${fd}`);
  check(fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC), 'fcntl', `descriptor ${fd}`);
}

const F_GETFD = 1;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const fcntl = bind<(fd: number, command: number, argument: number) => number>('int fcntl(int fd, int cmd, int arg)');
