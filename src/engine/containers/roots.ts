import { existsSync, mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { EngineError, errorMessage } from '../../base/errors.ts';
import { mountWithMaps, shiftMap } from '../../linux/idmapped-mount.ts';
import { mount, unmount, unmountAside } from '../../linux/mount.ts';
import { isBelow, readMounts } from '../../linux/mountinfo.ts';
import type { Mount, Snapshotter } from '../../snapshot/snapshotter.ts';
import type { ContainerIds } from '../../state/containers.ts';
import { KeyedMutex } from '../../base/mutex.ts';
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
    if (ids) await this.#mountShifted(first, target, ids);
    else mount(first, target);
  }

  /** All layers by one mount that shifts their ids: on the disk they stay what they are, for whichever container. */
  async #mountShifted(first: Mount, target: string, ids: ContainerIds): Promise<void> {
    const { root } = this.#layers;
    const layers = `${target}.layers`;
    mkdirSync(layers, { recursive: true, mode: 0o700 });
    try {
      await mountWithMaps(root, layers, { uid: shiftMap(ids.uid), gid: shiftMap(ids.gid) });
      const moved = (path: string): string =>
        path === root || path.startsWith(`${root}/`) ? `${layers}${path.slice(root.length)}` : path;
      const options = first.options.map((option) => {
        const [key, value] = option.split('=', 2);
        return value === undefined ? option : `${key}=${value.split(':').map(moved).join(':')}`;
      });
      mount({ ...first, source: moved(first.source), options }, target);
    } catch (error) {
      throw new EngineError(
        'unavailable',
        `a user namespace needs idmapped mounts of the layers (Linux 5.19, and a filesystem that has them): ${errorMessage(error)}`,
        { cause: error },
      );
    } finally {
      unmount(layers, { detach: true });
      rmdirSync(layers);
    }
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
