/**
 * Asks an engine for `/_ping` all the time, from a process of its own, and tells how long it had to wait. What is measured
 * is the engine, not the asker: it goes before others, as an engine does.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { goFirst, goFirstOfSessions } from '../../src/linux/priority.ts';

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
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Resolves when it asks. */
  static async start(socket: string): Promise<PingWatch> {
    // a session of its own, which is what processors are divided among
    const child = fork(fileURLToPath(import.meta.url), [socket], { detached: true });
    await once(child, 'message');
    return new PingWatch(child);
  }

  /** Ends it. */
  async end(): Promise<PingTimes> {
    const told = once(this.#child, 'message') as Promise<[PingTimes]>;
    this.#child.send('end');
    const [times] = await told;
    this.#child.disconnect();
    return times;
  }
}

/** The `share`th part of numbers in order. */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

async function watch(socketPath: string): Promise<void> {
  goFirstOfSessions();
  await goFirst();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const times: number[] = [];
  let failed = 0;
  let ended = false;
  process.once('message', () => (ended = true));
  process.once('disconnect', () => process.exit());
  await ping(socketPath, agent); // what is done once, like the connection, is not counted
  process.send!('ready');
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
  process.send!(result);
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

if (import.meta.main) await watch(process.argv[2]!);
