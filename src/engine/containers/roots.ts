import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { mount, unmount } from '../../linux/mount.ts';
import type { Snapshotter } from '../../snapshot/snapshotter.ts';
import { KeyedMutex } from '../../base/mutex.ts';
import type { ContainerRoots } from './parts.ts';

/** Root filesystems as overlay mounts of the containers' snapshots, in the engine's own mount namespace. */
export class SnapshotRoots implements ContainerRoots {
  readonly #snapshots: Snapshotter;
  readonly #execRoot: string;
  readonly #locks = new KeyedMutex();
  readonly #holders = new Map<string, number>();

  constructor(snapshots: Snapshotter, execRoot: string) {
    this.#snapshots = snapshots;
    this.#execRoot = execRoot;
  }

  async hold(id: string): Promise<string> {
    const target = this.#path(id);
    await this.#locks.run(id, async () => {
      const holders = this.#holders.get(id) ?? 0;
      if (holders === 0) await this.#mount(id, target);
      this.#holders.set(id, holders + 1);
    });
    return target;
  }

  async release(id: string): Promise<void> {
    await this.#locks.run(id, async () => {
      const holders = this.#holders.get(id) ?? 0;
      if (holders === 0) return;
      if (holders > 1) {
        this.#holders.set(id, holders - 1);
        return;
      }
      this.#holders.delete(id);
      unmount(this.#path(id), { detach: true });
    });
  }

  adopt(id: string): void {
    this.#holders.set(id, 1);
  }

  async #mount(id: string, target: string): Promise<void> {
    await mkdir(target, { recursive: true, mode: 0o700 });
    const [first, ...rest] = await this.#snapshots.mounts(id);
    if (!first || rest.length > 0) throw new Error(`snapshot ${id} is not one mount`);
    mount(first, target);
  }

  #path(id: string): string {
    return join(this.#execRoot, 'tasks', id, 'rootfs');
  }
}
