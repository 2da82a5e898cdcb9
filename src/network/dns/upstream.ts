import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { connect } from 'node:net';
import { addAbortSignal } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { boundSocket } from '../../linux/bound-socket.ts';
import type { HostSockets } from '../../linux/host-sockets.ts';
import { errorMessage } from '../../base/errors.ts';
import type { NetworkNamespace } from '../../linux/network-namespace.ts';
import { describeAnswer } from './answer-text.ts';
import { addressesOf, agedAnswer, answerCode, isAnswerTo, type Query, RCODE, shortestTtl } from './message.ts';

export interface UpstreamServer {
  readonly address: string;
  /** Set when the server is to be asked from inside (a container's own loopback); otherwise the host asks. */
  readonly namespace?: NetworkNamespace | undefined;
  readonly port?: number;
}

/** Hears what each server said. */
export type ObserveServer = (server: string, result: string) => void;

/** The next server is asked as well when one has not answered for so long (milliseconds). */
const HEAD_START = 250;
/** Clients ask again after five seconds. */
const PATIENCE = 4500;
const CACHE_ENTRIES = 2000;
const CACHE_SECONDS = 60;
const MAX_IN_FLIGHT = 1000;

interface Cached {
  readonly answer: Buffer;
  readonly at: number;
  readonly until: number;
}

/**
 * Asks other name servers, in their order: the first gets a head start, those behind it join when it is slow or fails, and the
 * first good answer wins. So a dead server costs a quarter of a second, and a public one does not outrun the one that
 * knows the company's names.
 */
export class Upstream {
  readonly #cache = new Map<string, Cached>();
  readonly #clock: () => number;
  #inFlight = 0;

  readonly #host: HostSockets | undefined;

  /** `host` makes the sockets by which the host asks, when this process is not in its network. */
  constructor(clock: () => number = () => performance.now(), host?: HostSockets) {
    this.#clock = clock;
    this.#host = host;
  }

