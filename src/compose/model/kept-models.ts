import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { environmentOf } from './environment.ts';
import { type Input, ProjectInputs } from './inputs.ts';
import type { Variable } from './interpolate.ts';
import type { LoadedProject, LoadOptions } from './load.ts';
import { type Dict, dict, isDict, sameValue, type Value } from './value.ts';

/** What was read of a project, and what was said while it was. */
export interface KeptModel {
  readonly loaded: LoadedProject;
  readonly warnings: readonly string[];
}

interface Body {
  readonly name: string;
  readonly directory: string;
  readonly files: readonly string[];
  readonly model: Dict;
  readonly disabled: Dict;
  readonly profiles: readonly string[];
  readonly fileVariables: readonly (readonly [string, string])[];
  readonly variables: readonly Variable[];
  readonly warnings: readonly string[];
}

const MOST_ENTRIES = 64;
const LARGEST_ENTRY = 2 ** 20;
const CIPHER = 'aes-256-gcm';
const NONCE = 12;
const TAG = 16;

/**
 * Models of projects that were read before, so that reading them again is looking whether anything changed. An entry is
 * found by what the command line says of a project. In it are the names of all that was looked at when the project was
 * read, and the model, sealed with a key that is made of what was there: it opens where all of that is as it was, and
 * for nobody who has the entry and not the files and variables (docs/decisions/0010).
 */
export class KeptModels {
  readonly #base: string;
  readonly #directory: string;
  readonly #build: string;

  /**
   * @param base directory of this user, below which `directory` is made
   * @param build names the code that makes models: another's are not taken
   */
  constructor(base: string, directory: string, build: string) {
    this.#base = base;
    this.#directory = directory;
    this.#build = build;
  }

  /** Undefined where there is none, or none that is of what is there now, or none that can be read. */
  find(options: LoadOptions): KeptModel | undefined {
    try {
      const entry = readOwn(this.#entryOf(options));
      if (!entry) return undefined;
      const end = 4 + entry.readUInt32LE(0);
      const inputs = new ProjectInputs(options.env);
      if (!inputs.lookAgain(JSON.parse(entry.toString('utf8', 4, end)) as Input[])) return undefined;
      const sealed = entry.subarray(end);
      const opener = createDecipheriv(CIPHER, inputs.digest(), sealed.subarray(0, NONCE), { authTagLength: TAG });
      opener.setAuthTag(sealed.subarray(NONCE, NONCE + TAG));
      const text = Buffer.concat([opener.update(sealed.subarray(NONCE + TAG)), opener.final()]).toString();
      return modelOf(JSON.parse(text) as Body, options.env);
    } catch {
      return undefined; // damaged, or of other inputs: the project is read, and the entry is made anew
    }
  }

  /** Keeps what was read with these inputs, where that can be found again. Never throws: without it the next reading is slower. */
  keep(options: LoadOptions, inputs: ProjectInputs, { loaded, warnings }: KeptModel): void {
    if (!inputs.repeatable) return;
    try {
      const { name, directory, files, model, disabled, profiles } = loaded;
      const fileVariables = [...loaded.fileVariables];
      const variables = [...loaded.variables.values()];
      const body = { name, directory, files, model, disabled, profiles, fileVariables, variables, warnings };
      const text = JSON.stringify(body satisfies Body);
      const again = JSON.parse(text) as Body;
      // Numbers that JSON has no words for.
      if (!sameValue(dictsOf(again.model), model) || !sameValue(dictsOf(again.disabled), disabled)) return;
      const head = Buffer.from(JSON.stringify(inputs.looked));
      const length = Buffer.alloc(4);
      length.writeUInt32LE(head.length);
      const nonce = randomBytes(NONCE);
      const sealer = createCipheriv(CIPHER, inputs.digest(), nonce, { authTagLength: TAG });
      const sealed = Buffer.concat([sealer.update(text), sealer.final()]);
      const entry = Buffer.concat([length, head, nonce, sealer.getAuthTag(), sealed]);
      if (entry.length <= LARGEST_ENTRY) this.#write(this.#entryOf(options), entry);
    } catch {
      // A directory that cannot be written, a full disk.
    }
  }

  /** By all that the command line and the working directory say of how a project is read. */
  #entryOf(options: LoadOptions): string {
    const { env: _env, stdin: _stdin, warn: _warn, fetchRemote: _fetch, inputs: _inputs, ...words } = options;
    const sorted = Object.entries(words).sort(([a], [b]) => (a < b ? -1 : 1));
    const hash = createHash('sha256').update(JSON.stringify([this.#build, sorted]));
    return join(this.#directory, hash.digest('hex').slice(0, 32));
  }

  #write(path: string, entry: Buffer): void {
    // A home that is somebody else's, as sudo may leave it, gets no directory that its owner could not use.
    if (!isOwn(fs.statSync(this.#base))) return;
    fs.mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    const directory = fs.lstatSync(this.#directory);
    if (!directory.isDirectory() || !isOwn(directory) || (directory.mode & 0o077) !== 0) return;
    const aside = `${path}.${randomBytes(6).toString('hex')}`;
    try {
      fs.writeFileSync(aside, entry, { mode: 0o600, flag: 'wx' });
      fs.renameSync(aside, path);
    } catch (error) {
      fs.rmSync(aside, { force: true });
      throw error;
    }
    this.#removeOldest();
  }

  #removeOldest(): void {
    const names = fs.readdirSync(this.#directory);
    if (names.length <= MOST_ENTRIES) return;
    const written = (path: string): number => fs.lstatSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    const byAge = names
      .map((name) => join(this.#directory, name))
      .map((path) => ({ path, at: written(path) }))
      .sort((a, b) => a.at - b.at);
    for (const { path } of byAge.slice(0, names.length - MOST_ENTRIES)) fs.rmSync(path, { force: true });
  }
}

/** The content of a file that nobody else can have written or read; undefined where there is none. */
function readOwn(path: string): Buffer | undefined {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
  let file: number;
  try {
    file = fs.openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const stat = fs.fstatSync(file);
    const good = stat.isFile() && isOwn(stat) && (stat.mode & 0o077) === 0 && stat.size <= LARGEST_ENTRY;
    return good ? fs.readFileSync(file) : undefined;
  } finally {
    fs.closeSync(file);
  }
}

function isOwn(stat: fs.Stats): boolean {
  return stat.uid === process.geteuid?.();
}

function modelOf(body: Body, env: LoadOptions['env']): KeptModel {
  const { name, directory, files, profiles, warnings } = body;
  const fileVariables = new Map(body.fileVariables);
  const environment = environmentOf(env, fileVariables);
  environment.set('COMPOSE_PROJECT_NAME', name);
  return {
    loaded: {
      name,
      directory,
      files,
      model: dictsOf(body.model) as Dict,
      disabled: dictsOf(body.disabled) as Dict,
      profiles,
      lookup: (variable) => environment.get(variable),
      environment,
      fileVariables,
      variables: new Map(body.variables.map((variable) => [variable.name, variable])),
    },
    warnings,
  };
}

/** What was parsed, with dictionaries that have no prototype. */
function dictsOf(value: Value): Value {
  if (Array.isArray(value)) return value.map(dictsOf);
  return isDict(value) ? dict(Object.entries(value).map(([key, item]) => [key, dictsOf(item)])) : value;
}
