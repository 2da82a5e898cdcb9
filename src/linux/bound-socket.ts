import { closeSync } from 'node:fs';
import { bind as bindLibc, check } from './libc.ts';
import { type NetworkNamespace, newSocket } from './network-namespace.ts';

const [AF_INET, AF_INET6] = [2, 10];
const TYPES = { tcp: [1, 6], udp: [2, 17], sctp: [1, 132] } as const;
const [SOL_SOCKET, SO_REUSEADDR, IPPROTO_IPV6, IPV6_V6ONLY] = [1, 2, 41, 26];

const bind = bindLibc<(fd: number, address: Uint8Array, length: number) => number>(
  'int bind(int fd, const void *address, uint32_t length)',
);
const listen = bindLibc<(fd: number, backlog: number) => number>('int listen(int fd, int backlog)');
const getsockname = bindLibc<(fd: number, address: Uint8Array, length: Uint32Array) => number>(
  'int getsockname(int fd, void *address, void *length)',
);
const setsockopt = bindLibc<(fd: number, level: number, name: number, value: Int32Array, length: number) => number>(
  'int setsockopt(int fd, int level, int name, const void *value, uint32_t length)',
);

export interface SocketAddress {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  readonly port: number;
}

/**
 * A socket bound to exactly this address and family, listening when it is tcp or sctp; `net` and `dgram` adopt the descriptor,
 * which the caller owns. Throws `SystemCallError`: EADDRINUSE, EADDRNOTAVAIL, EACCES, EAFNOSUPPORT, EPROTONOSUPPORT.
 */
export function boundSocket(where: SocketAddress, namespace?: NetworkNamespace): number {
  const v6 = where.address.length === 16;
  const [type, protocol] = TYPES[where.protocol];
  const domain = v6 ? AF_INET6 : AF_INET;
  const fd = namespace ? namespace.socket(domain, type, protocol) : newSocket(domain, type, protocol);
  try {
    const on = Int32Array.of(1);
    if (v6) check(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, on, 4), 'setsockopt');
    // connections of before that are in TIME_WAIT do not stand in the way; a listening socket of another still does
    if (where.protocol !== 'udp') check(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, on, 4), 'setsockopt');
    const address = socketAddress(where);
    check(bind(fd, address, address.length), 'bind');
    if (where.protocol !== 'udp') check(listen(fd, 511), 'listen');
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** The port that the kernel chose for a socket bound to port 0. */
export function socketPort(fd: number): number {
  const address = Buffer.alloc(28);
  check(getsockname(fd, address, Uint32Array.of(address.length)), 'getsockname');
  return address.readUInt16BE(2);
}

/** struct sockaddr_in, sockaddr_in6 */
function socketAddress(where: SocketAddress): Uint8Array {
  const v6 = where.address.length === 16;
  const bytes = Buffer.alloc(v6 ? 28 : 16);
  bytes.writeUInt16LE(v6 ? AF_INET6 : AF_INET, 0);
  bytes.writeUInt16BE(where.port, 2);
  bytes.set(where.address, v6 ? 8 : 4);
  return bytes;
}
