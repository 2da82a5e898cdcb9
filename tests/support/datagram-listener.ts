import { closeSync, rmSync } from 'node:fs';
import { bind, check } from '../../src/linux/libc.ts';

/** Receives packets at a name in the file system, which Node cannot. */
export class DatagramListener {
  readonly path: string;
  readonly packets: string[] = [];
  readonly #fd: number;
  readonly #timer: NodeJS.Timeout;

  constructor(path: string) {
    this.path = path;
    this.#fd = check(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), 'socket');
    const name = Buffer.from(path);
    const address = Buffer.alloc(2 + name.length);
    address.writeUInt16LE(AF_UNIX, 0);
    name.copy(address, 2);
    check(bindSocket(this.#fd, address, address.length), 'bind', path);
    const packet = Buffer.alloc(64 * 1024);
    this.#timer = setInterval(() => {
      for (;;) {
        const size = Number(recv(this.#fd, packet, packet.length, MSG_DONTWAIT));
        if (size < 0) return;
        this.packets.push(packet.toString('latin1', 0, size));
      }
    }, 10);
  }

  close(): void {
    clearInterval(this.#timer);
    closeSync(this.#fd);
    rmSync(this.path, { force: true });
  }
}

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const socket = bind<(domain: number, type: number, protocol: number) => number>(
  'int socket(int domain, int type, int protocol)',
);
const bindSocket = bind<(fd: number, address: Buffer, length: number) => number>(
  'int bind(int fd, void *address, unsigned int length)',
);
const recv = bind<(fd: number, data: Buffer, size: number, flags: number) => number | bigint>(
  'long recv(int fd, void *data, size_t size, int flags)',
);
