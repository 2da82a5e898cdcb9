import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { connect, createServer, type Server, type Socket } from 'node:net';

export interface RelayTarget {
  readonly host: string;
  readonly port: number;
  /** Clients, by address, for whom nothing is passed on. */
  readonly isSealed: (client: string) => boolean;
}

/**
 * Passes connections on from a listening socket that this takes over. The kernel's rules carry nearly everything; what comes
 * here is what they cannot translate: a client on IPv6 where the container has IPv4 only.
 */
export function relayConnections(fd: number, target: RelayTarget): Server {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => relay(client, target));
  server.on('error', () => undefined);
  server.listen({ fd });
  server.unref();
  return server;
}

function relay(client: Socket, { host, port, isSealed }: RelayTarget): void {
  if (isSealed(client.remoteAddress ?? '')) {
    client.resetAndDestroy();
    return;
  }
  const upstream = connect({ host, port, allowHalfOpen: true });
  client.on('error', () => upstream.destroy());
  upstream.on('error', () => client.resetAndDestroy());
  upstream.once('connect', () => {
    client.pipe(upstream);
    upstream.pipe(client);
  });
  client.on('close', () => upstream.destroy());
  upstream.on('close', () => client.destroy());
}

/** A client's datagrams come from one port, until it has been silent for so long (milliseconds). */
const DATAGRAM_IDLE = 60_000;
const MAX_DATAGRAM_CLIENTS = 1024;

/** The same for datagrams: each client gets a port of its own towards the container, and the answers that come to it. */
export function relayDatagrams(fd: number, kind: 'udp4' | 'udp6', target: RelayTarget): DatagramSocket {
  const family = target.host.includes(':') ? 'udp6' : 'udp4';
  const clients = new Map<string, { readonly socket: DatagramSocket; readonly timer: NodeJS.Timeout }>();
  const server = createSocket(kind).bind({ fd }).unref();
  server.on('error', () => undefined);
  server.on('message', (message, { address, port }) => {
    const key = `${address} ${port}`;
    let client = clients.get(key);
    if (!client) {
      if (clients.size >= MAX_DATAGRAM_CLIENTS || target.isSealed(address)) return;
      const socket = createSocket(family).unref();
      const timer = setTimeout(() => socket.close(), DATAGRAM_IDLE).unref();
      socket.on('error', () => undefined);
      socket.on('close', () => clients.delete(key));
      socket.on('message', (answer) => {
        timer.refresh();
        server.send(answer, port, address, () => undefined);
      });
      client = { socket, timer };
      clients.set(key, client);
    }
    client.timer.refresh();
    client.socket.send(message, target.port, target.host, () => undefined);
  });
  server.on('close', () => {
    for (const { socket, timer } of clients.values()) {
      clearTimeout(timer);
      socket.close();
    }
  });
  return server;
}
