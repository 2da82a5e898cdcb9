import { createHash } from 'node:crypto';
import type { JobContext } from '../base/worker-server.ts';
import { RootedDirectory } from './rooted-directory.ts';
import type { LayerDigest } from './diff-layer.ts';
import type { ShiftedIds } from './shifted-ids.ts';
import { TreeArchive, type TreeArchiveOptions } from './tree-archive.ts';

/** The worker's side of `diffLayer` and `tarTree`. */
export async function archiveJob(
  { directory, overlay, ids }: { directory: string; overlay: boolean; ids?: ShiftedIds | undefined },
  context: JobContext,
): Promise<void> {
  using root = new RootedDirectory(directory);
  const archive = new TreeArchive({ overlay, ids, check: () => context.check() });
  for (const chunk of archive.directory(root.fd)) await context.write(chunk);
  for (const chunk of archive.end()) await context.write(chunk);
}

/** The worker's side of `digestLayer`. */
export function digestJob({ directory }: { directory: string }, context: JobContext): LayerDigest {
  return digestTree(directory, { check: () => context.check() });
}

/** What `digestLayer` gives, of a tree that is settled meanwhile. For worker threads. */
export function digestTree(
  directory: string,
  options: Pick<TreeArchiveOptions, 'times' | 'coming' | 'check'>,
): LayerDigest {
  using root = new RootedDirectory(directory);
  const archive = new TreeArchive({ overlay: true, reuseChunks: true, ...options });
  const hash = createHash('sha256');
  let tarSize = 0;
  for (const part of [archive.directory(root.fd), archive.end()]) {
    for (const chunk of part) {
      hash.update(chunk);
      tarSize += chunk.length;
    }
  }
  return { diffId: `sha256:${hash.digest('hex')}`, size: archive.contentBytes, tarSize };
}
