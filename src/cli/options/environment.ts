import fs from 'node:fs';
import type { Environment } from '../cli.ts';

/** `--env-file` files and `-e` values, in that order. A bare name takes its value from our own environment. */
export function readEnvironment(files: readonly string[], values: readonly string[], env: Environment): string[] {
  return [
    ...files.flatMap((file) => readKeyValueFile(file, env)),
    ...values.map((value) => {
      if (value.includes('=')) return value;
      const own = env[value];
      return own === undefined ? value : `${value}=${own}`;
    }),
  ];
}

/** One `--label`, as it is. Throws when its name is empty or has white space in it. */
export function checkLabel(text: string): string {
  const name = text.split('=', 1)[0]!;
  if (name === '') throw new Error(`invalid label '${text}': empty name`);
  if (/\s/.test(name)) throw new Error(`label '${name}' contains whitespaces`);
  return text;
}

/** `--label-file` files and `--label` values. */
export function readLabels(files: readonly string[], values: readonly string[]): Record<string, string> {
  return toRecord([...files.flatMap((file) => readKeyValueFile(file, undefined)), ...values]);
}

/** `key=value` texts as an object whose keys are only data, whatever they are called. */
export function toRecord(pairs: readonly string[]): Record<string, string> {
  const record = Object.create(null) as Record<string, string>;
  for (const pair of pairs) {
    const cut = pair.indexOf('=');
    record[cut < 0 ? pair : pair.slice(0, cut)] = cut < 0 ? '' : pair.slice(cut + 1);
  }
  return record;
}

function readKeyValueFile(file: string, env: Environment | undefined): string[] {
  let bytes: Buffer;
  try {
    bytes = fs.readFileSync(file);
  } catch (error) {
    throw new Error(`open ${file}: ${fileComplaint(error)}`, { cause: error });
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new Error(`invalid utf8 bytes in ${file}`);
  }
  const pairs: string[] = [];
  for (const raw of text.split(/\r?\n/)) {
    const line = raw.trimStart();
    if (line === '' || line.startsWith('#')) continue;
    const cut = line.indexOf('=');
    const name = (cut < 0 ? line : line.slice(0, cut)).trimStart();
    if (cut < 0 ? /\s/.test(name.trim()) : /\s/.test(name))
      throw new Error(`invalid env file (${file}): variable '${name}' contains whitespaces`);
    if (name === '') throw new Error(`invalid env file (${file}): no variable name on line '${line}'`);
    if (cut >= 0) pairs.push(`${name}=${line.slice(cut + 1)}`);
    else if (env === undefined) pairs.push(name.trim());
    else if (env[name.trim()] !== undefined) pairs.push(`${name.trim()}=${env[name.trim()]}`);
  }
  return pairs;
}

/** An error of the file system as Go words it. */
export function fileComplaint(error: unknown): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOENT':
      return 'no such file or directory';
    case 'EACCES':
      return 'permission denied';
    case 'EISDIR':
      return 'is a directory';
    case 'EEXIST':
      return 'file exists';
    case 'ENOTDIR':
      return 'not a directory';
    default:
      return (error as Error).message;
  }
}

/** Throws an Error in docker's words when `-e` is given no name. */
export function checkVariable(text: string): string {
  if (text === '' || text.startsWith('=')) throw new Error(`invalid environment variable: ${text}`);
  return text;
}
