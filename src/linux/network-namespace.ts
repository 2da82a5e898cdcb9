import { closeSync, openSync, write, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { bind, check } from './libc.ts';
import { linksAside } from './links-aside.ts';
import { spawnOnlyHere } from './spawn.ts';

const CLONE_NEWNET = 0x40000000;
const SOCK_CLOEXEC = 0o2000000;

const setns = bind<(fd: number, kind: number) => number>('int setns(int fd, int nstype)');
const unshare = bind<(flags: number) => number>('int unshare(int flags)');
const socket = bind<(domain: number, type: number, protocol: number) => number>('int socket(int, int, int)');

/**
 * A network namespace, held by a descriptor: it lives as long as this is open, a process is in it, or a socket of it is open.
 * It has no name on disk, so a dead engine leaves none behind.
 */
export class NetworkNamespace implements Disposable {
  #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** The one this thread is in. */
  static current(): NetworkNamespace {
    return new NetworkNamespace(openSync('/proc/thread-self/ns/net', 'r'));
  }

  /** By path: `/proc/<pid>/ns/net`, or a file it is bound on. Throws ENOENT. */
  static open(path: string): NetworkNamespace {
    return new NetworkNamespace(openSync(path, 'r'));
  }

  /** Takes the descriptor over. */
  static of(fd: number): NetworkNamespace {
    return new NetworkNamespace(fd);
  }

  /** A new one, with nothing in it but a loopback that is down. Takes the kernel about a millisecond. */
  static create(): NetworkNamespace {
    using home = NetworkNamespace.current();
    check(unshare(CLONE_NEWNET), 'unshare', 'a network namespace');
    try {
      return NetworkNamespace.current();
    } finally {
      home.#comeBack();
    }
  }

  /** For attributes that name a namespace, and as a path for other processes while this is open. */
  get fd(): number {
    return this.#fd;
  }

  get path(): string {
    return `/proc/${process.pid}/fd/${this.#fd}`;
  }

  /**
   * Runs `work` inside. It must be synchronous and short: the whole thread is in there meanwhile.
   * Sockets that it makes stay in this namespace for good.
   */
  run<T>(work: () => T extends Promise<unknown> ? never : T): T {
    using home = NetworkNamespace.current();
    this.#enter();
    try {
      return work();
    } finally {
      home.#comeBack();
    }
  }

  /** The thread moves in for good, and every process it starts from now on. */
  enter(): void {
    this.#enter();
    spawnOnlyHere();
  }

  /** A socket of this namespace; the caller owns the descriptor. */
  socket(domain: number, type: number, protocol = 0): number {
    return this.run<number>(() => newSocket(domain, type, protocol));
  }

  /** Writes below /proc/sys/net as processes inside see it: `ipv6/conf/eth0/disable_ipv6`. What this kernel does not have (IPv6 may be off) is passed over. */
  setSysctls(values: Readonly<Record<string, string>>): void {
    this.run<void>(() => {
      for (const [name, value] of Object.entries(values)) {
        try {
          writeFileSync(`/proc/sys/net/${name}`, value);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
        }
      }
    });
  }

  /**
   * As `setSysctls`, while a thread of Node's pool waits: the kernel tries some of them again and again as long as anybody
   * changes links, and has the processor meanwhile.
   */
  async setSysctlsAside(values: Readonly<Record<string, string>>): Promise<void> {
    // What is opened inside stays what it is for whoever writes to it.
    const files = this.run(() => Object.entries(values).map(([name, value]) => ({ fd: openSysctl(name), value })));
    try {
      for (const { fd, value } of files)
        if (fd !== undefined) await linksAside(() => writeAside(fd, Buffer.from(value)));
    } finally {
      for (const { fd } of files) if (fd !== undefined) closeSync(fd);
    }
  }

  /** An engine that cannot come back would work on a container's network as if it were the host's: rather none. */
  #comeBack(): void {
    try {
      this.#enter();
    } catch {
      process.abort();
    }
  }

  #enter(): void {
    check(setns(this.#fd, CLONE_NEWNET), 'setns', 'to a network namespace');
  }

  /** Idempotent. */
  close(): void {
    if (this.#fd < 0) return;
    closeSync(this.#fd);
    this.#fd = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

const writeAside = promisify(write);

function openSysctl(name: string): number | undefined {
  try {
    return openSync(`/proc/sys/net/${name}`, 'w');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** A socket of the namespace that the thread is in. */
export function newSocket(domain: number, type: number, protocol: number): number {
  return check(socket(domain, type | SOCK_CLOEXEC, protocol), 'socket');
}
