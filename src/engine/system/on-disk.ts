import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { DiskPart } from '../../api/gantry.ts';
import type { ChainId } from '../../oci/digest.ts';
import { type DiskUsage, diskUsage } from '../../snapshot/disk-usage.ts';
import type { Snapshotter } from '../../snapshot/snapshotter.ts';

export interface OnDiskParts {
  readonly dataRoot: string;
  readonly snapshots: Pick<Snapshotter, 'list' | 'changesDir'>;
  /** Layers that images are made of. */
  readonly imageChains: () => ReadonlySet<ChainId>;
}

const NAMES = [
  'layers',
  'blobs',
  'containers',
  'logs and files',
  'volumes',
  'build cache',
  'reserve',
  'other',
] as const;
type Name = (typeof NAMES)[number];

/** By entry of the data root; what is not named is `other`. */
const ENTRIES: Readonly<Record<string, Name>> = {
  blobs: 'blobs',
  ingest: 'blobs',
  containers: 'logs and files',
  volumes: 'volumes',
  cache: 'build cache',
  reserve: 'reserve',
};

/**
 * What the files of the data root take, by what they are for: together all that `du` finds. A file that several have is
 * counted for the first of them in the order of the names. Walks all of them: not cheap.
 */
export async function partsOnDisk(parts: OnDiskParts, signal?: AbortSignal): Promise<DiskPart[]> {
  const { dataRoot } = parts;
  const snapshots = ownersOfSnapshots(parts);
  const found = await Promise.all(
    (await readdir(dataRoot)).map(async (entry) => {
      if (entry !== 'snapshots')
        return [{ name: ENTRIES[entry] ?? 'other', usage: await usageOf(join(dataRoot, entry), signal) }];
      const names = await readdir(join(dataRoot, entry));
      return Promise.all(
        names.map(async (name) => ({
          name: snapshots.get(name) ?? 'other',
          usage: await usageOf(join(dataRoot, entry, name), signal),
        })),
      );
    }),
  );
  const counted = new Set<bigint>();
  return NAMES.map((name) => {
    let bytes = 0;
    for (const { usage } of found.flat().filter((each) => each.name === name)) {
      bytes += usage.bytes;
      for (const file of usage.elsewhere) {
        if (counted.has(file.inode)) bytes -= file.bytes;
        counted.add(file.inode);
      }
    }
    return { Name: name, Bytes: bytes };
  });
}

/** By directory: images' layers, other results of builds, containers. */
function ownersOfSnapshots({ snapshots, imageChains }: OnDiskParts): Map<string, Name> {
  const ofImages = imageChains();
  return new Map(
    snapshots.list().map(({ name, kind }) => {
      const owner = kind === 'active' ? 'containers' : ofImages.has(name as ChainId) ? 'layers' : 'build cache';
      return [basename(dirname(snapshots.changesDir(name))), owner];
    }),
  );
}

/** Nothing for what went away meanwhile. */
async function usageOf(path: string, signal?: AbortSignal): Promise<DiskUsage> {
  try {
    const found = await stat(path);
    return found.isDirectory() ? await diskUsage(path, { signal }) : { bytes: found.size, inodes: 1, elsewhere: [] };
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return { bytes: 0, inodes: 0, elsewhere: [] };
    throw error;
  }
}
