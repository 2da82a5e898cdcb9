import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { workerUrl } from './worker-url.ts';

/** So many threads start as soon as somebody wants one. */
const AT_ONCE = Math.max(2, availableParallelism());
/** When no thread came free for so long, and none is starting, one more is started. */
const PATIENCE_MS = 40;
/** Idle threads that are kept, and for how long: one that has its code answers in 1 ms, a new one takes 30 to 50 of a core. */
const KEEP = Math.max(4, availableParallelism());
const KEEP_MS = 10_000;

/**
 * Threads for jobs, taken and given back. Beyond one for each core a job waits for the next that comes free: twenty builds
 * at once would otherwise start twenty threads for jobs of a millisecond. It never waits for long, as jobs may be the
 * input of one another, or wait for a client.
 */
export class JobThreads {
  readonly #idle: { readonly worker: Worker; readonly timer: NodeJS.Timeout }[] = [];
  readonly #waiting: ((worker: Worker) => void)[] = [];
  /** Called when the last idle thread ended. */
  onRest = (): void => {};
  #busy = 0;
  #starting = 0;
  #growth: NodeJS.Timeout | undefined;

  /** A thread for one job, soon. */
  async take(): Promise<Worker> {
    const kept = this.#idle.pop();
    if (kept) {
      clearTimeout(kept.timer);
      kept.worker.ref();
      this.#busy++;
      return kept.worker;
    }
    if (this.#busy < AT_ONCE) return this.#begin();
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#growth ??= this.#growLater();
    });
  }

  /** The job of a thread is over. */
  giveBack(worker: Worker): void {
    const next = this.#waiting.shift();
    if (next) {
      // Things move: whoever waits now has the whole time before it.
      this.#growth?.refresh();
      return next(worker);
    }
    this.#busy--;
    if (this.#idle.length >= KEEP) {
      void worker.terminate();
      return;
    }
    worker.unref();
    const timer = setTimeout(() => {
      this.#forget(worker);
      void worker.terminate().then(() => {
        if (this.#idle.length === 0 && this.#busy === 0) this.onRest();
      });
    }, KEEP_MS);
    timer.unref();
    this.#idle.push({ worker, timer });
  }

  /** A thread ended under its job. */
  lost(): void {
    this.#busy--;
    this.#waiting.shift()?.(this.#begin());
  }

  #begin(): Worker {
    this.#busy++;
    // A small young generation is looked through often: what it holds outside of the heap, chunks of bytes, goes sooner.
    const resourceLimits = { maxYoungGenerationSizeMb: 8 };
    const worker = new Worker(workerUrl('base/job-thread'), { resourceLimits });
    this.#starting++;
    const started = (): void => {
      if (starting) this.#starting--;
      starting = false;
    };
    let starting = true;
    worker.once('online', started);
    worker.on('exit', () => {
      started();
      this.#forget(worker);
    });
    return worker.on('error', () => {}); // the job reports it
  }

  /** It is to serve nobody any more. */
  #forget(worker: Worker): void {
    const index = this.#idle.findIndex((kept) => kept.worker === worker);
    if (index >= 0) clearTimeout(this.#idle.splice(index, 1)[0]!.timer);
  }

  #growLater(): NodeJS.Timeout {
    return setTimeout(() => {
      this.#growth = undefined;
      // On a busy machine a thread takes long to start, and the next would only make that longer.
      if (this.#waiting.length > 0 && this.#starting === 0) this.#waiting.shift()!(this.#begin());
      if (this.#waiting.length > 0) this.#growth = this.#growLater();
    }, PATIENCE_MS);
  }
}
