import { closeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { bind, check, SystemCallError } from './libc.ts';

/** Packets to a socket that has a name in the file system (or, with an at sign in front, an abstract one), which Node cannot send. */
export class UnixDatagram {
  readonly #path: string;
  #fd: number | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Waits while the receiver's queue is full. Throws SystemCallError. */
  async send(packet: Buffer): Promise<void> {
    for (let tries = 0; ; tries++) {
      try {
        this.sendNow(packet);
        return;
      } catch (error) {
        if (!(error instanceof SystemCallError) || error.code !== 'EAGAIN' || tries >= MOST_TRIES) throw error;
      }
      await sleep(FULL_MS);
    }
  }

  /** Throws SystemCallError, also while the receiver's queue is full. */
  sendNow(packet: Buffer): void {
    const fd = (this.#fd ??= check(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), 'socket'));
    // An abstract name begins with a zero byte.
    const name = Buffer.from(this.#path.startsWith('@') ? `\0${this.#path.slice(1)}` : this.#path);
    const address = Buffer.alloc(2 + name.length);
    address.writeUInt16LE(AF_UNIX, 0);
    name.copy(address, 2);
    check(
      Number(sendto(fd, packet, packet.length, MSG_NOSIGNAL | MSG_DONTWAIT, address, address.length)),
      'sendto',
      this.#path,
    );
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}

const FULL_MS = 20;
const MOST_TRIES = 500;
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const socket = bind<(domain: number, type: number, protocol: number) => number>(
  'int socket(int domain, int type, int protocol)',
);
const sendto = bind<
  (fd: number, data: Buffer, size: number, flags: number, address: Buffer, length: number) => number | bigint
>('long sendto(int fd, void *data, size_t size, int flags, void *address, unsigned int length)');
