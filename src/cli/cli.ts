import type { Client } from '../client/client.ts';
import { ConfigFile } from './config.ts';
import { openClient } from './engine-client.ts';
import type { GlobalFlags } from './global.ts';
import type { Io } from './io.ts';
import { escapeControls } from './output/escape.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** What the program is started with; `main.ts` reads it from the process. */
export interface CliOptions {
  readonly io: Io;
  readonly env: Environment;
  readonly globals: GlobalFlags;
  /** Global flags that were written. */
  readonly given: ReadonlySet<string>;
  /** The words that start this same program, for the daemon and for completion. */
  readonly self: {
    readonly node: string;
    readonly daemon: string;
    readonly launcher: string;
    /** Where the package lies: its labs and examples. */
    readonly home: string;
  };
  readonly root: boolean;
  /** Runs another command line of this program, with the same settings. */
  readonly again: (words: readonly string[]) => Promise<number>;
}

/** What every command gets: the terminal, the settings, and the engine when it asks for it. */
export class Cli {
  readonly io: Io;
  readonly env: Environment;
  readonly globals: GlobalFlags;
  readonly given: ReadonlySet<string>;
  readonly self: CliOptions['self'];
  readonly root: boolean;
  readonly again: CliOptions['again'];
  #config: ConfigFile | undefined;
  #client: Promise<Client> | undefined;
  #opened: Client | undefined;

  constructor(options: CliOptions) {
    this.io = options.io;
    this.env = options.env;
    this.globals = options.globals;
    this.given = options.given;
    this.self = options.self;
    this.root = options.root;
    this.again = options.again;
  }

  get config(): ConfigFile {
    this.#config ??= ConfigFile.read(this.configDirectory);
    return this.#config;
  }

  get configDirectory(): string {
    if (this.globals.config !== '') return this.globals.config;
    const { DOCKER_CONFIG, HOME } = this.env;
    return DOCKER_CONFIG !== undefined && DOCKER_CONFIG !== '' ? DOCKER_CONFIG : `${HOME ?? '/root'}/.docker`;
  }

  /** The engine; started in the background when it is the local one and none answers. */
  client(): Promise<Client> {
    this.#client ??= openClient(this).then((client) => {
      this.#opened = client;
      return client;
    });
    return this.#client;
  }

  /** For a command that runs another one inside of it: the same settings, with streams, variables and a view of the engine of its own. */
  inside({
    io,
    env,
    client,
  }: {
    readonly io: Io;
    readonly env: Environment;
    readonly client: () => Promise<Client>;
  }): Cli {
    const { globals, given, self, root, again } = this;
    const inner = new Cli({ io, env, globals, given, self, root, again });
    inner.#config = this.config;
    inner.#client = client();
    return inner;
  }

  /** Prints a line. What containers or strangers have named is to be passed through `clean` before. */
  print(line: string): void {
    this.io.stdout.write(`${line}\n`);
  }

  warn(line: string): void {
    this.io.stderr.write(`${line}\n`);
  }

  /** Text that others chose, safe to show: on a terminal its control characters are written out. */
  clean(text: string): string {
    return this.io.stdout.isTTY ? escapeControls(text) : text;
  }

  get colors(): boolean {
    const { NO_COLOR, TERM } = this.env;
    return this.io.stdout.isTTY && (NO_COLOR === undefined || NO_COLOR === '') && TERM !== 'dumb';
  }

  close(): void {
    this.#opened?.close();
  }
}
