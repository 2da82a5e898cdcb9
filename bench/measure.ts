import { spawn, spawnSync } from 'node:child_process';
import { appendFileSync, readFileSync } from 'node:fs';

/** An engine to be measured: a name and how its commands are called. */
export interface Peer {
  readonly name: string;
  readonly host: string;
  /** File with the process id of an engine that is in a network namespace of its own. */
  readonly pidFile?: string;
}

export interface Item {
  readonly name: string;
  /** Largest ratio to the fastest of the other peers that is aimed at. */
  readonly goal?: number;
  readonly rounds: number;
  /** Runs once in each round; gives milliseconds. */
  readonly run: (peer: Peer) => Promise<number>;
  readonly before?: (peer: Peer) => Promise<void>;
  readonly after?: (peer: Peer) => Promise<void>;
  readonly only?: readonly string[];
}

/** Runs a shell script against a peer and gives its wall time in milliseconds. Throws when it fails. */
export async function timed(peer: Peer, script: string, options: { ignoreFailure?: boolean } = {}): Promise<number> {
  const start = performance.now();
  const code = await new Promise<number>((resolve) => {
    const child = spawn('sh', ['-c', script], {
      env: { ...process.env, DOCKER_HOST: peer.host },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    child.once('exit', (exit) => resolve(exit ?? 137));
  });
  if (code !== 0 && !options.ignoreFailure) throw new Error(`${peer.name}: exit ${code}: ${script}`);
  return performance.now() - start;
}

/** Output of a shell script against a peer. */
export function output(peer: Peer, script: string): string {
  return spawnSync('sh', ['-c', script], {
    env: { ...process.env, DOCKER_HOST: peer.host },
    encoding: 'utf8',
  }).stdout.trim();
}

/** Process id of our engine, from the file that BENCH_ENGINE_PID names (`<exec-root>/engine.pid`); undefined without one. */
export function ownEnginePid(): number | undefined {
  const file = process.env['BENCH_ENGINE_PID'];
  if (!file) return undefined;
  const pid = Number(readFileSync(file, 'utf8'));
  return Number.isInteger(pid) && pid > 0 ? pid : undefined;
}

/** Measures every item on every peer in turn (A B A B …) and records the medians. */
export async function compare(peers: readonly Peer[], items: readonly Item[], ours: string): Promise<void> {
  for (const item of items) {
    const chosen = peers.filter((peer) => !item.only || item.only.includes(peer.name));
    const times = new Map<string, number[]>(chosen.map((peer) => [peer.name, []]));
    try {
      for (const peer of chosen) {
        await item.before?.(peer);
        if (item.rounds > 2) await item.run(peer); // warm-up
      }
      for (let round = 0; round < item.rounds; round++) {
        for (const peer of chosen) times.get(peer.name)!.push(await item.run(peer));
      }
    } catch (error) {
      console.log(`${item.name} | failed: ${(error as Error).message}`);
      continue;
    } finally {
      for (const peer of chosen) await item.after?.(peer).catch(() => undefined);
    }
    const medians = Object.fromEntries([...times].map(([name, values]) => [name, median(values)]));
    const goal = item.goal === undefined ? {} : { goal: item.goal };
    record({ name: item.name, unit: 'ms', values: medians, ours, ...goal });
  }
}

/** A figure of one run: the medians of all engines, in `unit`. */
export interface Row {
  /** Of the benchmark: two may have figures of one name. */
  readonly part?: string;
  /** When it was measured: 2026-12-01. */
  readonly date?: string;
  readonly name: string;
  readonly unit: string;
  readonly values: Readonly<Record<string, number>>;
  /** Whose figure is held against the best of the others. */
  readonly ours: string;
  /** Largest ratio to the best other peer that is aimed at; smallest, where more is better. */
  readonly goal?: number;
  readonly moreIsBetter?: boolean;
  /** Largest value of ours that is aimed at, whatever others have. */
  readonly limit?: number;
}

/** Ratio of ours to the best other; undefined where one of them is missing. */
export function ratioOf({ values, ours, moreIsBetter }: Row): number | undefined {
  const others = Object.entries(values)
    .filter(([name]) => name !== ours)
    .map(([, value]) => value);
  const mine = values[ours];
  if (mine === undefined || others.length === 0) return undefined;
  return mine / (moreIsBetter ? Math.max(...others) : Math.min(...others));
}

/** Prints a row; where BENCH_RESULTS names a file, also appends it there as a line of JSON with its part (BENCH_PART) and date. */
export function record(row: Row): void {
  const values = Object.entries(row.values).map(([name, value]) => `${name} ${format(value)} ${row.unit}`);
  const ratio = ratioOf(row);
  const goal = row.goal === undefined ? [] : [`goal ${row.moreIsBetter ? 'at least' : 'at most'} ${row.goal}`];
  if (row.limit !== undefined) goal.push(`limit ${row.limit} ${row.unit}`);
  console.log([row.name, ...values, ratio === undefined ? '-' : `ratio ${ratio.toFixed(2)}`, ...goal].join(' | '));
  const file = process.env['BENCH_RESULTS'];
  const [part, date] = [process.env['BENCH_PART'], new Date().toISOString().slice(0, 10)];
  if (file) appendFileSync(file, `${JSON.stringify({ ...(part && { part }), date, ...row })}\n`);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}

function format(value: number): string {
  return value.toFixed(value < 100 ? 1 : 0);
}

/** `name=unix:///…` words, each with `@PIDFILE` behind it where the engine is in a network namespace of its own. */
export function readPeers(words: readonly string[]): Peer[] {
  return words.map((word) => {
    const [, name = '', host = '', pidFile] = /^([^=]*)=([^@]*)(?:@(.*))?$/.exec(word) ?? [];
    return { name, host, ...(pidFile === undefined ? {} : { pidFile }) };
  });
}
