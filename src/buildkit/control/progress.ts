import type { MessageInitShape } from '@bufbuild/protobuf';
import { isDigest, sha256 } from '../../oci/digest.ts';
import type { VertexSchema, VertexWarningSchema } from '../protocol/control_pb.ts';
import type { StatusLog } from './status-log.ts';
import { timestamp } from './timestamp.ts';

/** A piece of work that a client's terminal shows as one line: BuildKit calls it a vertex. */
export class ProgressStep {
  readonly digest: string;
  readonly name: string;
  readonly #log: StatusLog;
  readonly #vertex: MessageInitShape<typeof VertexSchema> & { readonly digest: string };

  /** @param key unique in its build; what is a digest already is the one that clients know the work by */
  constructor(log: StatusLog, key: string, name: string, time = Date.now(), inputs: readonly string[] = []) {
    this.#log = log;
    this.name = name;
    this.digest = isDigest(key) ? key : sha256(key);
    this.#vertex = { digest: this.digest, name, inputs: [...inputs], started: timestamp(time) };
    log.add({ vertexes: [this.#vertex] });
  }

  output(text: string, time = Date.now()): void {
    this.#log.add({
      logs: [{ vertex: this.digest, timestamp: timestamp(time), stream: 1n, msg: Buffer.from(text) }],
    });
  }

  /** A part of the step: shown below it. `total` is 0 when nobody knows. */
  part(
    name: string,
    { current = 0, total = 0, done = false }: { current?: number; total?: number; done?: boolean } = {},
  ): void {
    const time = timestamp(Date.now());
    this.#log.add({
      statuses: [
        {
          ID: name,
          vertex: this.digest,
          current: BigInt(current),
          total: BigInt(total),
          timestamp: time,
          started: time,
          ...(done && { completed: time }),
        },
      ],
    });
  }

  warn(warning: Omit<MessageInitShape<typeof VertexWarningSchema>, '$typeName' | 'vertex'>): void {
    this.#log.add({ warnings: [{ ...warning, vertex: this.digest }] });
  }

  done({ cached = false, time = Date.now() }: { readonly cached?: boolean; readonly time?: number } = {}): void {
    this.#log.add({ vertexes: [{ ...this.#vertex, cached, completed: timestamp(time) }] });
  }

  failed(message: string, time = Date.now()): void {
    this.#log.add({ vertexes: [{ ...this.#vertex, error: message, completed: timestamp(time) }] });
  }

  /** Shows `work` as this step. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    try {
      const result = await work();
      this.done();
      return result;
    } catch (error) {
      this.failed(error instanceof Error ? error.message : String(error));
      throw error;
    }
  }
}
