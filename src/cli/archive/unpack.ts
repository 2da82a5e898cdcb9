import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { readTar, type TarEntry } from '../../content/tar/reader.ts';
import { CommandError } from '../command.ts';
import { removeOthers } from './remove-others.ts';

export interface UnpackOptions {
  /** The name that the archive's root gets in `folder`; undefined keeps its own, `.` puts its contents there. */
  readonly rename?: string | undefined;
  /** Give files the owners they have in the archive. */
  readonly owners: boolean;
  /** What is in `folder` and not in the archive is removed; what stands in the way of the archive is, too. */
  readonly replace?: boolean;
}

/**
 * Unpacks an archive that a container made into `folder`, and only there: names with `..`, links and files through links
 * that the archive itself made, and hard links to anything outside are refused.
 */
export async function unpackTree(
  archive: AsyncIterable<Uint8Array>,
  folder: string,
  options: UnpackOptions,
): Promise<void> {
  const times: { path: string; mtime: bigint; mode: number }[] = [];
  const root = fs.realpathSync(folder);
  const written = new Set<string>();
  for await (const entry of readTar(archive)) {
    const parts = partsOf(entry.header.name, options.rename);
    if (parts.length === 0) continue;
    const path = placeFor(root, parts, options.replace);
    written.add(path);
    await write(entry, path, root, options);
    if (entry.header.type === 'directory') times.push({ path, mtime: entry.header.mtime, mode: entry.header.mode });
    else finish(entry, path);
  }
  // Directories last: what is written into them changes their time, and a read-only one could not be filled.
  for (const { path, mtime, mode } of times.reverse()) {
    fs.chmodSync(path, mode);
    setTimes(path, mtime);
  }
  if (options.replace === true) removeOthers(root, written);
}

/** The components below the destination: the archive's own root renamed. */
function partsOf(name: string, rename: string | undefined): string[] {
  const parts = Buffer.from(name, 'latin1')
    .toString('utf8')
    .split('/')
    .filter((part) => part !== '' && part !== '.');
  if (parts.includes('..'))
    throw new CommandError(`the archive is refused: ${JSON.stringify(name)} leaves its destination`);
  if (rename === undefined || name === './' || name.startsWith('./') || name === '.') return parts;
  return rename === '.' ? parts.slice(1) : [rename, ...parts.slice(1)];
}

/** Where an entry goes; makes missing directories. No component above it may be a link. */
function placeFor(root: string, parts: readonly string[], replace = false): string {
  let path = root;
  for (const part of parts.slice(0, -1)) {
    path = join(path, part);
    let stat = fs.lstatSync(path, { throwIfNoEntry: false });
    if (stat?.isDirectory() === false && replace) {
      fs.unlinkSync(path);
      stat = undefined;
    }
    if (!stat) fs.mkdirSync(path, 0o755);
    else if (!stat.isDirectory())
      throw new CommandError(
        `the archive is refused: ${path} is no directory, and something is to be written below it`,
      );
  }
  return join(path, parts.at(-1)!);
}

async function write({ header, body }: TarEntry, path: string, root: string, options: UnpackOptions): Promise<void> {
  let there = fs.lstatSync(path, { throwIfNoEntry: false });
  if (options.replace === true && there && there.isDirectory() !== (header.type === 'directory')) {
    fs.rmSync(path, { recursive: true });
    there = undefined;
  }
  if (header.type === 'directory') {
    if (there?.isDirectory() !== true) {
      if (there) throw new CommandError(`cannot overwrite non-directory ${path} with directory`);
      fs.mkdirSync(path, 0o700);
    }
  } else {
    if (there?.isDirectory() === true) throw new CommandError(`cannot overwrite directory ${path} with non-directory`);
    if (there) fs.unlinkSync(path);
    if (header.type === 'file') await writeFile(path, body);
    else if (header.type === 'symlink') fs.symlinkSync(Buffer.from(header.linkName, 'latin1'), path);
    else if (header.type === 'hard-link') link(header.linkName, path, root, options);
    else throw new CommandError(`${path} would be a ${header.type}, which cp does not make`);
  }
  if (options.owners) fs.lchownSync(path, header.uid, header.gid);
}

async function writeFile(path: string, body: AsyncIterable<Uint8Array>): Promise<void> {
  const fd = fs.openSync(
    path,
    fs.constants.O_WRONLY | fs.constants.O_CREAT | fs.constants.O_EXCL | fs.constants.O_NOFOLLOW,
    0o600,
  );
  try {
    for await (const chunk of body) for (let at = 0; at < chunk.byteLength;) at += fs.writeSync(fd, chunk, at);
  } finally {
    fs.closeSync(fd);
  }
}

function link(target: string, path: string, root: string, options: UnpackOptions): void {
  const parts = partsOf(target, options.rename);
  if (parts.length === 0)
    throw new CommandError(`the archive is refused: ${path} would be a hard link to its own root`);
  const source = placeFor(root, parts);
  if (fs.lstatSync(source, { throwIfNoEntry: false })?.isFile() !== true) {
    throw new CommandError(`the archive is refused: ${path} is a hard link to ${source}, which is no file of it`);
  }
  fs.linkSync(source, path);
}

function finish({ header }: TarEntry, path: string): void {
  if (header.type !== 'file') return;
  fs.chmodSync(path, header.mode);
  setTimes(path, header.mtime);
}

function setTimes(path: string, nanos: bigint): void {
  const seconds = Number(nanos) / 1e9;
  fs.utimesSync(path, seconds, seconds);
}

/** The directory that must be there for a file of this name. */
export function parentOf(path: string): string {
  return dirname(path.replace(/\/+$/, '') || '/');
}
