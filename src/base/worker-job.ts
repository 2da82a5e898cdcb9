import type { Worker } from 'node:worker_threads';
import { EngineError, type ErrorCode } from './errors.ts';
import { JobThreads } from './job-threads.ts';
import { giveSlab, isSlab } from './slabs.ts';
import { workerUrl } from './worker-url.ts';

/**
 * Jobs in worker threads: one at a time a thread, with bytes streaming in or out at the reader's pace. The other end is
 * `serveJobs` in `worker-server.ts`. A job is never killed: it is asked to stop and answers, so that what it holds open
 * outside of JavaScript (file descriptors of system calls) is closed.
 */
export interface JobRequest {
  readonly job: string;
  /** Structured-cloneable. */
  readonly parameters: unknown;
  readonly input?: AsyncIterable<Uint8Array> | undefined;
  /**
   * Nobody else looks at the chunks of `input` again: they go over with their memory, and are not copied. `slabs`: those
   * of `slabsOf`, whoever else has some.
   */
  readonly givesInput?: boolean | 'slabs' | undefined;
  readonly signal?: AbortSignal | undefined;
}

export type ToWorker =
  | {
      readonly kind: 'start';
      /** URL of the module that exports `jobs`. */
      readonly module: string;
      readonly job: string;
      readonly parameters: unknown;
      readonly cancel: SharedArrayBuffer;
    }
  | { readonly kind: 'input'; readonly chunk: Uint8Array | undefined }
  | { readonly kind: 'credit'; readonly bytes: number }
  | { readonly kind: 'cancel' };

export type FromWorker =
  /** `spare`: memory of a chunk of input that the job is done with. */
  | { readonly kind: 'consumed'; readonly bytes: number; readonly spare?: ArrayBuffer }
  | { readonly kind: 'output'; readonly chunk: Uint8Array }
  | { readonly kind: 'done'; readonly result: unknown }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string };

/** Bytes that may be on their way in either direction. */
export const WINDOW = 2 << 20;

/** All kinds of jobs share them: a build's go through four of them one after the other. */
const threads = new JobThreads();

/** Calls `work` whenever threads end because there was nothing to do for a while: what jobs moved through this process is over then. */
export function whenThreadsRest(work: () => void): void {
  threads.onRest = work;
}

/** The jobs of `<name>.worker.ts`, in worker threads. They hold no process open, and idle threads end by themselves. */
export class WorkerThreads {
  readonly #module: string;

  /** @param name as for `workerUrl` */
  constructor(name: string) {
    this.#module = workerUrl(name).href;
  }

  /** Runs a job to its result. Throws what the job throws, `cancelled` on abort, or what `input` throws. */
  async run<R>(request: JobRequest): Promise<R> {
    return (await (
      await this.#start(request)
    ).result) as R;
  }

  /** Runs a job that produces bytes; it starts when the first are asked for and stops when the reader leaves. */
  async *stream(request: JobRequest): AsyncGenerator<Uint8Array> {
    const job = await this.#start(request);
    job.result.catch(() => {}); // reported by the last read
    try {
      for (;;) {
        const chunk = await job.read();
        if (!chunk) break;
        yield chunk;
      }
    } finally {
      job.cancel();
      await job.result.catch(() => {});
    }
    await job.result;
  }

  async #start(request: JobRequest): Promise<Job> {
    const worker = await threads.take();
    return new Job(worker, this.#module, request);
  }
}

class Job {
  readonly result: Promise<unknown>;
  readonly #worker: Worker;
  readonly #cancelFlag = new Int32Array(new SharedArrayBuffer(4));
  readonly #output: Uint8Array[] = [];
  #wakeReader: (() => void) | undefined;
  #wakeInput: (() => void) | undefined;
  #inFlight = 0;
  #over = false;
  #inputError: unknown;

  constructor(worker: Worker, module: string, request: JobRequest) {
    this.#worker = worker;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.result = promise;
    const { signal, input } = request;
    const onAbort = (): void => this.cancel();
    const settle = (): void => {
      this.#over = true;
      signal?.removeEventListener('abort', onAbort);
      worker.off('message', onMessage).off('error', died).off('exit', died);
      this.#wakeReader?.();
      this.#wakeInput?.();
    };
    const onMessage = (message: FromWorker): void => {
      switch (message.kind) {
        case 'output':
          this.#output.push(message.chunk);
          this.#wakeReader?.();
          return;
        case 'consumed':
          this.#inFlight -= message.bytes;
          if (message.spare) giveSlab(message.spare);
          this.#wakeInput?.();
          return;
        case 'done':
          settle();
          threads.giveBack(worker);
          return resolve(message.result);
        case 'failed':
          settle();
          threads.giveBack(worker);
          if (this.#inputError !== undefined) return reject(this.#inputError as Error);
          return reject(new EngineError(message.code, message.message));
      }
    };
    const died = (reason: Error | number): void => {
      settle();
      threads.lost();
      const why = reason instanceof Error ? reason.message : `exit ${reason}`;
      reject(new EngineError('internal', `the worker thread ended: ${why}`, { cause: reason }));
    };
    worker.on('message', onMessage).on('error', died).on('exit', died);
    this.#send({
      kind: 'start',
      module,
      job: request.job,
      parameters: request.parameters,
      cancel: this.#cancelFlag.buffer as SharedArrayBuffer,
    });
    if (signal?.aborted) this.cancel();
    signal?.addEventListener('abort', onAbort, { once: true });
    if (input) void this.#pump(input, request.givesInput ?? false);
  }

  /** The next bytes of output; undefined at the end. */
  async read(): Promise<Uint8Array | undefined> {
    for (;;) {
      const chunk = this.#output.shift();
      if (chunk) {
        this.#send({ kind: 'credit', bytes: chunk.length });
        return chunk;
      }
      if (this.#over) return undefined;
      await new Promise<void>((resolve) => (this.#wakeReader = resolve));
    }
  }

  cancel(): void {
    if (this.#over) return;
    Atomics.store(this.#cancelFlag, 0, 1);
    this.#send({ kind: 'cancel' });
  }

  async #pump(input: AsyncIterable<Uint8Array>, give: boolean | 'slabs'): Promise<void> {
    try {
      for await (const chunk of input) {
        while (this.#inFlight >= WINDOW && !this.#over) {
          await new Promise<void>((resolve) => (this.#wakeInput = resolve));
        }
        if (this.#over) return;
        if (chunk.length === 0) continue;
        const given = isGiven(chunk, give) ? chunk : new Uint8Array(chunk);
        this.#inFlight += given.length;
        this.#send({ kind: 'input', chunk: given }, [given.buffer as ArrayBuffer]);
      }
      if (!this.#over) this.#send({ kind: 'input', chunk: undefined });
    } catch (error) {
      this.#inputError = error;
      this.cancel();
    }
  }

  #send(message: ToWorker, transfer: ArrayBuffer[] = []): void {
    if (!this.#over) this.#worker.postMessage(message, transfer);
  }
}

/** Whether all the memory of a chunk is its own: it is a slab, or not a part of something larger, as of Node's pool. */
function isGiven({ buffer, byteLength }: Uint8Array, give: boolean | 'slabs'): boolean {
  if (give === false) return false;
  return isSlab(buffer) || (give === true && buffer instanceof ArrayBuffer && buffer.byteLength === byteLength);
}
