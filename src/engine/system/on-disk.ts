import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { DiskPart } from '../../api/gantry.ts';
import type { ChainId } from '../../oci/digest.ts';
import { diskUsage } from '../../snapshot/disk-usage.ts';
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

/** What the files of the data root take, by what they are for: together all that `du` finds. Walks all of them: not cheap. */
export async function partsOnDisk(parts: OnDiskParts, signal?: AbortSignal): Promise<DiskPart[]> {
  const bytes = new Map<Name, number>(NAMES.map((name) => [name, 0]));
  const add = async (name: Name, path: string): Promise<void> => {
    const found = await sizeOf(path, signal);
    bytes.set(name, bytes.get(name)! + found);
  };
  const { dataRoot } = parts;
  const snapshots = ownersOfSnapshots(parts);
  await Promise.all(
    (await readdir(dataRoot)).map(async (entry) => {
      if (entry !== 'snapshots') return add(ENTRIES[entry] ?? 'other', join(dataRoot, entry));
      const names = await readdir(join(dataRoot, entry));
      await Promise.all(names.map((name) => add(snapshots.get(name) ?? 'other', join(dataRoot, entry, name))));
    }),
  );
  return NAMES.map((name) => ({ Name: name, Bytes: bytes.get(name)! }));
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

/** 0 for what went away meanwhile. */
async function sizeOf(path: string, signal?: AbortSignal): Promise<number> {
  try {
    const found = await stat(path);
    if (!found.isDirectory()) return found.size;
    return (await diskUsage(path, { signal })).bytes;
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return 0;
    throw error;
  }
}
