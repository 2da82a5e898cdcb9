import fs from 'node:fs';
import { dirname, join } from 'node:path';
import type { BuildInputNotice, BuildOutputNotice } from '../../../api/gantry.ts';
import type { Client } from '../../../client/client.ts';
import type { CacheFlags } from '../../options/build-cache.ts';
import type { BuildOutputFlag } from '../../options/build-output.ts';
import { unpackTree } from '../../archive/unpack.ts';
import type { Cli } from '../../cli.ts';
import { CommandError } from '../../command.ts';
import { writeStream } from '../../output/file.ts';

/** Fetches the outputs that a build has ready for this side, and gives it the files it asks for, while its progress goes on. */
export class BuildFiles {
  readonly #cli: Cli;
  readonly #client: Client;
  readonly #outputs: readonly BuildOutputFlag[];
  readonly #caches: CacheFlags;
  readonly #work: Promise<void>[] = [];
  readonly #stop = new AbortController();

  /** Aborts when an output could not be written: the engine would wait for its reader for ever. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  constructor(
    cli: Cli,
    client: Client,
    { outputs, caches }: { readonly outputs: readonly BuildOutputFlag[]; readonly caches: CacheFlags },
  ) {
    this.#cli = cli;
    this.#client = client;
    this.#outputs = outputs;
    this.#caches = caches;
  }

  /** Looks at what the engine tells apart from text. */
  onAux(aux: unknown): void {
    const { Output, Input } = aux as Partial<BuildOutputNotice> & Partial<BuildInputNotice>;
    if (Output) this.#begin(this.#receive(Output));
    if (Input) this.#begin(this.#send(Input));
  }

  #begin(work: Promise<void>): void {
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

  async #receive({ Kind, Index, Ticket }: BuildOutputNotice['Output']): Promise<void> {
    if (Kind === 'cache') return this.#unpack(Ticket, this.#caches.to[Index]?.directory);
    const { dest, unpack, replace } = this.#outputs[Index] ?? {};
    if (dest === undefined) throw notAsked();
    if (unpack === true) return this.#unpack(Ticket, dest, replace);
    await writeStream(this.#cli, dest, async () => this.#client.builder.output(Ticket), 'export', 'image');
  }

  async #unpack(ticket: string, directory: string | undefined, replace = false): Promise<void> {
    if (directory === undefined) throw notAsked();
    fs.mkdirSync(directory, { recursive: true });
    await unpackTree(await this.#client.builder.output(ticket), directory, { owners: false, replace });
  }

  /** Of a cache's directory nothing but the files of a layout. */
  async #send({ Index, Path, Ticket }: BuildInputNotice['Input']): Promise<void> {
    const directory = this.#caches.from[Index]?.directory;
    if (directory === undefined || !/^(?:index\.json|blobs\/sha256\/[a-f0-9]{64})$/.test(Path)) throw notAsked();
    const path = join(directory, Path);
    const found = fs.statSync(path, { throwIfNoEntry: false })?.isFile() === true;
    await this.#client.builder.input(Ticket, found ? fs.createReadStream(path, { highWaterMark: 1 << 20 }) : undefined);
  }
}

function notAsked(): CommandError {
  return new CommandError('the engine sends or wants a file that is no part of this build');
}

/** Refuses what could not be written, before anything is built: outputs, and files that tell of the result. */
export function checkDestinations(cli: Cli, outputs: readonly BuildOutputFlag[], files: readonly string[] = []): void {
  for (const file of files) {
    if (file === '') continue;
    const directory = dirname(file);
    if (fs.statSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true)
      throw new CommandError(`cannot write ${file}: there is no directory ${directory}`);
    if (fs.statSync(file, { throwIfNoEntry: false })?.isDirectory() === true)
      throw new CommandError(`cannot write ${file}: it is a directory`);
  }
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
