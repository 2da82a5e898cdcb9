import type { FilesystemChange, PathStat } from '../../api/container.ts';
import type { OperationOptions } from '../../base/operation.ts';
import type { Bytes } from '../../content/content-store.ts';
import { changes } from '../../snapshot/changes.ts';
import { archiveGet, archivePut, archiveStat } from '../../snapshot/container-archive.ts';
import { tarTree } from '../../snapshot/diff-layer.ts';
import type { Snapshotter } from '../../snapshot/snapshotter.ts';
import type { ContainerIds, ContainerRecord } from '../../state/containers.ts';
import type { ContainerFiles } from './parts.ts';

type PutOptions = OperationOptions & {
  owner?: { readonly uid: number; readonly gid: number };
  ids?: ContainerIds | undefined;
  noOverwriteDirNonDir?: boolean;
};

/** Containers' files, by the workers of `snapshot/`. */
export class SnapshotFiles implements ContainerFiles {
  readonly #snapshots: Snapshotter;

  constructor(snapshots: Snapshotter) {
    this.#snapshots = snapshots;
  }

  changes({ id }: ContainerRecord): Promise<FilesystemChange[]> {
    return changes(this.#snapshots.changesDir(id), this.#snapshots.lowerDirs(id));
  }

  async export(
    root: string,
    { signal, ids }: OperationOptions & { ids?: ContainerIds | undefined } = {},
  ): Promise<Bytes> {
    return tarTree(root, { signal, ids });
  }

  stat(root: string, path: string, container: string): Promise<PathStat> {
    return archiveStat({ root, path, container });
  }

  get(
    root: string,
    path: string,
    container: string,
    { signal, ids }: OperationOptions & { ids?: ContainerIds | undefined } = {},
  ): Promise<{ stat: PathStat; tar: Bytes }> {
    return archiveGet({ root, path, container, ids }, { signal });
  }

  async put(root: string, path: string, tar: Bytes, container: string, options: PutOptions = {}): Promise<void> {
    const { signal, owner, ids, noOverwriteDirNonDir } = options;
    await archivePut({ root, path, container, ids }, tar, { signal, owner, noOverwriteDirNonDir });
  }
}
