import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { EncodedMessage } from '../grpc/server.ts';
import { type StatusResponse, StatusResponseSchema } from '../protocol/control_pb.ts';

/** What the steps of a build print is kept up to this, in bytes: its readers may be slow, or come when it is over. */
const MAX_OUTPUT = 16 << 20;
/** Warnings of a build, which a frontend may send without an end: more than this, in bytes, nobody reads. */
const MAX_WARNINGS = 4 << 20;
const CLIPPED = Buffer.from(`[output clipped, log limit ${MAX_OUTPUT >> 20}MiB reached]\n`);

/** What a build was, in numbers. */
export interface StatusCounts {
  readonly total: number;
  readonly cached: number;
  readonly completed: number;
  readonly warnings: number;
}

/** What happened in a build so far, encoded as messages of Status, for any number of readers, each from the beginning. */
export class StatusLog {
  readonly #entries: Uint8Array[] = [];
  readonly #steps = new Map<string, { readonly cached: boolean; readonly completed: boolean }>();
  #warnings = 0;
  #output = 0;
  #warningBytes = 0;
  #ended = false;
  #wake = Promise.withResolvers<void>();

  get entries(): readonly Uint8Array[] {
    return this.#entries;
  }

  get counts(): StatusCounts {
    const steps = [...this.#steps.values()];
    return {
      total: steps.length,
      cached: steps.filter(({ cached }) => cached).length,
      completed: steps.filter(({ completed }) => completed).length,
      warnings: this.#warnings,
    };
  }

  add(init: MessageInitShape<typeof StatusResponseSchema>): void {
    if (this.#ended) return;
    const entry = create(StatusResponseSchema, init);
    if (entry.logs.length > 0 && !this.#takes(entry)) return;
    const encoded = toBinary(StatusResponseSchema, entry);
    if (entry.warnings.length > 0) {
      if (this.#warningBytes + encoded.length > MAX_WARNINGS) return;
      this.#warningBytes += encoded.length;
    }
    for (const { digest, cached, completed } of entry.vertexes)
      this.#steps.set(digest, { cached, completed: completed !== undefined });
    this.#warnings += entry.warnings.length;
    this.#entries.push(encoded);
    this.#notify();
  }

  end(): void {
    this.#ended = true;
    this.#notify();
  }

  /** All entries, then those that come, until the end. What a reader has not taken yet comes as one. */
  async *follow(signal: AbortSignal): AsyncGenerator<EncodedMessage> {
    const stop = (): void => this.#notify();
    signal.addEventListener('abort', stop, { once: true });
    try {
      for (let at = 0; !signal.aborted;) {
        const wake = this.#wake.promise;
        if (at < this.#entries.length) {
          const from = at;
          for (let size = 0; at < this.#entries.length && at - from < MAX_TOGETHER && size < MAX_BYTES; at++)
            size += this.#entries[at]!.length;
          // Lists that follow each other are one list.
          yield new EncodedMessage(Buffer.concat(this.#entries.slice(from, at)));
        } else if (this.#ended) return;
        else await wake;
      }
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /** Whether there is room for more output; what goes beyond becomes the words that say so. */
  #takes({ logs }: StatusResponse): boolean {
    if (this.#output > MAX_OUTPUT) return false;
    for (const log of logs) {
      this.#output += log.msg.length;
      if (this.#output > MAX_OUTPUT) log.msg = CLIPPED;
    }
    return true;
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = Promise.withResolvers();
    wake.resolve();
  }
}

const MAX_TOGETHER = 256;
const MAX_BYTES = 1 << 20;
