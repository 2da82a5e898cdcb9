import fs from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Cli } from '../cli.ts';
import { CommandError } from '../command.ts';
import { fileComplaint } from '../options/environment.ts';

/**
 * Writes a stream to a file, which appears only when it is whole, or to stdout, which may not be a terminal. `open` is
 * called when it is clear that there is a place for it.
 */
export async function writeStream(
  cli: Cli,
  path: string,
  open: () => Promise<AsyncIterable<Uint8Array>>,
  verb: 'save' | 'export',
  object: 'image' | 'container' | 'volume' = verb === 'save' ? 'image' : 'container',
): Promise<void> {
  const what = `${verb} ${object}`;
  if (path === '' || path === '-') {
    if (cli.io.stdout.isTTY)
      throw new CommandError(`cowardly refusing to ${verb} to a terminal. Use the -o flag or redirect`);
    for await (const chunk of await open()) cli.io.stdout.write(chunk);
    return;
  }
  const special = fs.statSync(path, { throwIfNoEntry: false });
  if (special?.isDirectory())
    throw new CommandError(`failed to ${what}: invalid output path: ${JSON.stringify(path)} must be a regular file`);
  const aside = special && !special.isFile() ? path : join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  let fd: number;
  try {
    fd = fs.openSync(aside, aside === path ? 'w' : 'wx', 0o600);
  } catch (error) {
    const place = (error as NodeJS.ErrnoException).code === 'ENOENT' ? `stat ${dirname(path)}` : `open ${path}`;
    throw new CommandError(`failed to ${what}: invalid output path: ${place}: ${fileComplaint(error)}`, 1, {
      cause: error,
    });
  }
  const forget = (): void => {
    if (aside !== path) fs.rmSync(aside, { force: true });
  };
  process.once('exit', forget);
  try {
    for await (const chunk of await open()) {
      for (let at = 0; at < chunk.byteLength;) at += fs.writeSync(fd, chunk, at);
    }
    if (aside !== path) fs.renameSync(aside, path);
  } finally {
    fs.closeSync(fd);
    forget();
    process.off('exit', forget);
  }
}

/** What is to be sent: a file, or stdin for `-`. */
export function readStream(cli: Cli, path: string): AsyncIterable<Uint8Array> {
  if (path === '' || path === '-') return cli.io.stdin();
  let fd: number;
  try {
    fd = fs.openSync(path, 'r');
  } catch (error) {
    throw new CommandError(`open ${path}: ${fileComplaint(error)}`, 1, { cause: error });
  }
  return fs.createReadStream(path, { fd, highWaterMark: 1 << 20 });
}
