import fs from 'node:fs';
import type { Client } from '../../../client/client.ts';
import type { BuildOutputFlag } from '../../options/build-output.ts';
import { unpackTree } from '../../archive/unpack.ts';
import type { Cli } from '../../cli.ts';
import { CommandError } from '../../command.ts';
import { writeStream } from '../../output/file.ts';

/** Fetches the outputs that a build has ready for this side, while its progress goes on. */
export class OutputReceiver {
  readonly #cli: Cli;
  readonly #client: Client;
  readonly #outputs: readonly BuildOutputFlag[];
  readonly #work: Promise<void>[] = [];
  readonly #stop = new AbortController();

  /** Aborts when an output could not be written: the engine would wait for its reader for ever. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  constructor(cli: Cli, client: Client, outputs: readonly BuildOutputFlag[]) {
    this.#cli = cli;
    this.#client = client;
    this.#outputs = outputs;
  }

  /** Looks at what the engine tells apart from text. */
  onAux(aux: unknown): void {
    const ready = (aux as { Output?: { Index?: number; Ticket?: string } }).Output;
    const output = ready?.Index === undefined ? undefined : this.#outputs[ready.Index];
    if (!output || ready?.Ticket === undefined) return;
    const work = this.#receive(output, ready.Ticket);
    work.catch((error: unknown) => this.#stop.abort(error));
    this.#work.push(work);
  }

  /** `error`, or what made this side stop the build. */
  reason(error: unknown): unknown {
    return this.#stop.signal.aborted ? this.#stop.signal.reason : error;
  }

  /** Throws what a fetch threw. */
  async done(): Promise<void> {
    await Promise.all(this.#work);
  }

  async #receive(output: BuildOutputFlag, ticket: string): Promise<void> {
    const { dest, unpack } = output;
    if (dest === undefined) throw new CommandError(`the engine sends an output that was not asked for: ${output.type}`);
    if (!unpack) {
      await writeStream(this.#cli, dest, async () => this.#client.builder.output(ticket), 'export', 'image');
      return;
    }
    fs.mkdirSync(dest, { recursive: true });
    await unpackTree(await this.#client.builder.output(ticket), dest, { owners: false });
  }
}

/** Refuses what could not be written, before anything is built. */
export function checkDestinations(cli: Cli, outputs: readonly BuildOutputFlag[]): void {
  const streams = outputs.filter(({ dest }) => dest === '-');
  if (streams.length > 1) throw new CommandError('only one output can go to stdout');
  if (streams.length > 0 && cli.io.stdout.isTTY)
    throw new CommandError('dest file is required for this output: refusing to write to a terminal');
  for (const { dest, unpack } of outputs) {
    if (dest === undefined || dest === '-') continue;
    const found = fs.statSync(dest, { throwIfNoEntry: false });
    if (unpack && found && !found.isDirectory())
      throw new CommandError(`destination ${dest} is a file: a directory is needed`);
    if (!unpack && found?.isDirectory())
      throw new CommandError(`destination directory ${dest} is a directory: a file is needed`);
  }
}
