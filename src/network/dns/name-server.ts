import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { closeSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { boundSocket, socketPort } from '../../linux/bound-socket.ts';
import type { NetworkNamespace } from '../../linux/network-namespace.ts';
import { type Answer, makeAnswer, parseQuery, type Query, RCODE, reverseAddress, TYPE, wireName } from './message.ts';
import { bytesOf, type NameTable } from './name-table.ts';
import { framed, type Upstream, type UpstreamServer } from './upstream.ts';

/** Where containers on networks of their own find it. */
export const SERVER_ADDRESS = '127.0.0.11';
/** In the container's namespace. */
const TABLE = 'gantry_dns';
const TTL = 600;
const MAX_TCP_CLIENTS = 64;
/** Questions of one container that others are asked about at once: a quarter of what all together may ask. */
const MAX_ASKING = 250;
const TCP_IDLE = 10_000;

/** What one container may ask about. Read at every query: it changes when the container comes to a network. */
export interface Client {
  /** Ids of the networks it is on, in their order. */
  readonly networks: readonly string[];
  /** Names that only this container knows (`--link`), by alias: the other's own name. */
  readonly links: ReadonlyMap<string, string>;
  /** Empty when it has no way out: nothing of an internal network leaks. */
  readonly upstream: () => readonly UpstreamServer[];
}

/** Descriptors of two sockets in a container's namespace, where its questions come. */
export interface NameSockets {
  readonly udp: number;
  readonly tcp: number;
}

/** With ports of their own, which `NameServer.rules` leads port 53 to. The caller owns them until a server takes them. */
export function openNameSockets(namespace: NetworkNamespace): NameSockets {
  const address = bytesOf(SERVER_ADDRESS);
  const udp = boundSocket({ protocol: 'udp', address, port: 0 }, namespace);
  try {
    return { udp, tcp: boundSocket({ protocol: 'tcp', address, port: 0 }, namespace) };
  } catch (error) {
    closeSync(udp);
    throw error;
  }
}

/** Answers one container, on sockets in its own namespace. */
export class NameServer {
  readonly #table: NameTable;
  readonly #upstream: Upstream;
  readonly #client: () => Client;
  readonly #udp: UdpSocket;
  readonly #tcp: Server;
  readonly #ports: { readonly udp: number; readonly tcp: number };
  #asking = 0;
  /** Open as long as the server is. */
  readonly sockets: NameSockets;

  /** Takes the sockets. */
  constructor(options: {
    readonly sockets: NameSockets;
    readonly table: NameTable;
    readonly upstream: Upstream;
    readonly client: () => Client;
  }) {
    this.#table = options.table;
    this.#upstream = options.upstream;
    this.#client = options.client;
    this.sockets = options.sockets;
    const { udp, tcp } = options.sockets;
    this.#udp = createSocket('udp4').bind({ fd: udp }).unref();
    this.#udp.on('error', () => undefined);
    this.#udp.on('message', (message, peer) => {
      const send = (answer: Buffer | undefined): void => {
        if (answer) this.#udp.send(answer, peer.port, peer.address, () => undefined);
      };
      const answer = this.answer(message, 'udp');
      if (answer instanceof Promise) void answer.then(send, () => undefined);
      else send(answer);
    });
    this.#tcp = createServer((socket) => this.#serve(socket));
    this.#tcp.maxConnections = MAX_TCP_CLIENTS;
    this.#tcp.on('error', () => undefined);
    this.#tcp.listen({ fd: tcp }).unref();
    this.#ports = { udp: socketPort(udp), tcp: socketPort(tcp) };
  }

  /**
   * nftables text for the namespace: its sockets have ports of their own, so that a container can be a name server itself, and
   * port 53 of the address leads to them. Packet by packet, without connection tracking, which would cost all its traffic.
   * `replace` what an earlier server left; in a new namespace there is nothing, and the kernel takes a third of the time.
   */
  rules(replace: boolean): string {
    const lines = (['udp', 'tcp'] as const).flatMap((protocol) => [
      `ip daddr ${SERVER_ADDRESS} ${protocol} dport 53 ${protocol} dport set ${this.#ports[protocol]}`,
      `ip saddr ${SERVER_ADDRESS} ${protocol} sport ${this.#ports[protocol]} ${protocol} sport set 53`,
    ]);
    // while no engine runs, a question waits for the resolver's next try instead of failing at once
    const patience = `ip saddr ${SERVER_ADDRESS} icmp type destination-unreachable drop`;
    const chain = ['type filter hook output priority raw; policy accept;', ...lines, patience].join('\n');
    const before = replace ? `table ip ${TABLE} {}\ndelete table ip ${TABLE}\n` : '';
    return `${before}table ip ${TABLE} {\nchain output {\n${chain}\n}\n}\n`;
  }

  /** Never throws nor rejects, whatever the message. Undefined for what is no query at all. Own names are answered at once. */
  answer(message: Buffer, transport: 'udp' | 'tcp'): Buffer | undefined | Promise<Buffer | undefined> {
    try {
      const query = parseQuery(message);
      if (!query) return undefined;
      const limit = transport === 'udp' ? query.udpSize : 65535;
      if (query.opcode !== 0) return makeAnswer(message, query, { code: RCODE.notImplemented });
      const client = this.#client();
      const own = ownAnswers(this.#table, client, query);
      if (own) return makeAnswer(message, query, { code: RCODE.noError, answers: own, ttl: TTL, limit });
      return this.#ask(message, query, client, transport);
    } catch {
      return undefined;
    }
  }

  async #ask(message: Buffer, query: Query, client: Client, transport: 'udp' | 'tcp'): Promise<Buffer> {
    const failed = (): Buffer => makeAnswer(message, query, { code: RCODE.serverFailure });
    if (this.#asking >= MAX_ASKING) return failed();
    this.#asking++;
    try {
      const answer = await this.#upstream.ask(message, query, client.upstream(), transport).catch(() => undefined);
      return answer ?? failed();
    } finally {
      this.#asking--;
    }
  }

  #serve(socket: Socket): void {
    let received = Buffer.alloc(0);
    socket.setTimeout(TCP_IDLE, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.on('data', (data) => {
      received = Buffer.concat([received, data]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const size = received.readUInt16BE(0);
        const message = received.subarray(2, 2 + size);
        received = received.subarray(2 + size);
        void Promise.resolve(this.answer(Buffer.from(message), 'tcp')).then((answer) =>
          answer ? socket.write(framed(answer)) : socket.destroy(),
        );
      }
    });
  }

  /** Idempotent. */
  close(): void {
    if (!this.#tcp.listening) return;
    this.#udp.close();
    this.#tcp.close();
  }
}

/** What the containers' own names answer; undefined when the question is about somebody else. */
export function ownAnswers(table: NameTable, client: Client, query: Query): Answer[] | undefined {
  const { name, type } = query.question;
  if (type === TYPE.PTR) {
    const address = reverseAddress(name);
    const found = address && table.reverse(client.networks, address);
    return found === undefined ? undefined : [{ type: TYPE.PTR, data: wireName(found) }];
  }
  const endpoints = table.find(client.networks, client.links.get(name) ?? name);
  if (endpoints.length === 0) return undefined;
  const family = (wanted: typeof TYPE.A | typeof TYPE.AAAA): Answer[] =>
    endpoints.flatMap(({ bytes4, bytes6 }) => {
      const data = wanted === TYPE.A ? bytes4 : bytes6;
      return data ? [{ type: wanted, data }] : [];
    });
  // a name that is ours has no records but these: other types are empty, never somebody else's
  if (type === TYPE.A || type === TYPE.AAAA) return family(type);
  return type === TYPE.ANY ? [...family(TYPE.A), ...family(TYPE.AAAA)] : [];
}
