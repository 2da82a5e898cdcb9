import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

export interface LimitSettings {
  /** Connections of one address; default 512. */
  readonly connectionsPerClient?: number;
  /** Uploads that one address has open; default 100. */
  readonly uploadsPerClient?: number;
  /** Slower clients are sent away, measured over `stallSeconds`; default 1024. */
  readonly minBytesPerSecond?: number;
  /** Default 60. */
  readonly stallSeconds?: number;
}

const DEFAULTS = { connectionsPerClient: 512, uploadsPerClient: 100, minBytesPerSecond: 1024, stallSeconds: 60 };

interface Watched {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  moved: number;
  since: number;
}

/** What one client may take from the others: connections, and the time of those that it leaves hanging. */
export class ClientLimits {
  readonly uploadsPerClient: number;
  readonly #limits: Required<LimitSettings>;
  readonly #connections = new Map<string, number>();
  readonly #watched = new Set<Watched>();
  readonly #timer: NodeJS.Timeout;

  constructor(settings: LimitSettings = {}) {
    this.#limits = { ...DEFAULTS, ...settings };
    this.uploadsPerClient = this.#limits.uploadsPerClient;
    this.#timer = setInterval(() => this.#look(), Math.min(1000, this.#limits.stallSeconds * 250)).unref();
  }

  connected(socket: Socket): void {
    const address = socket.remoteAddress ?? '';
    const count = (this.#connections.get(address) ?? 0) + 1;
    if (count > this.#limits.connectionsPerClient) return void socket.destroy();
    this.#connections.set(address, count);
    socket.once('close', () => {
      const left = this.#connections.get(address)! - 1;
      if (left > 0) this.#connections.set(address, left);
      else this.#connections.delete(address);
    });
  }

  watch(request: IncomingMessage, response: ServerResponse): void {
    const watched = { request, response, moved: moved(request), since: performance.now() };
    this.#watched.add(watched);
    response.once('close', () => this.#watched.delete(watched));
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { stallSeconds, minBytesPerSecond } = this.#limits;
    const now = performance.now();
    for (const one of this.#watched) {
      const bytes = moved(one.request) - one.moved;
      const seconds = (now - one.since) / 1000;
      // Whoever is fast enough, or waits for us, begins anew.
      if (!isWaitedFor(one) || bytes >= minBytesPerSecond * stallSeconds) {
        one.moved += bytes;
        one.since = now;
      } else if (seconds >= stallSeconds) one.request.socket.destroy();
    }
  }
}

/** Whether it is the client that does not go on: it sends no more of a body, or does not take what we sent. */
function isWaitedFor({ request, response }: Watched): boolean {
  const takesNothing = response.writableLength > 0 || request.socket.writableLength > 0;
  return takesNothing || (!request.complete && request.readableLength === 0);
}

function moved({ socket }: IncomingMessage): number {
  return socket.bytesRead + socket.bytesWritten - socket.writableLength;
}
