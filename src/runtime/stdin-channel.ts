import { closeSync } from 'node:fs';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { EngineError } from '../base/errors.ts';
import { connectSequencedPacket, send, shutdown } from '../linux/unix-socket.ts';

export interface StdinChannelOptions {
  /** conmon's attach socket. */
  readonly socketPath: string;
  /** Whether the end of our connection closes the container's stdin (conmon runs without --leave-stdin-open). */
  readonly closable: boolean;
}

/**
 * A container's stdin, through conmon's attach socket. conmon writes all output to everyone attached and waits for those
 * that do not read, so the reading direction is shut down at once: its write fails, and it writes to us no more.
 */
export class StdinChannel {
  readonly #options: StdinChannelOptions;
  #fd: number | undefined;
  #state: 'open' | 'ended' = 'open';
  #queue: Promise<void> = Promise.resolve();

  constructor(options: StdinChannelOptions) {
    this.#options = options;
  }

  /** In the order of calls. Resolves when the monitor has taken the bytes; it takes no more than the container reads. */
  write(data: Uint8Array): Promise<void> {
    return this.#inOrder(async () => {
      for (let offset = 0; offset < data.length; offset += MAX_PACKET) {
        await this.#send(data.subarray(offset, offset + MAX_PACKET));
      }
    });
  }

  /** End of file, after all that was written. Without effect when stdin is to outlive its writers. */
  end(): Promise<void> {
    return this.#inOrder(async () => {
      if (!this.#options.closable || this.#state === 'ended') return;
      await this.#connected();
      this.close();
    });
  }

  /** Lets go of the connection; writes that wait fail. */
  close(): void {
    this.#state = 'ended';
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #inOrder(work: () => Promise<void>): Promise<void> {
    const done = this.#queue.then(work);
    this.#queue = done.catch(() => undefined);
    return done;
  }

  async #send(packet: Uint8Array): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      const fd = await this.#connected();
      try {
        if (send(fd, packet)) return;
      } catch (error) {
        this.close();
        throw closedError(error);
      }
      await pause(attempt);
    }
  }

  async #connected(): Promise<number> {
    for (let attempt = 0; ; attempt++) {
      if (this.#state === 'ended') throw closedError();
      if (this.#fd !== undefined) return this.#fd;
      try {
        this.#fd = connectSequencedPacket(this.#options.socketPath);
        shutdown(this.#fd, 'read');
      } catch (error) {
        if ((error as { code?: unknown }).code !== 'EAGAIN') throw closedError(error);
        await pause(attempt); // more connections wait than conmon listens for
      }
    }
  }
}

/** conmon reads 32 KiB a time and would cut a longer packet off. */
const MAX_PACKET = 16 * 1024;

/** Node cannot wait for such a socket, so we look again: at once while it moves, at most every 20 ms when it stands. */
async function pause(attempt: number): Promise<void> {
  if (attempt < 4) await setImmediate();
  else await setTimeout(Math.min(attempt - 3, 20));
}

function closedError(cause?: unknown): EngineError {
  return new EngineError('conflict', 'the container’s stdin is closed', { cause });
}
