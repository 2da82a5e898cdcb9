import type { MessageInitShape } from '@bufbuild/protobuf';
import { constants, readSync } from 'node:fs';
import { posix } from 'node:path';
import { byteString, textOf } from '../../base/byte-string.ts';
import { EngineError, errorMessage } from '../../base/errors.ts';
import { matchName } from '../../build/match-name.ts';
import { closeFd, type FileStat, namesIn, O_PATH, readLinkAt, statAt, statFd } from '../../linux/files.ts';
import { openInRoot } from '../../linux/rooted.ts';
import type { FileRange } from '../protocol/gateway_pb.ts';
import type { StatSchema } from '../protocol/files_pb.ts';

/** Larger files are for outputs: an answer is one message. */
const MAX_READ = 8 << 20;
const READ = constants.O_RDONLY | constants.O_NONBLOCK;
const DIRECTORY = O_PATH | constants.O_DIRECTORY;

const KINDS: Readonly<Record<FileStat['kind'], number>> = {
  file: 0,
  directory: 0x80000000,
  symlink: 0x08000000,
  fifo: 0x02000000,
  socket: 0x01000000,
  'block-device': 0x04000000,
  'character-device': 0x04200000,
};

/** A file of what was built, or a part of it. Throws `not-found`, `too-large`. */
export async function readFileOf(root: string, path: string, range: FileRange | undefined): Promise<Buffer> {
  const fd = open(root, path, READ);
  try {
    const { kind, size } = statFd(fd);
    if (kind !== 'file') throw new EngineError('invalid-argument', `${path} is no file: it is a ${kind}`);
    const offset = Math.min(Number(range?.Offset ?? 0n), size);
    const length = range && range.Length > 0n ? Math.min(Number(range.Length), size - offset) : size - offset;
    if (length > MAX_READ)
      throw new EngineError(
        'too-large',
        `${path} has ${length} bytes: at most ${MAX_READ >> 20} MiB can be read at once`,
      );
    const bytes = Buffer.alloc(length);
    let done = 0;
    for (let count = -1; done < length && count !== 0; done += count)
      count = readSync(fd, bytes, done, length - done, offset + done);
    return bytes.subarray(0, done);
  } finally {
    closeFd(fd);
  }
}

/** What is in a directory of what was built. Throws `not-found`. */
export async function readDirectory(
  root: string,
  path: string,
  pattern: string,
): Promise<MessageInitShape<typeof StatSchema>[]> {
  const fd = open(root, path, DIRECTORY);
  try {
    return namesIn(fd)
      .filter((name) => pattern === '' || matchName(pattern, textOf(name)))
      .map((name) => describe(fd, name))
      .filter((entry) => entry !== undefined);
  } finally {
    closeFd(fd);
  }
}

/** One object, a link as itself. Throws `not-found`. */
export async function statFileOf(root: string, path: string): Promise<MessageInitShape<typeof StatSchema>> {
  const whole = posix.resolve('/', path);
  if (whole === '/') {
    const fd = open(root, '/', DIRECTORY);
    try {
      return statOf(statFd(fd), '/', '');
    } finally {
      closeFd(fd);
    }
  }
  const fd = open(root, posix.dirname(whole), DIRECTORY);
  try {
    const entry = describe(fd, byteString(posix.basename(whole)));
    if (!entry) throw new EngineError('not-found', `lstat ${path}: no such file or directory`);
    return entry;
  } finally {
    closeFd(fd);
  }
}

function describe(directory: number, name: string): MessageInitShape<typeof StatSchema> | undefined {
  const stat = statAt(directory, name);
  if (!stat) return undefined;
  return statOf(stat, textOf(name), stat.kind === 'symlink' ? textOf(readLinkAt(directory, name)) : '');
}

function statOf(stat: FileStat, path: string, linkname: string): MessageInitShape<typeof StatSchema> {
  const { mode } = stat;
  const special =
    (mode & 0o4000 ? 0x00800000 : 0) | (mode & 0o2000 ? 0x00400000 : 0) | (mode & 0o1000 ? 0x00100000 : 0);
  return {
    path,
    linkname,
    mode: ((mode & 0o777) | special | KINDS[stat.kind]) >>> 0,
    uid: stat.uid,
    gid: stat.gid,
    size: BigInt(stat.kind === 'directory' ? 0 : stat.size),
    modTime: stat.mtime,
    devmajor: BigInt(stat.deviceMajor),
    devminor: BigInt(stat.deviceMinor),
  };
}

function open(root: string, path: string, flags: number): number {
  try {
    return openInRoot(root, posix.resolve('/', path), flags);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENOTDIR' && code !== 'ELOOP') throw error;
    throw new EngineError(
      'not-found',
      `open ${path}: ${code === 'ENOENT' ? 'no such file or directory' : errorMessage(error)}`,
      {
        cause: error,
      },
    );
  }
}
