import { posix } from 'node:path';
import { EngineError } from '../base/errors.ts';
import { parseMode } from './file-mode.ts';

interface MountTarget {
  /** Absolute. */
  readonly target: string;
}

/** A part of the context, a stage or an image. What is written there is thrown away after the step. */
export interface BindRunMount extends MountTarget {
  readonly type: 'bind';
  /** Stage or image; undefined is the build context. */
  readonly from: string | undefined;
  readonly source: string;
  readonly writable: boolean;
}

/** A directory that outlives the build. */
export interface CacheRunMount extends MountTarget {
  readonly type: 'cache';
  readonly id: string;
  readonly sharing: 'shared' | 'private' | 'locked';
  /** Stage or image whose files a new cache begins with. */
  readonly from: string | undefined;
  readonly source: string;
  readonly readOnly: boolean;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface TmpfsRunMount extends MountTarget {
  readonly type: 'tmpfs';
  /** Bytes. */
  readonly size: number | undefined;
}

/** What only the client has: a secret, as a file, a variable or both. */
export interface SecretRunMount {
  readonly type: 'secret';
  readonly id: string;
  readonly required: boolean;
  /** Undefined when it is only a variable. */
  readonly target: string | undefined;
  readonly variable: string | undefined;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** The client's ssh agent, as a socket whose path is in SSH_AUTH_SOCK. */
export interface SshRunMount {
  readonly type: 'ssh';
  readonly id: string;
  readonly required: boolean;
  /** Undefined: one that nobody else has. */
  readonly target: string | undefined;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export type RunMount = BindRunMount | CacheRunMount | TmpfsRunMount | SecretRunMount | SshRunMount;

const KEYS: Readonly<Record<RunMount['type'], readonly string[]>> = {
  bind: ['from', 'source', 'src', 'rw', 'readwrite', 'ro', 'readonly'],
  cache: ['id', 'sharing', 'from', 'source', 'src', 'mode', 'uid', 'gid', 'rw', 'readwrite', 'ro', 'readonly'],
  tmpfs: ['size'],
  secret: ['id', 'required', 'mode', 'uid', 'gid', 'env'],
  ssh: ['id', 'required', 'mode', 'uid', 'gid'],
};
const TARGET_KEYS = ['target', 'dst', 'destination'];
const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1 << 10, m: 1 << 20, g: 1 << 30 };

/** Reads a RUN --mount (Dockerfile reference) whose variables are expanded. Throws `invalid-argument`. */
export function parseRunMount(text: string, workingDir: string): RunMount {
  const fields = readFields(text);
  const type = fields.get('type') ?? 'bind';
  if (!isMountType(type)) throw fail(`unsupported mount type ${JSON.stringify(type)}`);
  for (const key of fields.keys()) {
    if (key !== 'type' && !TARGET_KEYS.includes(key) && !KEYS[type].includes(key))
      throw fail(`unexpected key '${key}' for mount type '${type}' in '${text}'`);
  }
  const first = (...keys: string[]): string | undefined =>
    keys.map((key) => fields.get(key)).find((value) => value !== undefined);
  const given = first(...TARGET_KEYS);
  const owner = { uid: whole(first('uid')), gid: whole(first('gid')) };
  const modeOr = (otherwise: number): number => {
    const mode = first('mode') === undefined ? otherwise : parseMode(first('mode')!);
    if (typeof mode !== 'number') throw fail(`invalid mode ${JSON.stringify(first('mode'))}`);
    return mode;
  };
  if (type === 'secret') {
    const id = first('id') ?? (given === undefined ? '' : posix.basename(given));
    if (id === '') throw fail('a secret mount must have an id or a target');
    const variable = first('env');
    if (variable !== undefined && (variable === '' || variable.includes('=')))
      throw fail(`invalid env ${JSON.stringify(variable)}`);
    const file = given ?? (variable === undefined ? `/run/secrets/${posix.basename(id)}` : undefined);
    const target = file === undefined ? undefined : posix.resolve('/', workingDir, file);
    return { type, id, required: isSet(fields, 'required'), target, variable, mode: modeOr(0o400), ...owner };
  }
  if (type === 'ssh') {
    const target = given === undefined ? undefined : posix.resolve('/', workingDir, given);
    return {
      type,
      id: first('id') ?? 'default',
      required: isSet(fields, 'required'),
      target,
      mode: modeOr(0o600),
      ...owner,
    };
  }
  if (given === undefined || given === '') throw fail(`${type} mount has no target: ${text}`);
  const target = posix.resolve('/', workingDir, given);
  if (target === '/') throw fail(`invalid mount target ${JSON.stringify(given)}`);
  if (type === 'tmpfs') return { type, target, size: first('size') === undefined ? undefined : bytes(first('size')!) };
  const source = posix.resolve('/', first('source', 'src') ?? '/');
  const from = first('from') || undefined;
  if (type === 'bind') return { type, target, from, source, writable: isSet(fields, 'rw', 'readwrite') };
  const sharing = first('sharing') ?? 'shared';
  if (sharing !== 'shared' && sharing !== 'private' && sharing !== 'locked')
    throw fail(`unsupported sharing value ${JSON.stringify(sharing)}`);
  return {
    type,
    target,
    id: first('id') ?? target,
    sharing,
    from,
    source,
    readOnly: isSet(fields, 'ro', 'readonly'),
    mode: modeOr(0o755),
    ...owner,
  };
}

/** The stage or image that a mount, as written, takes files from. */
export function mountFrom(text: string): string | undefined {
  return readFields(text).get('from') || undefined;
}

function readFields(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const match of text.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)) {
    const field = match[1]?.replaceAll('""', '"') ?? match[2] ?? '';
    const cut = field.indexOf('=');
    const key = (cut < 0 ? field : field.slice(0, cut)).toLowerCase();
    if (key === '') throw fail(`invalid mount field in ${JSON.stringify(text)}`);
    if (cut < 0 && !FLAGS.has(key)) throw fail(`invalid field '${field}' must be a key=value pair`);
    fields.set(key, cut < 0 ? 'true' : field.slice(cut + 1));
  }
  return fields;
}

const FLAGS = new Set(['rw', 'readwrite', 'ro', 'readonly', 'required']);

function isSet(fields: ReadonlyMap<string, string>, ...keys: string[]): boolean {
  for (const key of keys) {
    const value = fields.get(key);
    if (value === undefined) continue;
    if (value === 'true' || value === '1') return true;
    if (value !== 'false' && value !== '0') throw fail(`invalid value for ${key}: ${value}`);
  }
  return false;
}

function isMountType(type: string): type is RunMount['type'] {
  return Object.hasOwn(KEYS, type);
}

function whole(text: string | undefined): number {
  if (text === undefined) return 0;
  if (!/^\d{1,10}$/.test(text)) throw fail(`invalid value ${JSON.stringify(text)} for an owner: it is a number`);
  return Number(text);
}

function bytes(text: string): number {
  const match = /^(\d+)([kmg]?)b?$/i.exec(text);
  if (!match) throw fail(`invalid size ${JSON.stringify(text)}`);
  return Number(match[1]) * UNITS[match[2]!.toLowerCase()]!;
}

function fail(message: string): EngineError {
  return new EngineError('invalid-argument', message);
}
