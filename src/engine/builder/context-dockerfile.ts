import { isUtf8 } from 'node:buffer';
import { constants } from 'node:fs';
import { lstat, open } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError } from '../../base/errors.ts';
import {
  type DockerfileSource,
  lineOfMessage,
  notePlace,
  placeOf,
  type SourcePlace,
} from '../../build/dockerfile/source.ts';
import { sourceExcerpt } from '../../build/excerpt.ts';
import { BuildStepFailed, lineOf } from './stages/failed-step.ts';

const MAX_DOCKERFILE = 16 * 1024 * 1024;

/** The file that is meant: without a `Dockerfile` it may be written in small letters, or be a `Containerfile`. Throws `invalid-argument` for one that is not in the context. */
export async function dockerfileName(root: string, name: string): Promise<string> {
  if (join('/', name) !== join('/', 'context', name).slice('/context'.length))
    throw new EngineError('invalid-argument', `forbidden path outside the build context: ${name} ()`);
  if (name !== 'Dockerfile' || (await lstat(join(root, name)).catch(() => undefined))) return name;
  for (const other of ['dockerfile', 'Containerfile'])
    if (await lstat(join(root, other)).catch(() => undefined)) return other;
  return name;
}

/** The Dockerfile of a context. Throws `invalid-argument`, `too-large`. */
export function readContextFile(root: string, name: string): Promise<string> {
  return readPlainFile(root, name, {
    shown: `the Dockerfile (${name})`,
    missing: `Cannot locate specified Dockerfile: ${name}`,
  });
}

/** A file that a Dockerfile includes. Throws `invalid-argument`, `too-large`. */
export function readIncludedFile(root: string, path: string): Promise<string> {
  return readPlainFile(root, path, {
    shown: `the file ${path}`,
    missing: 'the context has no such file (what an ignore file leaves out is no part of it)',
  });
}

/** A file of a context must be a plain one: contexts come from outside, and may hold links to anywhere. */
async function readPlainFile(
  root: string,
  name: string,
  words: { readonly shown: string; readonly missing: string },
): Promise<string> {
  const path = join(root, join('/', name));
  const missing = new EngineError('invalid-argument', words.missing);
  let at = root;
  for (const part of join('/', name)
    .split('/')
    .filter((text) => text !== '')) {
    at = join(at, part);
    const found = await lstat(at).catch(() => undefined);
    if (!found) throw missing;
    if (found.isSymbolicLink())
      throw new EngineError(
        'invalid-argument',
        `${words.shown} is reached through a symbolic link: name the file itself`,
      );
  }
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(() => {
    throw missing;
  });
  try {
    const found = await file.stat();
    if (!found.isFile()) throw new EngineError('invalid-argument', `${words.shown} is not a file`);
    if (found.size > MAX_DOCKERFILE)
      throw new EngineError('too-large', `${words.shown} is larger than ${MAX_DOCKERFILE} bytes`);
    const bytes = await file.readFile();
    return decodeText(bytes, name);
  } finally {
    await file.close();
  }
}

/** What is not UTF-8 would become something else on its way into the image: only comments may be. Throws `invalid-argument`. */
export function decodeText(bytes: Buffer, name: string): string {
  const mark = bytes.toString('hex', 0, 2);
  if (mark === 'fffe' || mark === 'feff')
    throw new EngineError('invalid-argument', `the Dockerfile (${name}) is written in UTF-16: save it as UTF-8`);
  const text = bytes.toString('utf8');
  if (isUtf8(bytes)) return text;
  const lines = bytes.toString('latin1').split('\n');
  const wrong = lines.findIndex((line) => !/^\s*#/.test(line) && !isUtf8(Buffer.from(line, 'latin1')));
  if (wrong < 0) return text;
  throw new EngineError(
    'invalid-argument',
    `dockerfile line ${wrong + 1}: the file (${name}) is not UTF-8 here, but Latin-1 or the like: save it as UTF-8`,
  );
}

/** Lines of the ignore file: the Dockerfile's own, else the context's. */
export async function readIgnore(root: string, dockerfile: string): Promise<string[]> {
  for (const name of [`${dockerfile}.dockerignore`, '.dockerignore', '.containerignore']) {
    const text = await readContextFile(root, name).catch(() => undefined);
    if (text !== undefined) {
      return text
        .replace(/^\uFEFF/, '')
        .split(/\r?\n/)
        .filter((line) => !line.startsWith('#'))
        .map((line) => line.trim())
        .filter((line) => line !== '');
    }
  }
  return [];
}

/** Shows the lines that a failure of `work` is about, behind its message, which says whose they are. */
export async function withExcerpt<T>(source: () => DockerfileSource, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof BuildStepFailed && error.lines) error.excerpt ??= source().excerpt(error.lines);
    if (!(error instanceof EngineError)) throw error;
    const known = placeOf(error);
    const line = lineOfMessage(error.message);
    if (known) throw shown(error, error.message, known);
    if (line !== undefined) throw shown(error, source().named(error.message), source().at(line));
    const noted = lineOf(error);
    if (noted !== undefined && !(error instanceof BuildStepFailed))
      Object.assign(error, { excerpt: source().excerpt({ start: noted, end: noted }) });
    throw error;
  }
}

function shown(error: EngineError, message: string, { file, line }: SourcePlace): EngineError {
  const excerpt = sourceExcerpt(file.name, file.text, { start: line, end: line });
  return notePlace(new EngineError(error.code, `${message}\n${excerpt}`.trimEnd(), { cause: error }), { file, line });
}
