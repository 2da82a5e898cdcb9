import { mkdirSync, rmdirSync } from 'node:fs';
import { EngineError, errorMessage } from '../../base/errors.ts';
import { mountWithMaps, shiftMap } from '../../linux/idmapped-mount.ts';
import { mount, unmount } from '../../linux/mount.ts';
import type { Mount } from '../../snapshot/snapshotter.ts';
import type { ContainerIds } from '../../state/containers.ts';

/**
 * Mounts a snapshot at `target`, seen with these ids: all layers by one mount that shifts them. On the disk they stay what
 * they are, for whichever container. `root` is the directory that all snapshots are in. Throws `unavailable` where the
 * kernel or the filesystem cannot.
 */
export async function mountShiftedSnapshot(
  request: Mount,
  target: string,
  { root, ids }: { readonly root: string; readonly ids: ContainerIds },
): Promise<void> {
  const layers = `${target}.layers`;
  mkdirSync(layers, { recursive: true, mode: 0o700 });
  try {
    await mountWithMaps(root, layers, { uid: shiftMap(ids.uid), gid: shiftMap(ids.gid) });
    const moved = (path: string): string =>
      path === root || path.startsWith(`${root}/`) ? `${layers}${path.slice(root.length)}` : path;
    const options = request.options.map((option) => {
      const [key, value] = option.split('=', 2);
      return value === undefined ? option : `${key}=${value.split(':').map(moved).join(':')}`;
    });
    mount({ ...request, source: moved(request.source), options }, target);
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
