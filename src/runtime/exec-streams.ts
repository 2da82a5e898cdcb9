import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { ReadStream } from 'node:tty';
import { EngineError } from '../base/errors.ts';
import { readEnd, writeEnd } from '../linux/pipe.ts';
import { duplicate, writeSome } from '../linux/descriptor.ts';
import { setTerminalSize, type TerminalSize } from '../linux/terminal.ts';
import type { OutputChunk } from './task.ts';

/** Our ends of an exec'd process's stdio. */
export interface ExecStreams {
  readonly output: AsyncIterable<OutputChunk>;
  write(data: Uint8Array): Promise<void>;
  closeStdin(): Promise<void>;
  /** Throws `conflict` when there is no terminal. */
  resize(size: TerminalSize): void;
  /** The process ended: what still holds its output open is waited for only so long; `words` is put behind it. */
  processEnded(words: string): void;
}

/** Streams on pipes; descriptors are taken over. */
export function pipeStreams(fds: { stdin?: number; stdout?: number; stderr?: number }): ExecStreams {
  const stdin = fds.stdin === undefined ? undefined : new PipeInput(writeEnd(fds.stdin));
  const output = new MergedOutput();
  if (fds.stdout !== undefined) output.add(1, readEnd(fds.stdout));
  if (fds.stderr !== undefined) output.add(2, readEnd(fds.stderr));
  return {
    output,
    write: async (data) => stdin?.write(data) ?? noStdin(),
    closeStdin: async () => stdin?.end(),
    resize: () => {
      throw new EngineError('conflict', 'the exec process has no terminal');
    },
    processEnded: (words) => {
      stdin?.close();
      output.finish(words, fds.stderr === undefined ? undefined : 2);
    },
  };
}

/** Streams on a terminal's master end, which is taken over. */
export function terminalStreams(master: number, options: { readonly onResize?: () => void } = {}): ExecStreams {
  // The stream owns `master`; ours stays valid until the last write, whenever the stream closes its own.
  const own = duplicate(master);
  const output = new MergedOutput();
  const stream = new ReadStream(master);
  output.add(1, stream);
  let open = true;
  stream.once('close', () => {
    open = false;
    closeSync(own);
  });
  return {
    output,
    write: async (data) => {
      for (let offset = 0; offset < data.length;) {
        if (!open) throw new EngineError('conflict', 'the terminal is closed');
        const written = writeToTerminal(own, data.subarray(offset));
        offset += written;
        if (written === 0) await setTimeout(2); // a terminal takes 4 KiB that nobody reads
      }
    },
    closeStdin: async () => undefined, // a terminal has no end of file that is not a character
    resize: (size) => {
      if (!open) throw new EngineError('conflict', 'the terminal is closed');
      setTerminalSize(own, size);
      options.onResize?.();
    },
    processEnded: (words) => output.finish(words, 1),
  };
}

function noStdin(): never {
  throw new EngineError('conflict', 'the exec process’s stdin is not open');
}

function writeToTerminal(fd: number, data: Uint8Array): number {
  try {
    return writeSome(fd, data);
  } catch (error) {
    throw new EngineError('conflict', 'the terminal is closed', { cause: error });
  }
}

class PipeInput {
  readonly #stream: Socket;
  #failure: Error | undefined;

  constructor(stream: Socket) {
    this.#stream = stream;
    stream.on('error', (error) => {
      this.#failure = error; // nobody reads there any more
    });
  }

  write(data: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure || !this.#stream.writable) {
        reject(new EngineError('conflict', 'the exec process’s stdin is closed', { cause: this.#failure }));
        return;
      }
      this.#stream.write(data, (error) => {
        if (error) reject(new EngineError('conflict', 'the exec process’s stdin is closed', { cause: error }));
        else resolve();
      });
    });
  }

  end(): void {
    if (!this.#stream.writableEnded) this.#stream.end();
  }

  /** Nobody reads any more: what waits is dropped. */
  close(): void {
    this.#stream.destroy();
  }
}

/** Several streams as one, in the order of arrival; those who print wait when the reader does. */
class MergedOutput implements AsyncIterable<OutputChunk> {
  readonly #streams = new Set<Socket>();
  #queue: OutputChunk[] = [];
  #queued = 0;
  #ended = false;
  #last: OutputChunk | undefined;
  #wake: (() => void) | undefined;

  add(number: 1 | 2, stream: Socket): void {
    this.#streams.add(stream);
    stream.on('data', (data: Buffer) => {
      this.#queue.push({ stream: number, data });
      this.#queued += data.length;
      if (this.#queued > MAX_QUEUED) for (const other of this.#streams) other.pause();
      this.#wake?.();
    });
    stream.on('error', () => stream.destroy()); // EIO: nobody has the terminal open any more
    stream.once('end', () => stream.destroy());
    stream.once('close', () => {
      this.#streams.delete(stream);
      this.#wake?.();
    });
  }

  finish(words: string, stream: 1 | 2 | undefined): void {
    if (words !== '' && stream !== undefined) this.#last = { stream, data: Buffer.from(`${words}\n`) };
    this.#ended = true;
    if (this.#streams.size > 0) {
      const timer = globalThis.setTimeout(() => {
        for (const open of this.#streams) open.destroy();
      }, GRACE_MS);
      for (const open of this.#streams) open.once('close', () => this.#streams.size === 0 && clearTimeout(timer));
    }
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<OutputChunk, void, undefined> {
    try {
      for (;;) {
        const chunks = this.#queue;
        this.#queue = [];
        this.#queued = 0;
        yield* chunks;
        if (this.#queue.length > 0) continue;
        if (this.#streams.size === 0 && this.#ended) break;
        for (const stream of this.#streams) stream.resume();
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      }
      if (this.#last) yield this.#last;
    } finally {
      for (const stream of this.#streams) stream.destroy();
    }
  }
}

const MAX_QUEUED = 256 * 1024;
/** How long output is waited for that a process left in the background holds open: as long as Docker does. */
const GRACE_MS = 2000;
