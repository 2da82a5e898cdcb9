import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { connect as connectPlain, isIPv6, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';

export type StreamTarget =
  | { readonly path: string }
  | { readonly host: string; readonly port: number; readonly tls?: () => ConnectionOptions };

const CONNECT_MS = 10_000;
/** A server that reads nothing for so long is taken for dead. */
const STALL_MS = 30_000;

/** A connection that is made when it is needed, and again after it broke. */
export class StreamConnection {
  readonly #target: StreamTarget;
  #socket: Socket | undefined;
  #broken: Error | undefined;
  #received: Buffer[] = [];
  #wake: (() => void) | undefined;
  /** Of what is under way: to make the connection, or to have something taken. */
  #fail: ((error: Error) => void) | undefined;

  constructor(target: StreamTarget) {
    this.#target = target;
  }

  /** Throws an Error in Go's words. */
  async connect(): Promise<void> {
    if (this.#socket && !this.#broken) return;
    this.#drop();
    const target = this.#target;
    const socket =
      'path' in target
        ? connectPlain({ path: target.path })
        : target.tls
          ? connectTls({ ...target.tls(), host: target.host, port: target.port })
          : connectPlain({ host: target.host, port: target.port });
    socket.unref();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => reject(new Error(`${dialled(target)}: i/o timeout`)), CONNECT_MS);
    socket.once('path' in target || !target.tls ? 'connect' : 'secureConnect', () => resolve());
    socket.once('error', (error: NodeJS.ErrnoException) => reject(new Error(`${dialled(target)}: ${reasonOf(error)}`)));
    this.#fail = reject;
    try {
      await promise;
    } catch (error) {
      socket.on('error', () => {});
      socket.destroy();
      throw error;
    } finally {
      clearTimeout(timer);
      this.#fail = undefined;
    }
    this.#broken = undefined;
    this.#received = [];
    const broke = (error?: Error): void => {
      if (this.#socket !== socket) return;
      this.#broken = error ?? new Error('the log server has closed the connection');
      this.#wake?.();
    };
    socket.on('error', broke);
    socket.on('end', () => broke());
    socket.on('close', () => broke());
    let unasked = 0;
    // what a server says unasked is not kept, nor listened to for ever
    socket.on('data', (data: Buffer) => {
      if (!this.#wake) {
        unasked += data.length;
        if (unasked > LONGEST_ANSWER) socket.destroy();
        return;
      }
      this.#received.push(data);
      this.#wake();
    });
    this.#socket = socket;
  }

  /** Resolves when the kernel has taken it. */
  async write(data: Uint8Array): Promise<void> {
    await this.connect();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => reject(new Error('the log server does not read')), STALL_MS);
    this.#fail = reject;
    this.#socket!.write(data, (error) => (error ? reject(error) : resolve()));
    try {
      await promise;
    } catch (error) {
      this.#drop();
      throw error;
    } finally {
      clearTimeout(timer);
      this.#fail = undefined;
    }
  }

  /** Sends, and waits until `found` says that the answer, all that came since, is whole. */
  async ask(data: Uint8Array, found: (answer: Buffer) => boolean): Promise<void> {
    await this.connect();
    this.#received = [];
    let answered = Promise.withResolvers<void>();
    this.#wake = () => answered.resolve();
    const deadline = AbortSignal.timeout(STALL_MS);
    const late = (): void => answered.resolve();
    deadline.addEventListener('abort', late);
    try {
      await this.write(data);
      for (;;) {
        const answer = Buffer.concat(this.#received);
        if (found(answer)) return;
        if (this.#broken) throw this.#broken;
        if (deadline.aborted || answer.length > LONGEST_ANSWER) throw new Error('the log server does not acknowledge');
        await answered.promise;
        answered = Promise.withResolvers();
      }
    } catch (error) {
      this.#drop();
      throw error;
    } finally {
      deadline.removeEventListener('abort', late);
      this.#wake = undefined;
      this.#received = [];
    }
  }

  /** Also ends what is under way. */
  close(): void {
    const closed = new Error('the connection to the log server was closed');
    const busy = this.#fail !== undefined || this.#wake !== undefined;
    this.#fail?.(closed);
    this.#broken = closed;
    this.#wake?.();
    if (busy) this.#drop();
    else this.#release()?.destroySoon();
  }

  /** A server that does not read would keep what is on its way to it, and the connection, for ever. */
  #drop(): void {
    this.#release()?.destroy();
  }

  #release(): Socket | undefined {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.on('error', () => {});
    return socket;
  }
}

const LONGEST_ANSWER = 64 * 1024;

/** Packets to one address. */
export class PacketConnection {
  readonly #host: string;
  readonly #port: number;
  #socket: UdpSocket | undefined;

  constructor(host: string, port: number) {
    this.#host = host;
    this.#port = port;
  }

  /** Resolves the name. Throws an Error in Go's words. */
  async connect(): Promise<void> {
    if (this.#socket) return;
    const socket = createSocket(isIPv6(this.#host) ? 'udp6' : 'udp4');
    socket.unref();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    socket.once('error', reject);
    socket.connect(this.#port, this.#host, () => resolve());
    try {
      await promise;
    } catch (error) {
      socket.close();
      throw new Error(`dial udp ${this.#host}:${this.#port}: ${reasonOf(error as NodeJS.ErrnoException)}`, {
        cause: error,
      });
    }
    // nobody listens: told for an earlier packet, and no reason not to send the next
    socket.on('error', () => {});
    this.#socket = socket;
  }

  async send(packet: Uint8Array): Promise<void> {
    await this.connect();
    await new Promise<void>((resolve, reject) => {
      this.#socket!.send(packet, (error: NodeJS.ErrnoException | null) =>
        error && error.code !== 'ECONNREFUSED' ? reject(error) : resolve(),
      );
    });
  }

  close(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }
}

function dialled(target: StreamTarget): string {
  if ('path' in target) return `dial unix ${target.path}`;
  const host = isIPv6(target.host) ? `[${target.host}]` : target.host;
  return `dial tcp ${host}:${target.port}`;
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connect: connection refused',
  ENOENT: 'connect: no such file or directory',
  EACCES: 'connect: permission denied',
  EHOSTUNREACH: 'connect: no route to host',
  ENETUNREACH: 'connect: network is unreachable',
  ETIMEDOUT: 'i/o timeout',
  ENOTFOUND: 'lookup: no such host',
  EAI_AGAIN: 'lookup: no such host',
};

function reasonOf(error: NodeJS.ErrnoException): string {
  return REASONS[error.code ?? ''] ?? error.message;
}
