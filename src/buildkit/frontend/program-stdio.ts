import { Duplex } from 'node:stream';
import type { SpokenCommand } from '../../engine/builder/step-executor.ts';

/** What a frontend may print for people: more is no log. In bytes. */
const MAX_LOG = 64 << 20;

/** A program's stdin and stdout as a connection; what it says on stderr is for people. */
export class ProgramStdio extends Duplex {
  readonly #program: Pick<SpokenCommand, 'write'>;
  #wanted = Promise.withResolvers<void>();

  constructor(program: Pick<SpokenCommand, 'write'>) {
    super();
    this.#program = program;
  }

  /** Reads until the program has ended, also when nobody listens any more. Throws `too-large` for a log without an end. */
  async pump(output: SpokenCommand['output'], onLog: (text: string) => void): Promise<void> {
    const decoder = new TextDecoder();
    let logged = 0;
    for await (const { stream, data } of output) {
      if (stream === 2) {
        logged += data.length;
        if (logged > MAX_LOG) throw new Error(`it printed more than ${MAX_LOG >> 20} MiB to stderr`);
        onLog(decoder.decode(data, { stream: true }));
        continue;
      }
      if (this.destroyed) continue;
      this.#wanted = Promise.withResolvers();
      // The reader keeps its block no longer than until the next one.
      if (!this.push(Buffer.from(data))) await this.#wanted.promise;
    }
    if (!this.destroyed) this.push(null);
  }

  override _read(): void {
    this.#wanted.resolve();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    this.#program.write(chunk).then(() => done(), done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#wanted.resolve();
    done(error);
  }
}
