import { readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';

/** One file of a log: the current one, or one that was rotated away. */
export interface LogFile {
  readonly path: string;
  readonly inode: bigint;
  readonly size: number;
}

/** A byte in a log, also after its file was rotated. */
export interface LogPosition {
  /** 0: the beginning of whatever file comes first. */
  readonly inode: bigint;
  readonly offset: number;
}

/**
 * The files that hold a log, oldest first; none when there is no log yet. Names: `<log>.3`, `<log>.2`, `<log>.1`, and,
 * until the engine has noticed a rotation, `<log>.current` (what was current when it last looked) and `<log>.next` (what
 * became current then); see rotation.ts.
 */
export function logFiles(path: string): readonly LogFile[] {
  const name = basename(path);
  const directory = dirname(path);
  const ranked: { rank: number; path: string }[] = [];
  for (const entry of listDirectory(directory)) {
    if (!entry.startsWith(name)) continue;
    const rank = rankOf(entry.slice(name.length));
    if (rank !== undefined) ranked.push({ rank, path: `${directory}/${entry}` });
  }
  ranked.sort((a, b) => b.rank - a.rank);
  const spare = inodeOf(`${path}.tmp`); // prepared for a rotation to come: not part of the log
  const files = new Map<bigint, LogFile>();
  for (const { path: file } of ranked) {
    const stat = statSync(file, { bigint: true, throwIfNoEntry: false });
    if (!stat?.isFile() || stat.ino === spare) continue;
    files.delete(stat.ino); // two names of one file: the later place is the true one
    files.set(stat.ino, { path: file, inode: stat.ino, size: Number(stat.size) });
  }
  return [...files.values()];
}

/** The end of what is in the log now. Taken before a start, it is where that run's output begins. */
export function logEnd(path: string): LogPosition {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat ? { inode: stat.ino, offset: Number(stat.size) } : { inode: 0n, offset: 0 };
}

/**
 * Streams whose line at the beginning of the log lacks its first part: that was in a file which was dropped. The monitor
 * writes what it reads, so nearly every file ends in the middle of a line.
 */
export function cutStreams(path: string, files: readonly LogFile[]): readonly (1 | 2)[] {
  let text: string;
  try {
    text = readFileSync(`${path}.cut`, 'latin1');
  } catch {
    return [];
  }
  const [inode, streams] = text.split(' ');
  if (inode !== String(files[0]?.inode)) return [];
  return ([1, 2] as const).filter((stream) => streams?.includes(String(stream)));
}

/** Notes which lines of `first`, from now on the oldest file, are cut. */
export function writeCut(path: string, first: bigint, streams: readonly (1 | 2)[]): void {
  writeFileSync(`${path}.cut.new`, `${first} ${streams.join(',')}`, { mode: 0o600 });
  renameSync(`${path}.cut.new`, `${path}.cut`);
}

export function inodeOf(path: string): bigint | undefined {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino;
}

/** The older, the higher. */
function rankOf(suffix: string): number | undefined {
  if (suffix === '') return 0;
  if (suffix === '.next') return 1;
  if (suffix === '.current') return 2;
  const number = /^\.([1-9]\d{0,5})$/.exec(suffix)?.[1];
  return number === undefined ? undefined : 2 + Number(number);
}

function listDirectory(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
