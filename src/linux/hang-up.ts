import { bind } from './libc.ts';

/**
 * Whether the other side of a stream socket closed it, rather than only shutting its sending side. A reader sees the
 * same end of file for both; on unix sockets the kernel knows the difference. Always false for a TCP peer that may
 * still read.
 */
export function hasHungUp(fd: number): boolean {
  // struct pollfd: fd, then events and revents of 16 bits each. POLLHUP and POLLERR are told without being asked for.
  const request = Buffer.alloc(8);
  request.writeInt32LE(fd, 0);
  if (poll(request, 1, 0) <= 0) return false;
  return (request.readInt16LE(6) & (POLLERR | POLLHUP)) !== 0;
}

const POLLERR = 0x8;
const POLLHUP = 0x10;
const poll = bind<(fds: Buffer, count: number, timeout: number) => number>(
  'int poll(_Inout_ uint8_t *fds, unsigned long nfds, int timeout)',
);
