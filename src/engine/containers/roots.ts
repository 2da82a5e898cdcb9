import { existsSync, mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { mount, unmount, unmountAside } from '../../linux/mount.ts';
import { isBelow, readMounts } from '../../linux/mountinfo.ts';
import type { Snapshotter } from '../../snapshot/snapshotter.ts';
import type { ContainerIds } from '../../state/containers.ts';
import { KeyedMutex } from '../../base/mutex.ts';
import { mountShiftedSnapshot } from '../userns/shifted-snapshot.ts';
import type { ContainerRoots } from './parts.ts';

/** Root filesystems as overlay mounts of the containers' snapshots, in the engine's own mount namespace. */
export class SnapshotRoots implements ContainerRoots {
  readonly #snapshots: Snapshotter;
  readonly #execRoot: string;
  /** Where the snapshots' directories are, and with which ids a container's root is seen. */
  readonly #layers: { readonly root: string; readonly idsOf: (id: string) => ContainerIds | undefined };
  readonly #locks = new KeyedMutex();
  readonly #holders = new Map<string, number>();

  constructor(
    snapshots: Snapshotter,
    execRoot: string,
    layers: { readonly root: string; readonly idsOf: (id: string) => ContainerIds | undefined },
  ) {
    this.#layers = layers;
    this.#snapshots = snapshots;
    this.#execRoot = execRoot;
  }

  async hold(id: string): Promise<string> {
    const target = this.path(id);
    await this.#locks.run(id, async () => {
      const holders = this.#holders.get(id) ?? 0;
      if (holders === 0) await this.#mount(id, target);
      this.#holders.set(id, holders + 1);
    });
    return target;
  }

  async release(id: string): Promise<void> {
    const target = this.path(id);
    await this.#locks.run(id, async () => {
      const holders = this.#holders.get(id) ?? 0;
      if (holders === 0) return;
      if (holders > 1) {
        this.#holders.set(id, holders - 1);
        return;
      }
      this.#holders.delete(id);
      if (await unmountAside(target)) rmdirSync(target);
    });
  }

  adopt(id: string): void {
    this.#holders.set(id, 1);
  }

  async #mount(id: string, target: string): Promise<void> {
    mkdirSync(target, { recursive: true, mode: 0o711 });
    const [first, ...rest] = await this.#snapshots.mounts(id);
    if (!first || rest.length > 0) throw new Error(`snapshot ${id} is not one mount`);
    const ids = this.#layers.idsOf(id);
    if (ids) await mountShiftedSnapshot(first, target, { root: this.#layers.root, ids });
    else mount(first, target);
  }

  path(id: string): string {
    return join(this.#execRoot, 'roots', id);
  }

  sweep(keep: ReadonlySet<string>): void {
    const root = join(this.#execRoot, 'roots');
    for (const { mountPoint } of readMounts().toReversed()) {
      if (isBelow(mountPoint, root) && !keep.has(relative(root, mountPoint).split('/')[0]!)) {
        unmount(mountPoint, { detach: true });
      }
    }
    if (!existsSync(root)) return;
    // not recursively: were something still mounted there, it would be emptied
    for (const id of readdirSync(root)) if (!keep.has(id)) rmdirSync(join(root, id));
  }
}
