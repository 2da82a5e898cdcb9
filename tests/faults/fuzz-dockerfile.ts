/**
 * Odd Dockerfiles, many of them:
 *
 *     node tests/faults/fuzz-dockerfile.ts [inputs=10000000] [seed=1] [first=0]
 *
 * `first` is for runs in parts: the inputs of a seed have numbers.
 * Each is read as a Dockerfile (parsed, linted, planned), as a word to expand, a mount, an ignore file and a git address.
 * What is not read must be refused by a typed error, and each within a minute. Exits 1 with the input that was not.
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { oddText, readAsAll } from '../support/dockerfile-fuzzer.ts';

const BATCH = 1000;
const HANG_MS = 60_000;

if (isMainThread) {
  const inputs = Number(process.argv[2] ?? 10_000_000);
  const seed = Number(process.argv[3] ?? 1);
  const first = Number(process.argv[4] ?? 0);
  let at = 0;
  let seen = Date.now();
  const started = Date.now();
  const worker = new Worker(new URL(import.meta.url), { workerData: { inputs, seed, first } });
  const watch = setInterval(() => {
    if (Date.now() - seen < HANG_MS) return;
    console.error(`hangs in one of the inputs ${first + at} to ${first + at + BATCH} of seed ${seed}`);
    process.exit(1);
  }, 1000);
  worker.on('message', (done: number) => {
    [at, seen] = [done, Date.now()];
    if (done % 1_000_000 === 0) console.log(`${done} inputs, ${Math.round((Date.now() - started) / 1000)} s`);
  });
  worker.once('error', (error) => {
    console.error(error);
    process.exitCode = 1;
  });
  worker.once('exit', () => {
    clearInterval(watch);
    if (!process.exitCode) console.log(`${at} inputs of seed ${seed} from ${first} on: each read or refused`);
  });
} else {
  const { inputs, seed, first } = workerData as { inputs: number; seed: number; first: number };
  for (let n = 0; n < inputs; n++) {
    readAsAll(oddText(seed, first + n));
    if ((n + 1) % BATCH === 0 || n + 1 === inputs) parentPort!.postMessage(n + 1);
  }
}
