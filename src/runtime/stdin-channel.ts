import { closeSync, existsSync, writeFileSync } from 'node:fs';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { EngineError } from '../base/errors.ts';
import { setNonBlocking, writeSome } from '../linux/descriptor.ts';
import { type ProcessIdentity, takeDescriptor } from '../linux/process.ts';
import { takeTerminal } from '../linux/terminal.ts';
import { connectSequencedPacket } from '../linux/unix-socket.ts';
import type { TaskStdin } from './conmon-monitor.ts';

export interface StdinChannelOptions {
  readonly bundle: string;
  readonly monitor: ProcessIdentity;
  readonly stdin: TaskStdin;
  /** Whether the end of the first writer is the container's end of file (conmon runs without --leave-stdin-open). */
  readonly closable: boolean;
}

/**
 * A container's stdin: a copy of the monitor's own end of it. conmon's attach socket serves only to say that it ends:
 * through it conmon would send us all output, and wait while we do not read; and once the container has closed its
 * stdin, conmon tries to pass on what it was given for ever, with a whole CPU.
 */
export class StdinChannel {
  readonly #options: StdinChannelOptions;
  #fd: number | undefined;
  #ended = false;
  #queue: Promise<void> = Promise.resolve();

  constructor(options: StdinChannelOptions) {
    this.#options = options;
  }

  /** In the order of calls. Resolves when the kernel has taken the bytes; it takes no more than 64 KiB ahead of the container. */
  write(data: Uint8Array): Promise<void> {
    return this.#inOrder(async () => {
      let attempt = 0;
      for (let offset = 0; offset < data.length;) {
        const written = this.#writeSome(data.subarray(offset));
        offset += written;
        attempt = written > 0 ? 0 : attempt + 1;
        if (written === 0) await pause(attempt);
      }
    });
  }

  /** End of file, after all that was written. Without effect when stdin is to outlive its writers. */
  end(): Promise<void> {
    return this.#inOrder(async () => {
      if (!this.#options.closable || this.#ended) return;
      this.close();
      try {
        // Whoever connects and goes is, to conmon, the client whose end closes stdin.
        closeSync(connectSequencedPacket(`${this.#options.bundle}/attach`));
      } catch (error) {
        throw closedError(error);
      }
    });
  }

  /** Lets go; writes that wait fail. */
  close(): void {
    this.#ended = true;
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  /** After an engine was killed: a client that wrote went with it, and this was its end. */
  async endIfUsed(): Promise<void> {
    if (existsSync(this.#usedMark())) await this.end();
  }

  #inOrder(work: () => Promise<void>): Promise<void> {
    const done = this.#queue.then(work);
    this.#queue = done.catch(() => undefined);
    return done;
  }

  #writeSome(data: Uint8Array): number {
    if (this.#ended) throw closedError();
    try {
      this.#fd ??= this.#open();
      return writeSome(this.#fd, data);
    } catch (error) {
      this.close();
      throw error instanceof EngineError ? error : closedError(error);
    }
  }

  #open(): number {
    const { monitor, stdin } = this.#options;
    const fd = stdin === 'terminal' ? takeTerminal(monitor) : takeDescriptor(monitor, (name) => name === stdin);
    if (fd === undefined) throw closedError();
    setNonBlocking(fd);
    writeFileSync(this.#usedMark(), '');
    return fd;
  }

  #usedMark(): string {
    return `${this.#options.bundle}/stdin-used`;
  }
}

/** Nothing tells Node when a pipe of somebody else has room again, so we look: at once while it moves, at most every 20 ms when it stands. */
async function pause(attempt: number): Promise<void> {
  if (attempt < 4) await setImmediate();
  else await setTimeout(Math.min(attempt - 3, 20));
}

function closedError(cause?: unknown): EngineError {
  return new EngineError('conflict', 'the container’s stdin is closed', { cause });
}
