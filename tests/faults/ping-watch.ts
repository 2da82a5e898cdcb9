/**
 * Asks an engine for `/_ping` all the time, from a process of its own, and tells how long it had to wait. What is measured
 * is the engine, not the asker: it goes before others, as an engine does.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
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
  /** Of the longest, and of each without the time in which the engine wanted a processor and had none. */
  readonly longestRan: number;
  readonly p99Own: number;
  readonly longestOwn: number;
}

/** Milliseconds from the end of one question to the next. */
const PAUSE_MS = 10;

export class PingWatch {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Resolves when it asks. `pid` is the engine's, where its times are to be told, too. */
  static async start(socket: string, pid?: number): Promise<PingWatch> {
    // a session of its own, which is what processors are divided among
    const child = fork(fileURLToPath(import.meta.url), [socket, String(pid ?? '')], { detached: true });
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

interface Answer {
  readonly wall: number;
  /** What the engine's main thread had of a processor meanwhile, and how long it waited for one. */
  readonly ran: number;
  readonly waited: number;
}

/** Milliseconds of a processor, had and waited for. */
function scheduled(pid: string): { ran: number; waited: number } {
  if (pid === '') return { ran: 0, waited: 0 };
  const [ran, waited] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'latin1').split(' ').map(Number);
  return { ran: ran! / 1e6, waited: waited! / 1e6 };
}

async function watch(socketPath: string, pid: string): Promise<void> {
  goFirstOfSessions();
  await goFirst();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const answers: Answer[] = [];
  let failed = 0;
  let ended = false;
  process.once('message', () => (ended = true));
  process.once('disconnect', () => process.exit());
  await ping(socketPath, agent); // what is done once, like the connection, is not counted
  process.send!('ready');
  while (!ended) {
    const before = scheduled(pid);
    const from = performance.now();
    if (await ping(socketPath, agent)) {
      const wall = performance.now() - from;
      const after = scheduled(pid);
      answers.push({ wall, ran: after.ran - before.ran, waited: after.waited - before.waited });
    } else failed++;
    await sleep(PAUSE_MS);
  }
  agent.destroy();
  answers.sort((a, b) => a.wall - b.wall);
  const times = answers.map(({ wall }) => wall);
  const own = answers.map(({ wall, waited }) => Math.max(0, wall - waited)).sort((a, b) => a - b);
  const round = (ms: number): number => Math.round(ms * 10) / 10;
  const result: PingTimes = {
    asked: times.length + failed,
    failed,
    p50: round(percentile(times, 0.5)),
    p99: round(percentile(times, 0.99)),
    longest: round(times.at(-1) ?? Number.NaN),
    longestRan: round(answers.at(-1)?.ran ?? Number.NaN),
    p99Own: round(percentile(own, 0.99)),
    longestOwn: round(own.at(-1) ?? Number.NaN),
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

if (import.meta.main) await watch(process.argv[2]!, process.argv[3] ?? '');
