import { closeSync, constants, openSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { basename, dirname } from 'node:path';
import type { Duplex } from 'node:stream';

/** A socket on the host that stands for a client's ssh agent: each connection to it is one to the agent. */
export class SshAgentSocket implements AsyncDisposable {
  readonly path: string;
  readonly #server: Server;
  readonly #directory: number;
  readonly #sockets = new Set<Duplex>();

  private constructor(path: string, server: Server, directory: number) {
    this.path = path;
    this.#server = server;
    this.#directory = directory;
  }

  /** `first` is a connection that is there already; more are made by `connect`. */
  static async listen(
    path: string,
    connect: () => Promise<Duplex | undefined>,
    first: Duplex,
  ): Promise<SshAgentSocket> {
    // A socket's path has 107 bytes: by its directory's descriptor it always fits.
    const directory = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
    const server = createServer({ allowHalfOpen: true });
    const agent = new SshAgentSocket(path, server, directory);
    let waiting: Duplex | undefined = first;
    agent.#keep(first);
    first.on('error', () => undefined);
    server.on('connection', (socket) => {
      agent.#keep(socket);
      socket.on('error', () => socket.destroy());
      const given = waiting;
      waiting = undefined;
      void (given ? Promise.resolve(given) : connect()).then(
        (remote) => (remote ? agent.#join(socket, remote) : socket.destroy()),
        () => socket.destroy(),
      );
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(`/proc/self/fd/${directory}/${basename(path)}`, resolve);
    }).catch(async (error: unknown) => {
      await agent[Symbol.asyncDispose]();
      throw error;
    });
    return agent;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (this.#server.listening) await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    closeSync(this.#directory);
  }

  #keep(socket: Duplex): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  #join(socket: Socket, remote: Duplex): void {
    this.#keep(remote);
    remote.on('error', () => socket.destroy());
    remote.once('close', () => socket.destroy());
    socket.once('close', () => remote.destroy());
    socket.pipe(remote);
    remote.pipe(socket);
  }
}
