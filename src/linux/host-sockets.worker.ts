/**
 * A thread that stays in the network namespace it was started in, while the rest of the process moves into another: it makes
 * sockets there and starts programs there, on behalf of the main thread, which waits (see `host-sockets.ts`).
 */
import { readFileSync } from 'node:fs';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { boundSocket, type SocketAddress } from './bound-socket.ts';
import type { SystemCallError } from './libc.ts';
import { newSocket } from './network-namespace.ts';
import { spawnPid, type SpawnRequest } from './spawn.ts';

export type HostCall =
  | { readonly call: 'bound'; readonly where: SocketAddress }
  | { readonly call: 'socket'; readonly domain: number; readonly type: number }
  | { readonly call: 'spawn'; readonly request: SpawnRequest }
  | { readonly call: 'read'; readonly path: string };

export type HostAnswer =
  | { readonly value: number | string }
  | {
      readonly failed: {
        readonly message: string;
        readonly code: string;
        readonly errno: number;
        readonly syscall: string;
      };
    };

const { port, done } = workerData as { port: MessagePort; done: Int32Array };

port.on('message', (call: HostCall) => {
  port.postMessage(answer(call));
  Atomics.store(done, 0, 1);
  Atomics.notify(done, 0);
});
parentPort?.postMessage('ready');

function answer(call: HostCall): HostAnswer {
  try {
    return { value: work(call) };
  } catch (error) {
    const { message, code, errno, syscall } = error as SystemCallError;
    return { failed: { message, code, errno, syscall } };
  }
}

function work(call: HostCall): number | string {
  switch (call.call) {
    case 'bound':
      return boundSocket(call.where);
    case 'socket':
      return newSocket(call.domain, call.type, 0);
    case 'spawn':
      return spawnPid(call.request);
    case 'read':
      return readFileSync(call.path, 'latin1');
  }
}
