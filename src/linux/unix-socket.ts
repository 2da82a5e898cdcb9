import { closeSync, constants, openSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { addressOf, bind, check, lastErrno } from './libc.ts';

/**
 * Sockets that Node cannot open: SEQPACKET, and those that carry descriptors. All are non-blocking and close-on-exec;
 * their numbers are closed with `closeSync`.
 */

/** Connects to the SEQPACKET socket at `path`, however long the path is. Throws SystemCallError (ENOENT, ECONNREFUSED, EAGAIN). */
export function connectSequencedPacket(path: string): number {
  const fd = check(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), 'socket');
  try {
    withAddress(path, (address) => check(connect(fd, address, address.length), 'connect', path));
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** A listening stream socket at `path`, which must not exist. */
export function listenStream(path: string): number {
  const fd = check(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), 'socket');
  try {
    withAddress(path, (address) => check(bindSocket(fd, address, address.length), 'bind', path));
    check(listen(fd, 1), 'listen', path);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** The next connection, or undefined when none waits. */
export function accept(fd: number): number | undefined {
  const connection = accept4(fd, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (connection < 0 && lastErrno() === EAGAIN) return undefined;
  return check(connection, 'accept');
}

/**
 * The descriptor that came with the next message (SCM_RIGHTS), close-on-exec; undefined when no message is there yet.
 * Throws when the message carries none.
 */
export function receiveDescriptor(fd: number): number | undefined {
  const payload = Buffer.alloc(256);
  const control = Buffer.alloc(64);
  // struct iovec and struct msghdr, in the layout of every 64-bit architecture.
  const vector = Buffer.alloc(16);
  vector.writeBigUInt64LE(addressOf(payload), 0);
  vector.writeBigUInt64LE(BigInt(payload.length), 8);
  const header = Buffer.alloc(56);
  header.writeBigUInt64LE(addressOf(vector), 16);
  header.writeBigUInt64LE(1n, 24);
  header.writeBigUInt64LE(addressOf(control), 32);
  header.writeBigUInt64LE(BigInt(control.length), 40);
  const received = Number(recvmsg(fd, header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
  if (received < 0 && lastErrno() === EAGAIN) return undefined;
  check(received, 'recvmsg');
  // struct cmsghdr: its length (8 bytes), level, type, then one descriptor.
  if (control.readInt32LE(8) !== SOL_SOCKET || control.readInt32LE(12) !== SCM_RIGHTS) {
    throw new Error('the message on the console socket carries no descriptor');
  }
  return control.readInt32LE(16);
}

/** Calls `use` with a `sockaddr_un` for the path; one too long for it is reached through its directory's descriptor. */
function withAddress(path: string, use: (address: Buffer) => unknown): void {
  if (Buffer.byteLength(path) < MAX_PATH) {
    use(socketAddress(path));
    return;
  }
  const directory = openSync(dirname(path), O_PATH | O_DIRECTORY);
  try {
    use(socketAddress(`/proc/self/fd/${directory}/${basename(path)}`));
  } finally {
    closeSync(directory);
  }
}

function socketAddress(path: string): Buffer {
  const address = Buffer.alloc(2 + Buffer.byteLength(path) + 1);
  address.writeUInt16LE(AF_UNIX, 0);
  address.write(path, 2);
  return address;
}

/** Of `sun_path`, its closing zero included. */
const MAX_PATH = 108;
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_SEQPACKET = 5;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_CMSG_CLOEXEC = 0x40000000;
const O_PATH = 0o10000000;
const O_DIRECTORY = constants.O_DIRECTORY;
const EAGAIN = 11;

const socket = bind<(family: number, type: number, protocol: number) => number>(
  'int socket(int family, int type, int protocol)',
);
const connect = bind<(fd: number, address: Buffer, length: number) => number>(
  'int connect(int fd, void *address, unsigned int length)',
);
const bindSocket = bind<(fd: number, address: Buffer, length: number) => number>(
  'int bind(int fd, void *address, unsigned int length)',
);
const listen = bind<(fd: number, backlog: number) => number>('int listen(int fd, int backlog)');
const accept4 = bind<(fd: number, address: null, length: null, flags: number) => number>(
  'int accept4(int fd, void *address, void *length, int flags)',
);
const recvmsg = bind<(fd: number, message: Buffer, flags: number) => number | bigint>(
  'long recvmsg(int fd, void *message, int flags)',
);
