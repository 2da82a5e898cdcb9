import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, readSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type StoredEntry, unstamped } from './manifest.ts';

export interface StoredManifest {
  /** Digest of the client's list when the files are all that it says; empty otherwise. */
  readonly tree: string;
  readonly entries: readonly StoredEntry[];
}

const HEAD = 512;

const TAKEN = 'taken';

/**
 * `<directory>/manifest`: a line about it, a line of entries. Files are not synced, so it counts only as long as the kernel
 * that wrote them runs: after a power cut the list could be on the disk and the files not.
 */
function readStored(path: string): readonly StoredEntry[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  const cut = text.indexOf('\n');
  const { boot } = JSON.parse(text.slice(0, cut)) as { boot: string };
  // The names are still good for knowing what has to be removed.
  const entries = JSON.parse(text.slice(cut)) as StoredEntry[];
  return boot === bootId() ? entries : entries.map(([entry]) => [unstamped(entry), '']);
}

/**
 * What the directory has, of which nothing counts any more from here on: should nobody write down what becomes of it, it is
 * taken for nothing.
 */
export function takeStored(directory: string): readonly StoredEntry[] {
  try {
    renameSync(join(directory, 'manifest'), join(directory, TAKEN));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return [];
  }
  return takenStored(directory);
}

/** The same once more, before `writeStored`. */
export function takenStored(directory: string): readonly StoredEntry[] {
  return readStored(join(directory, TAKEN));
}

/** What the first line tells, without reading all. Both are undefined where the files are not all that the client's list says. */
export function readStoredHead(directory: string): {
  /** Digest of the client's list. Of lists alone: where clients tell content apart by size and time, two of one list may differ in it. */
  readonly tree?: string;
  /** Digest of the entries with their content's digests. */
  readonly content?: string;
} {
  let file: number;
  try {
    file = openSync(join(directory, 'manifest'), 'r');
  } catch {
    return {};
  }
  try {
    const head = Buffer.alloc(HEAD);
    const line = head.toString('utf8', 0, readSync(file, head)).split('\n', 1)[0]!;
    const { boot, tree, content } = JSON.parse(line) as { boot: string; tree: string; content?: string };
    return boot === bootId() && tree !== '' ? { tree, ...(content !== undefined && { content }) } : {};
  } finally {
    closeSync(file);
  }
}

export function writeStored(directory: string, { tree, entries }: StoredManifest): void {
  const path = join(directory, 'manifest');
  const list = JSON.stringify(entries);
  const content = createHash('sha256').update(list).digest('hex');
  writeFileSync(`${path}.new`, `${JSON.stringify({ boot: bootId(), tree, content })}\n${list}\n`);
  renameSync(`${path}.new`, path);
  rmSync(join(directory, TAKEN), { force: true });
}

let ownBoot: string | undefined;

function bootId(): string {
  return (ownBoot ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
}
