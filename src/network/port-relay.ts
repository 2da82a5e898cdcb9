import { connect, createServer, type Server, type Socket } from 'node:net';

/**
 * Passes connections on from a listening socket that this takes over. The kernel's rules carry nearly everything; what comes
 * here is what they cannot translate: a client on IPv6 where the container has IPv4 only.
 */
export function relayConnections(fd: number, target: { readonly host: string; readonly port: number }): Server {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => relay(client, target));
  server.on('error', () => undefined);
  server.listen({ fd });
  server.unref();
  return server;
}

function relay(client: Socket, target: { readonly host: string; readonly port: number }): void {
  const upstream = connect({ ...target, allowHalfOpen: true });
  client.on('error', () => upstream.destroy());
  upstream.on('error', () => client.resetAndDestroy());
  upstream.once('connect', () => {
    client.pipe(upstream);
    upstream.pipe(client);
  });
  client.on('close', () => upstream.destroy());
  upstream.on('close', () => client.destroy());
}
