import { closeSync } from 'node:fs';
import { bind, check } from './libc.ts';

/** Tells the service manager at `socketPath` (`NOTIFY_SOCKET`) a state such as `READY=1`; see sd_notify(3). Throws SystemCallError. */
export function notifyService(socketPath: string, state: string): void {
  const fd = check(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), 'socket');
  try {
    // An abstract name is written with an at sign and begins with a zero byte.
    const name = Buffer.from(socketPath.startsWith('@') ? `\0${socketPath.slice(1)}` : socketPath);
    const address = Buffer.alloc(2 + name.length);
    address.writeUInt16LE(AF_UNIX, 0);
    name.copy(address, 2);
    const message = Buffer.from(state);
    check(Number(sendto(fd, message, message.length, MSG_NOSIGNAL, address, address.length)), 'sendto', socketPath);
  } finally {
    closeSync(fd);
  }
}

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_NOSIGNAL = 0x4000;
const socket = bind<(domain: number, type: number, protocol: number) => number>(
  'int socket(int domain, int type, int protocol)',
);
const sendto = bind<
  (fd: number, data: Buffer, size: number, flags: number, address: Buffer, length: number) => number | bigint
>('long sendto(int fd, void *data, size_t size, int flags, void *address, unsigned int length)');
