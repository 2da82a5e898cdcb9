import { createHash, randomBytes } from 'node:crypto';
import net from 'node:net';
import { now } from '../../base/time.ts';

/**
 * As much of the Engine API as the rehearsed commands ask for, in memory: containers that end as soon as they are
 * waited for, and images that are there. What it answers reaches nobody but the functions that are to be compiled.
 */
export class RehearsalEngine {
  readonly #containers = new Map<string, Container>();
  readonly #networks = new Map<string, Resource>();
  readonly #volumes = new Map<string, Resource>();
  readonly #sockets = new Set<net.Socket>();
  readonly #server: net.Server;
  /** Requests for which there is no answer here: the rehearsal has gone out of step with the commands. */
  readonly unknown: string[] = [];

  constructor() {
    this.#server = net.createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      let received = Buffer.alloc(0);
      socket.on('data', (data: Buffer) => {
        received = Buffer.concat([received, data]);
        for (let request = takeRequest(received); request; request = takeRequest(received)) {
          received = received.subarray(request.length);
          this.#answer(socket, request);
        }
      });
    });
  }

  listen(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(path, resolve);
    });
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(socket: net.Socket, request: Request): void {
    const path = request.path.replace(/^\/v1\.\d+/, '');
    const url = new URL(path, 'http://engine');
    const [, kind = '', name = '', verb = ''] = url.pathname.split('/');
    const found = this.#container(name);
    switch (
      `${request.method} ${kind}${name === '' ? '' : `/${['create', 'json'].includes(name) ? name : '*'}`}${verb === '' ? '' : `/${verb}`}`
    ) {
      case 'HEAD _ping':
        return void socket.write('HTTP/1.1 200 OK\r\nApi-Version: 1.51\r\nContent-Length: 0\r\n\r\n');
      case 'GET version':
        return send(socket, {
          Version: '1',
          ApiVersion: '1.51',
          MinAPIVersion: '1.24',
          Os: 'linux',
          Arch: 'amd64',
          Components: [],
        });
      case 'POST containers/create': {
        const body = JSON.parse(request.body) as Body;
        const network = [...this.#networks.values()].find(({ Name }) => Name === body.HostConfig?.NetworkMode);
        const name = url.searchParams.get('name') ?? `calm_hopper${this.#containers.size}`;
        const container = new Container(name, body, network?.Id ?? newId());
        this.#containers.set(container.id, container);
        return send(socket, { Id: container.id, Warnings: [] }, 201);
      }
      case 'GET containers/json':
        return send(
          socket,
          [...this.#containers.values()].map((container) => container.summary()),
        );
      case 'GET containers/*/json':
        return found ? send(socket, found.inspection()) : missing(socket);
      case 'POST containers/*/start':
        found?.start();
        return send(socket, undefined, 204);
      case 'POST containers/*/stop':
        found?.stop();
        return send(socket, undefined, 204);
      case 'POST containers/*/wait':
        return found ? found.wait(socket) : missing(socket);
      case 'POST containers/*/attach':
        return found ? found.attach(socket) : missing(socket);
      case 'GET containers/*/logs':
        return send(socket, frame('a line\n'));
      case 'DELETE containers/*':
        if (found) this.#containers.delete(found.id);
        return send(socket, undefined, 204);
      case 'POST containers/*/exec':
        return send(socket, { Id: newId() }, 201);
      case 'POST exec/*/start':
        upgrade(socket);
        return void socket.end(frame('a line\n'));
      case 'GET exec/*/json':
        return send(socket, { Running: false, ExitCode: 0 });
      case 'GET images/json':
        return send(socket, [
          {
            Id: IMAGE_ID,
            ParentId: '',
            RepoTags: ['busybox:latest'],
            RepoDigests: [],
            Created: 1,
            Size: 1,
            SharedSize: -1,
            Labels: null,
            Containers: 0,
          },
        ]);
      case 'GET images/*/json':
        return send(socket, {
          Id: IMAGE_ID,
          RepoTags: ['busybox:latest'],
          RepoDigests: [],
          Architecture: 'amd64',
          Os: 'linux',
          Config: { Cmd: ['sh'], Env: [] },
        });
      case 'GET networks':
        return send(socket, [...this.#networks.values()]);
      case 'POST networks/create': {
        const body = JSON.parse(request.body) as Resource;
        const network = {
          ...body,
          Id: newId(),
          Driver: 'bridge',
          Scope: 'local',
          IPAM: { Driver: 'default', Config: [] },
          Containers: {},
        };
        this.#networks.set(network.Id, network);
        return send(socket, { Id: network.Id, Warning: '' }, 201);
      }
      case 'GET networks/*':
        return this.#networks.has(name) ? send(socket, this.#networks.get(name)) : missing(socket);
      case 'DELETE networks/*':
        this.#networks.delete(name);
        return send(socket, undefined, 204);
      case 'GET volumes':
        return send(socket, { Volumes: [...this.#volumes.values()], Warnings: null });
      case 'POST volumes/create': {
        const body = JSON.parse(request.body) as Resource;
        const volume = { ...body, Driver: 'local', Mountpoint: '/', Scope: 'local' };
        this.#volumes.set(body.Name, volume);
        return send(socket, volume, 201);
      }
      case 'GET gantry/*':
        return send(socket, []);
      default:
        this.unknown.push(`${request.method} ${path}`);
        return missing(socket);
    }
  }

  #container(name: string): Container | undefined {
    return this.#containers.get(name) ?? [...this.#containers.values()].find((container) => container.name === name);
  }
}

type Body = Record<string, unknown> & { Labels?: Record<string, string>; HostConfig?: { NetworkMode?: string } };
interface Resource {
  Name: string;
  Id?: string;
}
interface Request {
  readonly method: string;
  readonly path: string;
  readonly body: string;
  /** Of the whole request. */
  readonly length: number;
}

const IMAGE_ID = `sha256:${createHash('sha256').update('image').digest('hex')}`;
const newId = (): string => randomBytes(32).toString('hex');

class Container {
  readonly id = newId();
  readonly name: string;
  readonly #body: Body;
  readonly #network: string;
  #running = false;
  #attached: net.Socket[] = [];
  #waiting: net.Socket[] = [];

  constructor(name: string, body: Body, network: string) {
    this.name = name;
    this.#body = body;
    this.#network = network;
  }

  start(): void {
    this.#running = true;
    for (const socket of this.#attached.splice(0)) socket.end(frame('a line\n'));
    if (this.#waiting.length > 0) this.stop();
  }

  stop(): void {
    this.#running = false;
    const text = JSON.stringify({ StatusCode: 0 });
    for (const socket of this.#waiting.splice(0)) socket.write(`${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`);
  }

  attach(socket: net.Socket): void {
    upgrade(socket);
    this.#attached.push(socket);
  }

  wait(socket: net.Socket): void {
    socket.write('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n');
    this.#waiting.push(socket);
  }

  summary(): object {
    return {
      Id: this.id,
      Names: [`/${this.name}`],
      Image: this.#body['Image'],
      ImageID: IMAGE_ID,
      Command: 'sh',
      Created: Math.floor(Date.now() / 1000),
      Ports: [{ IP: '127.0.0.1', PrivatePort: 80, PublicPort: 8080, Type: 'tcp' }],
      Labels: this.#body.Labels ?? {},
      State: this.#running ? 'running' : 'exited',
      Status: this.#running ? 'Up 1 second' : 'Exited (0) 1 second ago',
      HostConfig: { NetworkMode: this.#body.HostConfig?.NetworkMode },
      NetworkSettings: { Networks: this.#networks() },
      Mounts: [],
    };
  }

  inspection(): object {
    return {
      Id: this.id,
      Created: now(),
      Name: `/${this.name}`,
      Image: IMAGE_ID,
      State: { Status: this.#running ? 'running' : 'created', Running: this.#running, ExitCode: 0, StartedAt: now() },
      Config: this.#body,
      HostConfig: this.#body.HostConfig ?? {},
      Mounts: [],
      NetworkSettings: { Ports: {}, Networks: this.#networks() },
    };
  }

  #networks(): object {
    const name = this.#body.HostConfig?.NetworkMode ?? 'bridge';
    return { [name]: { NetworkID: this.#network, Aliases: [this.name], IPAddress: '172.17.0.2' } };
  }
}

/** The first whole request in what was received. */
function takeRequest(received: Buffer): Request | undefined {
  const end = received.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const head = received.toString('latin1', 0, end);
  const size = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
  const length = end + 4 + size;
  if (received.length < length) return undefined;
  const [method = '', path = ''] = head.split(' ');
  return { method, path, body: received.toString('utf8', end + 4, length), length };
}

function send(socket: net.Socket, value: unknown, status = 200): void {
  const body = Buffer.isBuffer(value) ? value : Buffer.from(value === undefined ? '' : JSON.stringify(value));
  const head = `HTTP/1.1 ${status} OK\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
  socket.write(status === 204 ? 'HTTP/1.1 204 No Content\r\n\r\n' : Buffer.concat([Buffer.from(head), body]));
}

function missing(socket: net.Socket): void {
  send(socket, { message: 'not found' }, 404);
}

function upgrade(socket: net.Socket): void {
  socket.write(
    'HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n',
  );
}

/** Output of a container as the API carries it: one frame of standard output. */
function frame(text: string): Buffer {
  const head = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]);
  head.writeUInt32BE(text.length, 4);
  return Buffer.concat([head, Buffer.from(text)]);
}
