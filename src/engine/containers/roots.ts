import { chmodSync, existsSync, mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { mount, unmountAside } from '../../linux/mount.ts';
import { isBelow, readMounts } from '../../linux/mountinfo.ts';
import type { Snapshotter } from '../../snapshot/snapshotter.ts';
import type { ContainerIds } from '../../state/containers.ts';
import { KeyedMutex } from '../../base/mutex.ts';
import { mountShiftedSnapshot } from '../userns/shifted-snapshot.ts';
import type { ContainerRoots } from './parts.ts';

/** Whoever is not root and comes to a container's files could run what is set-user-id there (CVE-2021-41091). */
const PLAIN = { directory: 'roots', mode: 0o700 };
/** A runtime comes to these as the root of a user namespace, for whom nothing there is set-user-id on the host. */
const SHIFTED = { directory: 'shifted-roots', mode: 0o711 };

/** Root filesystems as overlay mounts of the containers' snapshots: the daemon's in its own mount namespace, an embedded engine's on the host. */
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
    return this.#locks.run(id, async () => {
      const holders = this.#holders.get(id) ?? 0;
      if (holders === 0) await this.#mount(id);
      this.#holders.set(id, holders + 1);
      return this.path(id);
    });
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

  async #mount(id: string): Promise<void> {
    const ids = this.#layers.idsOf(id);
    const { directory, mode } = ids ? SHIFTED : PLAIN;
    const target = join(this.#execRoot, directory, id);
    mkdirSync(target, { recursive: true, mode: 0o711 });
    chmodSync(dirname(target), mode);
    const [first, ...rest] = await this.#snapshots.mounts(id);
    if (!first || rest.length > 0) throw new Error(`snapshot ${id} is not one mount`);
    if (ids) await mountShiftedSnapshot(first, target, { root: this.#layers.root, ids });
    else mount(first, target);
  }

  path(id: string): string {
    const kinds = this.#layers.idsOf(id) ? [SHIFTED, PLAIN] : [PLAIN, SHIFTED];
    const places = kinds.map(({ directory }) => join(this.#execRoot, directory, id));
    // one that is mounted stays where it is, also when it is not known any more whose it was
    return places.find((place) => existsSync(place)) ?? places[0]!;
  }

  /** Each while nobody can hold it: who wants to, waits. */
  async sweep(keep: ReadonlySet<string>): Promise<void> {
    const roots = [PLAIN, SHIFTED].map(({ directory }) => join(this.#execRoot, directory));
    await Promise.all(roots.map((root) => this.#sweep(root, keep)));
  }

  async #sweep(root: string, keep: ReadonlySet<string>): Promise<void> {
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
