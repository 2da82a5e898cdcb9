import { existsSync, mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { mount, unmountAside } from '../../linux/mount.ts';
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

  clear(id: string, ended: Promise<unknown>): Promise<void> {
    const target = this.path(id);
    return this.#locks.run(id, async () => {
      await ended;
      await unmountAside(target);
      if (existsSync(target)) rmdirSync(target);
    });
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

  /** Each while nobody can hold it: who wants to, waits. */
  async sweep(keep: ReadonlySet<string>): Promise<void> {
    const root = join(this.#execRoot, 'roots');
    const mounted = readMounts()
      .toReversed()
      .map(({ mountPoint }) => mountPoint)
      .filter((mountPoint) => isBelow(mountPoint, root));
    const idOf = (mountPoint: string): string => relative(root, mountPoint).split('/')[0]!;
    const ids = new Set([...mounted.map(idOf), ...(existsSync(root) ? readdirSync(root) : [])]);
    const left = [...ids].filter((id) => id !== '' && !keep.has(id));
    await Promise.all(
      left.map((id) =>
        this.#locks.run(id, async () => {
          for (const mountPoint of mounted) if (idOf(mountPoint) === id) await unmountAside(mountPoint);
          // not recursively: were something still mounted there, it would be emptied
          rmdirSync(join(root, id));
        }),
      ),
    );
  }
}
