/** Asks an engine for `/_ping` all the time, from a thread of its own, and tells how long it had to wait. */
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

export interface PingTimes {
  readonly asked: number;
  readonly failed: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
}

/** Milliseconds from the end of one question to the next. */
const PAUSE_MS = 10;

export class PingWatch {
  readonly #worker: Worker;

  constructor(socket: string) {
    this.#worker = new Worker(new URL(import.meta.url), { workerData: socket });
  }

  /** Ends it. */
  async end(): Promise<PingTimes> {
    const told = Promise.withResolvers<PingTimes>();
    this.#worker.once('message', told.resolve);
    this.#worker.once('error', told.reject);
    this.#worker.postMessage('end');
    const times = await told.promise;
    await this.#worker.terminate();
    return times;
  }
}

/** The `share`th part of numbers in order. */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

async function watch(socketPath: string): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const times: number[] = [];
  let failed = 0;
  let ended = false;
  parentPort!.once('message', () => (ended = true));
  while (!ended) {
    const from = performance.now();
    if (await ping(socketPath, agent)) times.push(performance.now() - from);
    else failed++;
    await sleep(PAUSE_MS);
  }
  agent.destroy();
  times.sort((a, b) => a - b);
  const round = (ms: number): number => Math.round(ms * 10) / 10;
  const result: PingTimes = {
    asked: times.length + failed,
    failed,
    p50: round(percentile(times, 0.5)),
    p99: round(percentile(times, 0.99)),
    longest: round(times.at(-1) ?? Number.NaN),
  };
  parentPort!.postMessage(result);
}

function ping(socketPath: string, agent: Agent): Promise<boolean> {
  return new Promise((resolve) => {
    const req = request({ socketPath, agent, path: '/_ping', timeout: 30_000 }, (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode === 200));
      response.once('error', () => resolve(false));
    });
    req.once('error', () => resolve(false));
    req.once('timeout', () => req.destroy());
    req.end();
  });
}

if (!isMainThread) await watch(workerData as string);