  /** Undefined when nobody answered in time. */
  async ask(
    message: Buffer,
    query: Query,
    servers: readonly UpstreamServer[],
    transport: 'udp' | 'tcp',
    observe: ObserveServer = () => undefined,
  ): Promise<Buffer | undefined> {
    const { name, type } = query.question;
    const inside = servers.some((server) => server.namespace);
    const key = `${transport} ${type} ${query.question.class} ${name} ${servers.map((server) => server.address).join()}`;
    const cached = inside ? undefined : this.#cached(key, query);
    if (cached) observe('cache', describeAnswer(cached, addressesOf(cached, query)));
    if (cached) return cached;
    if (this.#inFlight >= MAX_IN_FLIGHT || servers.length === 0) return undefined;
    this.#inFlight++;
    try {
      const answer = await race(message, query, servers, transport, observe, this.#host);
      if (answer && !inside) this.#keep(key, answer, query);
      return answer;
    } finally {
      this.#inFlight--;
    }
  }

  #cached(key: string, query: Query): Buffer | undefined {
    const cached = this.#cache.get(key);
    if (!cached) return undefined;
    const now = this.#clock();
    if (now < cached.until) return agedAnswer(cached.answer, query, Math.floor((now - cached.at) / 1000));
    this.#cache.delete(key);
    return undefined;
  }

  #keep(key: string, answer: Buffer, query: Query): void {
    const code = answerCode(answer);
    if (code !== RCODE.noError && code !== RCODE.nameError) return;
    const ttl = shortestTtl(answer, query);
    if (ttl === undefined || ttl === 0) return;
    const at = this.#clock();
    this.#cache.set(key, { answer, at, until: at + Math.min(ttl, CACHE_SECONDS) * 1000 });
    if (this.#cache.size > CACHE_ENTRIES) this.#cache.delete(this.#cache.keys().next().value!);
  }
}

async function race(
  message: Buffer,
  query: Query,
  servers: readonly UpstreamServer[],
  transport: 'udp' | 'tcp',
  observe: ObserveServer,
  host: HostSockets | undefined,
): Promise<Buffer | undefined> {
  const done = new AbortController();
  const signal = AbortSignal.any([done.signal, AbortSignal.timeout(PATIENCE)]);
  const ask = transport === 'udp' ? askByUdp : askByTcp;
  let refused: Buffer | undefined;
  /** Resolves when this one failed: the next need not wait for its head start to end. */
  const attempt = async (server: UpstreamServer): Promise<Buffer> => {
    const answer = await ask(message, query, server, signal, host).catch((error: unknown) => {
      if (!signal.aborted) observe(server.address, errorMessage(error));
      throw error;
    });
    observe(server.address, describeAnswer(answer, addressesOf(answer, query)));
    const code = answerCode(answer);
    if (code === RCODE.noError || code === RCODE.nameError) return answer;
    refused ??= answer;
    throw new Error(`code ${code}`);
  };
  const attempts: Promise<Buffer>[] = [];
  try {
    for (const [at, server] of servers.entries()) {
      const mine = attempt(server);
      attempts.push(mine);
      if (at === servers.length - 1) break;
      const first = await Promise.race([
        Promise.any(attempts).catch(() => undefined),
        wait(HEAD_START, undefined, { signal }).catch(() => undefined),
        mine.catch(() => undefined),
      ]);
      if (first) return first;
      if (signal.aborted) break;
    }
    return await Promise.any(attempts);
  } catch {
    return refused;
  } finally {
    done.abort();
  }
}

/** From a port of its own: what comes from elsewhere is no answer. */
async function askByUdp(
  message: Buffer,
  query: Query,
  server: UpstreamServer,
  signal: AbortSignal,
  host?: HostSockets,
): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const socket = udpSocket(server, host);
  const stop = (): void => reject(new Error('no answer'));
  signal.addEventListener('abort', stop, { once: true });
  socket.on('error', reject);
  socket.on('message', (answer) => {
    if (isAnswerTo(query, answer)) resolve(answer);
  });
  try {
    // without a callback: that one is called for failures too
    socket.once('connect', () => socket.send(message, (error) => error && reject(error)));
    socket.connect(server.port ?? 53, server.address);
    return await promise;
  } finally {
    signal.removeEventListener('abort', stop);
    socket.close();
  }
}

function udpSocket(server: UpstreamServer, host: HostSockets | undefined): UdpSocket {
  const v6 = server.address.includes(':');
  const socket = createSocket(v6 ? 'udp6' : 'udp4');
  const own = { protocol: 'udp', address: new Uint8Array(v6 ? 16 : 4), port: 0 } as const;
  if (server.namespace) socket.bind({ fd: boundSocket(own, server.namespace) });
  else if (host) socket.bind({ fd: host.bound(own) });
  return socket;
}

async function askByTcp(
  message: Buffer,
  query: Query,
  server: UpstreamServer,
  signal: AbortSignal,
  host?: HostSockets,
): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const port = server.port ?? 53;
  const socket = host
    ? addAbortSignal(signal, host.connecting(server.address, port))
    : connect({ host: server.address, port, signal });
  let received = Buffer.alloc(0);
  socket.on('error', reject);
  socket.on('close', () => reject(new Error('closed')));
  socket.on('data', (data) => {
    received = Buffer.concat([received, data]);
    if (received.length < 2) return;
    const size = received.readUInt16BE(0);
    if (received.length < 2 + size) return;
    const answer = received.subarray(2, 2 + size);
    if (isAnswerTo(query, answer)) resolve(answer);
    else reject(new Error('another answer'));
  });
  socket.on('connect', () => socket.write(framed(message)));
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}

/** RFC 1035, 4.2.2: with its length in front. */
export function framed(message: Buffer): Buffer {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(message.length, 0);
  return Buffer.concat([head, message]);
}
