import { spawn, spawnSync } from 'node:child_process';

/** An engine to be measured: a name and how its commands are called. */
export interface Peer {
  readonly name: string;
  readonly host: string;
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

/** Measures every item on every peer in turn (A B A B …) and prints a table of medians and of ratios to the fastest other peer. */
export async function compare(peers: readonly Peer[], items: readonly Item[], ours: string): Promise<void> {
  const others = peers.filter((peer) => peer.name !== ours);
  console.log(['item', ...peers.map((peer) => `${peer.name} ms`), 'ratio', 'goal'].join(' | '));
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
    const medians = new Map([...times].map(([name, values]) => [name, median(values)]));
    const best = Math.min(...others.map((peer) => medians.get(peer.name) ?? Infinity));
    const mine = medians.get(ours);
    const ratio = mine !== undefined && Number.isFinite(best) ? mine / best : undefined;
    console.log(
      [
        item.name,
        ...peers.map((peer) => format(medians.get(peer.name))),
        ratio?.toFixed(2) ?? '-',
        item.goal ?? '-',
      ].join(' | '),
    );
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}

function format(value: number | undefined): string {
  return value === undefined ? '-' : value.toFixed(value < 100 ? 1 : 0);
}

/** `name=unix:///…` words. */
export function readPeers(words: readonly string[]): Peer[] {
  return words.map((word) => ({ name: word.slice(0, word.indexOf('=')), host: word.slice(word.indexOf('=') + 1) }));
}
