import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import { EngineError } from '../base/errors.ts';

/** Absolute paths on the host: a program is never looked up, least of all inside of a container's root. */
const PROGRAMS = {
  bzip2: ['/usr/bin/bzip2', '/bin/bzip2'],
  xz: ['/usr/bin/xz', '/bin/xz'],
} as const;

/** Undoes bzip2 or xz with the host's program. Throws `unavailable` when the host has none, `corrupt`. */
export async function* externalDecompressor(
  compression: 'bzip2' | 'xz',
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const program = await firstExecutable(PROGRAMS[compression]);
  if (program === undefined) {
    throw new EngineError(
      'unavailable',
      `the archive is compressed with ${compression}: install ${compression === 'xz' ? 'xz-utils' : 'bzip2'}, or use gzip or zstd`,
    );
  }
  const options = compression === 'xz' ? ['--memlimit-decompress=256MiB'] : [];
  const child = spawn(program, ['-dc', ...options], { cwd: '/', env: {}, stdio: ['pipe', 'pipe', 'pipe'] });
  let words = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (words.length < 1000) words += text;
  });
  const ended = new Promise<number | null>((resolve, reject) => child.on('close', resolve).on('error', reject));
  ended.catch(() => {});
  // A reader that leaves, or a program that refuses the data, breaks the pipe: the exit status tells.
  const feeding = pipeline(Readable.from(source), child.stdin);
  feeding.catch(() => {});
  try {
    yield* child.stdout as AsyncIterable<Uint8Array>;
    const status = await ended;
    if (status !== 0)
      throw new EngineError('corrupt', `invalid ${compression} data: ${words.trim() || `status ${status}`}`);
    await feeding;
  } finally {
    child.kill('SIGKILL');
  }
}

async function firstExecutable(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    try {
      await access(path, constants.X_OK);
      return path;
    } catch {
      continue;
    }
  }
  return undefined;
}
