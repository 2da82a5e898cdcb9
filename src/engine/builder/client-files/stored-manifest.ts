import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, readSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type StoredEntry, unstamped } from './manifest.ts';

export interface StoredManifest {
  /** Digest of the client's list when the files are all that it says; empty otherwise. */
  readonly tree: string;
  readonly entries: readonly StoredEntry[];
}

const HEAD = 512;

/**
 * `<directory>/manifest`: a line about it, a line of entries. Files are not synced, so it counts only as long as the kernel
 * that wrote them runs: after a power cut the list could be on the disk and the files not.
 */
export function readStored(directory: string): StoredManifest | undefined {
  let text: string;
  try {
    text = readFileSync(join(directory, 'manifest'), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const cut = text.indexOf('\n');
  const { boot, tree } = JSON.parse(text.slice(0, cut)) as { boot: string; tree: string };
  // The names are still good for knowing what has to be removed.
  const entries = JSON.parse(text.slice(cut)) as StoredEntry[];
  if (boot === bootId()) return { tree, entries };
  return {
    tree: '',
    entries: entries.map(([entry]) => [unstamped(entry), '']),
  };
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
}

let ownBoot: string | undefined;

function bootId(): string {
  return (ownBoot ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
}
