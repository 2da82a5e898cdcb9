/**
 * `npm run test:fuzz`: inputs for every parser of what comes from outside, for a fixed time each.
 *
 *     npm run test:fuzz                                  20 seconds each, a seed of the clock
 *     npm run test:fuzz -- seconds=300 seed=7 target=tar
 *
 * Each input is read, or refused by a typed error, within the time and memory that are set. One that is not is written to
 * `tests/fuzz/corpus/TARGET`, where the test suite reads it again for ever. Exits 1 when there was one.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { CORPUS, type Finding, Fuzzer, type FuzzResult } from './fuzzer.ts';
import { MAX_BYTES } from './mutator.ts';
import { allTargets } from './targets.ts';

/** A reader that does not come back within it hangs. */
const HANG_MS = 30_000;
/** Of the thread that reads. */
const MEMORY_MIB = 512;

interface Job {
  readonly name: string;
  readonly seconds: number;
  readonly seed: number;
  /** What is being read: how many inputs were before it, its length, its bytes. */
  readonly current: SharedArrayBuffer;
}

const HEAD_BYTES = 8;

async function main(): Promise<void> {
  const words = new Map(process.argv.slice(2).map((word) => word.split('=', 2) as [string, string]));
  const seconds = Number(words.get('seconds') ?? 20);
  const seed = Number(words.get('seed') ?? Date.now() % 1_000_000);
  const only = words.get('target');
  const names = await targetNames();
  if (only !== undefined && !names.includes(only)) throw new Error(`no target ${only}: ${names.join(', ')}`);
  console.log(`seed ${seed}, ${seconds} s each`);
  for (const name of only === undefined ? names : [only]) {
    const found = await fuzzInThread(name, seconds, seed);
    for (const { what, input } of found) {
      const file = join(CORPUS, name, createHash('sha256').update(input).digest('hex').slice(0, 12));
      mkdirSync(join(CORPUS, name), { recursive: true });
      writeFileSync(file, input);
      console.log(`  ${file}: ${what}`);
    }
    if (found.length > 0) process.exitCode = 1;
  }
}

async function targetNames(): Promise<string[]> {
  const targets = await allTargets();
  for (const target of targets) await target.close?.();
  return targets.map(({ name }) => name);
}

/** In a thread of its own, which can be watched from outside: a reader that never ends cannot be asked. */
async function fuzzInThread(name: string, seconds: number, seed: number): Promise<readonly Finding[]> {
  const current = new SharedArrayBuffer(HEAD_BYTES + MAX_BYTES);
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { name, seconds, seed, current } satisfies Job,
    resourceLimits: { maxOldGenerationSizeMb: MEMORY_MIB },
  });
  const head = new Int32Array(current, 0, 2);
  const ended = Promise.withResolvers<readonly Finding[]>();
  const failed = (what: string): void => {
    console.log(`${name.padEnd(14)} ${what}`);
    ended.resolve([{ what, input: Buffer.from(new Uint8Array(current, HEAD_BYTES, head[1])) }]);
  };
  worker.once('message', ({ inputs, refused, slowestMs, findings }: FuzzResult) => {
    console.log(
      `${name.padEnd(14)} ${inputs} inputs, ${refused} refused, slowest ${slowestMs} ms, ${findings.length} findings`,
    );
    ended.resolve(findings);
  });
  worker.once('error', (error) => failed(String(error)));
  let last = { number: 0, at: Date.now() };
  const watch = setInterval(() => {
    if (head[0] !== last.number) last = { number: head[0]!, at: Date.now() };
    else if (Date.now() - last.at > HANG_MS) failed(`is not read within ${HANG_MS / 1000} s`);
  }, 500);
  try {
    return await ended.promise;
  } finally {
    clearInterval(watch);
    await worker.terminate();
  }
}

/** In that thread. */
async function fuzz({ name, seconds, seed, current }: Job): Promise<void> {
  const head = new Int32Array(current, 0, 2);
  const bytes = new Uint8Array(current, HEAD_BYTES);
  const targets = await allTargets();
  const fuzzer = new Fuzzer(
    targets.find((target) => target.name === name)!,
    seed,
    (input) => {
      head[1] = input.length;
      bytes.set(input);
      head[0]!++;
    },
  );
  const result = await fuzzer.forSeconds(seconds);
  for (const target of targets) await target.close?.();
  parentPort!.postMessage(result);
}

if (isMainThread) await main();
else await fuzz(workerData as Job);
