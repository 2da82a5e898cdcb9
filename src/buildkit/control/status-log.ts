import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type StatusResponse, StatusResponseSchema } from '../protocol/control_pb.ts';

/** What happened in a build so far, for any number of readers, each from the beginning. */
export class StatusLog {
  readonly #entries: StatusResponse[] = [];
  #ended = false;
  #wake = Promise.withResolvers<void>();

  get entries(): readonly StatusResponse[] {
    return this.#entries;
  }

  add(entry: MessageInitShape<typeof StatusResponseSchema>): void {
    if (this.#ended) return;
    this.#entries.push(create(StatusResponseSchema, entry));
    this.#notify();
  }

  end(): void {
    this.#ended = true;
    this.#notify();
  }

  /** All entries, then those that come, until the end. What a reader has not taken yet comes as one. */
  async *follow(signal: AbortSignal): AsyncGenerator<StatusResponse> {
    const stop = (): void => this.#notify();
    signal.addEventListener('abort', stop, { once: true });
    try {
      for (let at = 0; !signal.aborted;) {
        const wake = this.#wake.promise;
        if (at < this.#entries.length) {
          const upTo = Math.min(this.#entries.length, at + MAX_TOGETHER);
          yield merged(this.#entries.slice(at, upTo));
          at = upTo;
        } else if (this.#ended) return;
        else await wake;
      }
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = Promise.withResolvers();
    wake.resolve();
  }
}

const MAX_TOGETHER = 256;

function merged(entries: readonly StatusResponse[]): StatusResponse {
  if (entries.length === 1) return entries[0]!;
  return create(StatusResponseSchema, {
    vertexes: entries.flatMap((entry) => entry.vertexes),
    statuses: entries.flatMap((entry) => entry.statuses),
    logs: entries.flatMap((entry) => entry.logs),
    warnings: entries.flatMap((entry) => entry.warnings),
  });
}
