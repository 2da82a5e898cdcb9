import { readFile } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { EngineError } from '../../base/errors.ts';

/** What may be asked of a host: names, content by digest, uploads. */
export type Capability = 'resolve' | 'pull' | 'push';

/** One host of a `hosts.toml`, in its order. */
export interface HostEntry {
  /** With the path that it has in the file, and a slash at its end. */
  readonly url: URL;
  readonly capabilities: ReadonlySet<Capability>;
  /** Files; relative ones are beside the `hosts.toml`. */
  readonly ca: readonly string[];
  /** Certificate and key, each a file; the key is in the certificate's file where none is named. */
  readonly client: readonly (readonly [string, string | undefined])[];
  readonly skipVerify: boolean;
  /** The URL's path is all of the prefix: no `v2/` comes behind it. */
  readonly overridePath: boolean;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number | undefined;
}

export interface HostsFile {
  readonly path: string;
  readonly hosts: readonly HostEntry[];
  /** The registry itself; undefined where the file leaves it to its name. */
  readonly server: HostEntry | undefined;
}

const READING: ReadonlySet<Capability> = new Set(['resolve', 'pull']);
const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000 };

/** The folders in which a registry's `hosts.toml` and certificates may be, best first: containerd's names and Docker's. */
export function hostFolders(directory: string, domain: string): string[] {
  const port = /^(.*):(\d+)$/.exec(domain);
  return [domain, ...(port ? [`${port[1]}_${port[2]}_`] : [])].map((name) => join(directory, name));
}

/**
 * The `hosts.toml` of a registry in the first of `directories` that has one, else that of `_default`; read anew each time,
 * so that a change needs no restart. Throws `invalid-argument` with the file and what is wrong in it.
 */
export async function readHostsFile(directories: readonly string[], domain: string): Promise<HostsFile | undefined> {
  const own = directories.flatMap((directory) => hostFolders(directory, domain));
  for (const folder of [...own, ...directories.map((directory) => join(directory, '_default'))]) {
    const path = join(folder, 'hosts.toml');
    const text = await readIfThere(path);
    if (text !== undefined) return parseHostsFile(text, folder, path);
  }
  return undefined;
}

/** Throws `invalid-argument`. */
export async function parseHostsFile(text: string, folder: string, path: string): Promise<HostsFile> {
  const wrong = (words: string, cause?: unknown): EngineError =>
    new EngineError('invalid-argument', `${path}: ${words}`, { cause });
  // Loaded here: most machines have no such file.
  const { parse } = await import('smol-toml');
  let document: Record<string, unknown>;
  try {
    document = parse(text);
  } catch (error) {
    throw wrong((error as Error).message.split('\n')[0]!, error);
  }
  const { server, host = {}, ...rest } = document;
  if (!isTable(host)) throw wrong('host must be a table of hosts: [host."https://mirror.example"]');
  const read = (url: string, table: Record<string, unknown>): HostEntry => {
    try {
      return entryOf(url, table, folder);
    } catch (error) {
      throw wrong((error as Error).message, error);
    }
  };
  // One that is only here for push must be named for it: what was pulled from a mirror is not to end up in it by chance.
  const hosts = Object.entries(host).map(([url, table]) => {
    if (!isTable(table)) throw wrong(`host ${JSON.stringify(url)} must be a table`);
    return read(url, table);
  });
  if (server !== undefined && typeof server !== 'string') throw wrong('server must be a URL');
  const every = ['resolve', 'pull', 'push'];
  return {
    path,
    hosts,
    server: server === undefined ? undefined : read(server, { capabilities: every, ...rest }),
  };
}

const KEYS = ['capabilities', 'ca', 'client', 'skip_verify', 'override_path', 'header', 'dial_timeout'];

function entryOf(text: string, table: Record<string, unknown>, folder: string): HostEntry {
  const unknown = Object.keys(table).find((key) => !KEYS.includes(key));
  if (unknown !== undefined) throw new Error(`${text}: ${unknown} is not known`);
  const spelled = /^[a-z]+:\/\//i.test(text) ? text : `https://${text}`;
  const url = URL.parse(spelled.endsWith('/') ? spelled : `${spelled}/`);
  if (!url || !/^https?:$/.test(url.protocol)) throw new Error(`${JSON.stringify(text)} is no http or https URL`);
  const file = (name: unknown, key: string): string => {
    if (typeof name !== 'string' || name === '') throw new Error(`${text}: ${key} must name files`);
    return isAbsolute(name) ? name : join(folder, name);
  };
  const list = (value: unknown): unknown[] => (value === undefined ? [] : Array.isArray(value) ? value : [value]);
  const flag = (key: string): boolean => {
    const value = table[key] ?? false;
    if (typeof value !== 'boolean') throw new Error(`${text}: ${key} must be true or false`);
    return value;
  };
  return {
    url,
    capabilities: capabilitiesOf(table['capabilities'], text),
    ca: list(table['ca']).map((name) => file(name, 'ca')),
    client: list(table['client']).map((pair) => {
      if (!Array.isArray(pair)) return [file(pair, 'client'), undefined];
      return [file(pair[0], 'client'), pair[1] === undefined || pair[1] === '' ? undefined : file(pair[1], 'client')];
    }),
    skipVerify: flag('skip_verify'),
    overridePath: flag('override_path'),
    headers: headersOf(table['header'], text),
    timeoutMs: timeoutOf(table['dial_timeout'], text),
  };
}

function capabilitiesOf(value: unknown, text: string): ReadonlySet<Capability> {
  if (value === undefined) return READING;
  if (!Array.isArray(value)) throw new Error(`${text}: capabilities must be a list`);
  for (const one of value) {
    if (one !== 'resolve' && one !== 'pull' && one !== 'push')
      throw new Error(`${text}: unknown capability ${JSON.stringify(one)}`);
  }
  return new Set(value as Capability[]);
}

function headersOf(value: unknown, text: string): Record<string, string> {
  if (value === undefined) return {};
  if (!isTable(value)) throw new Error(`${text}: header must be a table`);
  return Object.fromEntries(
    Object.entries(value).map(([name, given]) => {
      const values = (Array.isArray(given) ? given : [given]) as unknown[];
      const isText = values.every((one) => typeof one === 'string' && !/[^\t\x20-\x7e\x80-\xff]/.test(one));
      if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name) || !isText) throw new Error(`${text}: header ${name} is not valid`);
      return [name.toLowerCase(), values.join(', ')];
    }),
  );
}

function timeoutOf(value: unknown, text: string): number | undefined {
  if (value === undefined) return undefined;
  const match = typeof value === 'string' ? /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(value) : null;
  if (!match) throw new Error(`${text}: dial_timeout must be a duration such as "3s"`);
  return Number(match[1]) * UNITS[match[2]!]!;
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw new EngineError('unavailable', `cannot read ${path}: ${(error as Error).message}`, { cause: error });
  }
}
