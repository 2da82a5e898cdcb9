import { parentPort } from 'node:worker_threads';
import { releaseBytes } from './release-bytes.ts';
import { isSlabSized } from './slabs.ts';
import { EngineError, errorCode, errorMessage } from './errors.ts';
import { type FromWorker, type ToWorker, WINDOW } from './worker-job.ts';

/** What a job in a worker thread has besides its parameters. */
export interface JobContext {
  /** The bytes that the other side streams in. */
  readonly input: AsyncIterable<Buffer>;
  /** The job is done with a chunk of `input`, all of it, before it asks for the next: its memory is used again. */
  giveBack(chunk: Uint8Array): void;
  /** Passes bytes to the reader, waiting while it is behind. The chunk's memory goes with it: do not touch it again. */
  write(chunk: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Throws `cancelled` once the other side wants the job to stop. Cheap: call it in every loop. */
  check(): void;
}

export type JobHandler = (parameters: never, context: JobContext) => unknown;

/** What a `*.worker.ts` exports as `jobs`: its handlers by name. */
export type Jobs = Readonly<Record<string, JobHandler>>;

/** Serves the jobs of all modules on this thread's port, one at a time. */
export function serveJobs(): void {
  const port = parentPort!;
  let current: Context | undefined;
  port.on('message', (message: ToWorker) => {
    switch (message.kind) {
      case 'start': {
        const context = new Context(new Int32Array(message.cancel), (answer, transfer) =>
          port.postMessage(answer, transfer),
        );
        current = context;
        void run(message, context).then((answer) => {
          if (current === context) current = undefined;
          port.postMessage(answer);
        });
        return;
      }
      case 'input':
        current?.onInput(message.chunk);
        return;
      case 'credit':
        current?.onCredit(message.bytes);
        return;
      case 'cancel':
        current?.wake();
        return;
    }
  });
}

async function run(
  { module, job, parameters }: Extract<ToWorker, { readonly kind: 'start' }>,
  context: Context,
): Promise<FromWorker> {
  try {
    const { jobs } = (await import(module)) as { readonly jobs: Jobs };
    return { kind: 'done', result: await jobs[job]!(parameters as never, context) };
  } catch (error) {
    return { kind: 'failed', code: errorCode(error), message: errorMessage(error) };
  }
}

class Context implements JobContext {
  readonly #cancelled: Int32Array;
  readonly #post: (message: FromWorker, transfer?: ArrayBuffer[]) => void;
  readonly #chunks: (Uint8Array | undefined)[] = [];
  #credit = WINDOW;
  #spare: ArrayBuffer | undefined;
  #wake: (() => void) | undefined;

  constructor(cancelled: Int32Array, post: (message: FromWorker, transfer?: ArrayBuffer[]) => void) {
    this.#cancelled = cancelled;
    this.#post = post;
  }

  get input(): AsyncIterable<Buffer> {
    return this.#input();
  }

  async *#input(): AsyncGenerator<Buffer> {
    for (;;) {
      this.check();
      if (this.#chunks.length === 0) {
        await new Promise<void>((resolve) => (this.#wake = resolve));
        continue;
      }
      const chunk = this.#chunks.shift();
      if (!chunk) return;
      // The reader may give up the chunk's memory, and its length with it.
      const bytes = chunk.length;
      yield Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
      const spare = this.#spare;
      this.#spare = undefined;
      if (spare) this.#post({ kind: 'consumed', bytes, spare }, [spare]);
      else this.#post({ kind: 'consumed', bytes });
    }
  }

  giveBack(chunk: Uint8Array): void {
    if (isSlabSized(chunk.buffer)) this.#spare = chunk.buffer;
    else releaseBytes(chunk);
  }

  async write(chunk: Uint8Array<ArrayBuffer>): Promise<void> {
    this.check();
    while (this.#credit <= 0) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.check();
    }
    this.#credit -= chunk.length;
    this.#post({ kind: 'output', chunk }, [chunk.buffer]);
  }

  check(): void {
    if (Atomics.load(this.#cancelled, 0) !== 0) throw new EngineError('cancelled', 'the operation was cancelled');
  }

  onInput(chunk: Uint8Array | undefined): void {
    this.#chunks.push(chunk);
    this.wake();
  }

  onCredit(bytes: number): void {
    this.#credit += bytes;
    this.wake();
  }

  wake(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
