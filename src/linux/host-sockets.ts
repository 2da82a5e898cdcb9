import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { Socket, type SocketConstructorOpts } from 'node:net';
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { workerUrl } from '../base/worker-url.ts';
import type { SocketAddress } from './bound-socket.ts';
import { childExit } from './children.ts';
import type { HostAnswer, HostCall } from './host-sockets.worker.ts';
import { SystemCallError } from './libc.ts';
import type { SpawnedProcess, SpawnRequest } from './spawn.ts';

/**
 * The host's network, for an engine whose own is another one: a thread stays behind in it. A socket belongs for ever to the
 * network namespace it was made in, whoever uses it, so those made there are the host's, with the rights of the user
 * who started the engine. Each call takes about 0.1 ms, for which the event loop waits.
 */
export class HostSockets {
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #done: Int32Array;

  private constructor(worker: Worker, port: MessagePort, done: Int32Array) {
    this.#worker = worker;
    this.#port = port;
    this.#done = done;
  }

  /** To be called while the process is in the host's network namespace still. */
  static async open(): Promise<HostSockets> {
    const { port1, port2 } = new MessageChannel();
    const done = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(workerUrl('linux/host-sockets'), {
      workerData: { port: port2, done },
      transferList: [port2],
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 1 },
    });
    await once(worker, 'message');
    worker.unref();
    port1.unref();
    return new HostSockets(worker, port1, done);
  }

  /** As `boundSocket`, on an address of the host. */
  bound(where: SocketAddress): number {
    return this.#ask({ call: 'bound', where }) as number;
  }

  /** A tcp socket that listens on an address of the host, given by name or number. Port 0 is any. */
  async listening(host: string, port: number): Promise<number> {
    const { address } = await lookup(host);
    return this.bound({ protocol: 'tcp', address: addressBytes(address), port });
  }

  /** A socket to be bound or connected by the caller, who owns the descriptor. */
  socket(domain: number, type: number): number {
    return this.#ask({ call: 'socket', domain, type }) as number;
  }

  /** A socket that is about to be connected to an address (no name) that the host reaches. */
  connecting(address: string, port: number): Socket {
    const fd = this.socket(address.includes(':') ? AF_INET6 : AF_INET, SOCK_STREAM);
    // not read before it is connected
    const options: SocketConstructorOpts & { manualStart: boolean } = {
      fd,
      readable: true,
      writable: true,
      manualStart: true,
    };
    return new Socket(options).connect({ host: address, port });
  }

  /** A connection to a host given by name or number, by the first of its addresses that answers. */
  async connect(host: string, port: number): Promise<Socket> {
    const addresses = await lookup(host.replace(/^\[(.*)\]$/, '$1'), { all: true });
    let refused: unknown;
    for (const { address } of addresses) {
      const socket = this.connecting(address, port);
      try {
        await once(socket, 'connect');
        return socket;
      } catch (error) {
        refused ??= error;
      }
    }
    throw refused;
  }

  /** As `spawnProcess`, the program being in the host's network. */
  spawn(request: SpawnRequest): SpawnedProcess {
    const pid = this.#ask({ call: 'spawn', request }) as number;
    return { pid, exited: childExit(pid) };
  }

  /** A file below /proc/sys/net or /proc/thread-self/net as the host has it. */
  read(path: string): string {
    return this.#ask({ call: 'read', path }) as string;
  }

  async close(): Promise<void> {
    this.#port.close();
    await this.#worker.terminate();
  }

  #ask(call: HostCall): number | string {
    Atomics.store(this.#done, 0, 0);
    this.#port.postMessage(call);
    Atomics.wait(this.#done, 0, 0);
    const answer = receiveMessageOnPort(this.#port)?.message as HostAnswer;
    if ('value' in answer) return answer.value;
    const { message, code, errno, syscall } = answer.failed;
    const error = new SystemCallError(syscall, errno);
    error.message = message;
    throw Object.assign(error, { code });
  }
}

const [AF_INET, AF_INET6, SOCK_STREAM] = [2, 10, 1];

/** 4 or 16 bytes of an address as `lookup` gives it: IPv6 with or without `::`, perhaps with an IPv4 end, no zone. */
export function addressBytes(address: string): Uint8Array {
  if (!address.includes(':')) return Uint8Array.from(address.split('.'), Number);
  const ipv4 = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(address);
  const end = ipv4 ? addressBytes(ipv4[2]!) : undefined;
  const plain = end ? `${ipv4![1]}${hex(end[0]!, end[1]!)}:${hex(end[2]!, end[3]!)}` : address;
  const [before = '', after] = plain.split('::');
  const words = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16));
  const [head, tail] = [words(before), words(after ?? '')];
  const all = [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => 0), ...tail];
  return Uint8Array.from(all.flatMap((word) => [word >> 8, word & 0xff]));
}

function hex(high: number, low: number): string {
  return ((high << 8) | low).toString(16);
}
