import { constants } from 'node:fs';
import { lstat, open } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError, errorMessage } from '../../base/errors.ts';
import { sourceExcerpt } from '../../build/excerpt.ts';
import { BuildStepFailed } from './stages/failed-step.ts';

const MAX_DOCKERFILE = 16 * 1024 * 1024;

/** A file of the context that must be a plain one: the context comes from outside, and may hold links to anywhere. */
export async function readContextFile(root: string, name: string): Promise<string> {
  const path = join(root, join('/', name));
  const missing = new EngineError('invalid-argument', `Cannot locate specified Dockerfile: ${name}`);
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
        `the Dockerfile (${name}) is reached through a symbolic link: name the file itself`,
      );
  }
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(() => {
    throw missing;
  });
  try {
    const found = await file.stat();
    if (!found.isFile()) throw new EngineError('invalid-argument', `the Dockerfile (${name}) is not a file`);
    if (found.size > MAX_DOCKERFILE)
      throw new EngineError('too-large', `the Dockerfile (${name}) is larger than ${MAX_DOCKERFILE} bytes`);
    const bytes = await file.readFile();
    const mark = bytes.toString('hex', 0, 2);
    if (mark === 'fffe' || mark === 'feff')
      throw new EngineError('invalid-argument', `the Dockerfile (${name}) is written in UTF-16: save it as UTF-8`);
    return bytes.toString('utf8');
  } finally {
    await file.close();
  }
}

/** Lines of the ignore file: the Dockerfile's own, else the context's. */
export async function readIgnore(root: string, dockerfile: string): Promise<string[]> {
  for (const name of [`${dockerfile}.dockerignore`, '.dockerignore']) {
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

/** Shows the lines of the Dockerfile that a failure of `work` is about, behind its message. */
export async function withExcerpt<T>(
  file: { readonly name: string; readonly text: string },
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof BuildStepFailed && error.step)
      error.excerpt ??= sourceExcerpt(file.name, file.text, error.step.lines);
    const line = Number(/^dockerfile (?:parse error on )?line (\d+)/.exec(errorMessage(error))?.[1]);
    if (!(error instanceof EngineError) || Number.isNaN(line)) throw error;
    const excerpt = sourceExcerpt(file.name, file.text, { start: line, end: line });
    throw new EngineError(error.code, `${error.message}\n${excerpt}`.trimEnd(), { cause: error });
  }
}
