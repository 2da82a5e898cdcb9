import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import type { Duplex } from 'node:stream';
import type { Environment } from '../cli.ts';
import { CommandError } from '../command.ts';
import { parseCsv } from './csv.ts';

/** `--secret id=name[,src=path|env=VARIABLE][,type=file|env]`, or `id=name,source=engine[,name=SECRET]`: where its bytes are. */
export type SecretSource =
  | { readonly id: string; readonly file: string }
  | { readonly id: string; readonly variable: string }
  | { readonly id: string; readonly engine: string };

/** Throws `CommandError`. */
export function parseSecret(text: string, env: Environment): SecretSource {
  const fields = readFields(text, 'secret');
  const { id, type, src, source, env: variable, name, ...others } = fields;
  const unknown = Object.keys(others)[0];
  if (unknown !== undefined)
    throw new CommandError(`invalid secret ${JSON.stringify(text)}: unexpected key '${unknown}'`);
  if (id === undefined || id === '')
    throw new CommandError(`invalid secret ${JSON.stringify(text)}: it has no id (write id=NAME)`);
  if (type !== undefined && type !== 'file' && type !== 'env')
    throw new CommandError(`unsupported secret type ${JSON.stringify(type)}: use file or env`);
  if (name !== undefined && source !== 'engine')
    throw new CommandError(`invalid secret ${JSON.stringify(text)}: a name goes with source=engine`);
  if (source === 'engine') return { id, engine: name ?? id };
  const from = src ?? source;
  if (variable !== undefined) return { id, variable };
  if (type === 'env') return { id, variable: from ?? id };
  if (from !== undefined) return { id, file: from };
  return env[id] === undefined ? { id, file: id } : { id, variable: id };
}

/** Read when the build asks, so that what is not used is not read. Throws `CommandError`. */
export async function readSecret(source: SecretSource, env: Environment): Promise<Uint8Array> {
  if ('engine' in source) throw new CommandError(`the secret ${source.id} is the engine's`);
  if ('variable' in source) return Buffer.from(env[source.variable] ?? '');
  try {
    return await fs.promises.readFile(source.file);
  } catch (error) {
    throw new CommandError(`cannot read the secret ${source.id}: ${(error as Error).message}`, 1, { cause: error });
  }
}

/** That the sources are there, before anything else is done. Throws `CommandError`. */
export function checkSecret(source: SecretSource): void {
  if (!('file' in source)) return;
  if (!fs.existsSync(source.file))
    throw new CommandError(`the secret ${source.id} is not there: stat ${source.file}: no such file or directory`);
}

/** `--ssh default|id[=socket|key[,key]]`: an agent's socket, or keys for one of our own. */
export interface SshSource {
  readonly id: string;
  readonly socket: string | undefined;
  readonly keys: readonly string[];
}

/** Throws `CommandError`. */
export function parseSsh(text: string, env: Environment): SshSource {
  const cut = text.indexOf('=');
  const id = cut < 0 ? text : text.slice(0, cut);
  const paths =
    cut < 0
      ? []
      : text
          .slice(cut + 1)
          .split(',')
          .filter((path) => path !== '');
  if (id === '') throw new CommandError(`invalid ssh forwarding ${JSON.stringify(text)}: it has no id`);
  if (paths.length === 0) {
    const socket = env['SSH_AUTH_SOCK'];
    if (socket === undefined || socket === '')
      throw new CommandError(
        'invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set, or name a key: --ssh default=PATH',
      );
    return { id, socket, keys: [] };
  }
  const sockets = paths.filter((path) => fs.statSync(path, { throwIfNoEntry: false })?.isSocket() === true);
  if (sockets.length > 0 && paths.length > 1)
    throw new CommandError(`invalid ssh forwarding ${JSON.stringify(text)}: only a single socket allowed`);
  if (sockets[0] !== undefined) return { id, socket: sockets[0], keys: [] };
  for (const path of paths)
    if (!fs.existsSync(path)) throw new CommandError(`failed to open ${path}: no such file or directory`);
  return { id, socket: undefined, keys: paths };
}

/** The agents that a build may be connected to. Dispose it: agents that hold keys end. */
export class SshAgents implements AsyncDisposable {
  readonly #sources: ReadonlyMap<string, SshSource>;
  readonly #started = new Map<string, Promise<string>>();
  readonly #held = new AsyncDisposableStack();

  constructor(sources: readonly SshSource[]) {
    this.#sources = new Map(sources.map((source) => [source.id, source]));
  }

  /** A new connection; undefined when there is no agent of that name. Throws `CommandError`. */
  async connect(id: string): Promise<Duplex | undefined> {
    const source = this.#sources.get(id);
    if (!source) return undefined;
    const path = source.socket ?? (await this.#withKeys(source));
    const socket = connect(path);
    await once(socket, 'connect').catch((error: unknown) => {
      throw new CommandError(`cannot connect to the ssh agent ${path}: ${(error as Error).message}`, 1, {
        cause: error,
      });
    });
    return socket;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#held.disposeAsync();
  }

  #withKeys(source: SshSource): Promise<string> {
    let started = this.#started.get(source.id);
    if (!started) this.#started.set(source.id, (started = this.#start(source)));
    return started;
  }

  async #start({ keys }: SshSource): Promise<string> {
    const folder = await fs.promises.mkdtemp(join(tmpdir(), 'gantry-ssh-'));
    this.#held.defer(() => fs.promises.rm(folder, { recursive: true, force: true }));
    const socket = join(folder, 'agent');
    const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' });
    this.#held.defer(() => void agent.kill());
    await new Promise<void>((resolve, reject) => {
      agent.once('error', (error) => reject(new CommandError(`cannot start ssh-agent for the keys: ${error.message}`)));
      agent.once('spawn', resolve);
    });
    for (let tries = 0; !fs.existsSync(socket) && tries < 200; tries++)
      await new Promise((next) => setTimeout(next, 10));
    const add = spawn('ssh-add', ['-q', ...keys], {
      env: { ...process.env, SSH_AUTH_SOCK: socket },
      stdio: ['inherit', 'ignore', 'pipe'],
    });
    let words = '';
    add.stderr.on('data', (data: Buffer) => (words += data.toString()));
    const [code] = (await once(add, 'close')) as [number];
    await finished(add.stderr).catch(() => undefined);
    if (code !== 0) throw new CommandError(`cannot load the ssh keys ${keys.join(', ')}: ${words.trim()}`);
    return socket;
  }
}

/** A name for a build that nobody guesses. */
export function buildToken(): string {
  return randomBytes(16).toString('hex');
}

function readFields(text: string, what: string): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const field of parseCsv(text)) {
    const cut = field.indexOf('=');
    if (cut < 0)
      throw new CommandError(`invalid field '${field}' of ${what} ${JSON.stringify(text)}: must be a key=value pair`);
    fields[field.slice(0, cut).toLowerCase()] = field.slice(cut + 1);
  }
  return fields;
}
