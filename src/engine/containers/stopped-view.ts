import { closeSync, constants, fstatSync, mkdirSync, mkdtempSync, openSync, rmdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { bindMount, MS_RDONLY, remountBind, unmount } from '../../linux/mount.ts';
import { mkdirAllInRoot, openInRoot } from '../../linux/rooted.ts';
import type { ContainerMount, ContainerRecord } from '../../state/containers.ts';

const O_PATH = 0o10000000;

/**
 * The files of a container that does not run, with its volumes and binds where its processes would see them: a mount of
 * its own below `<exec-root>/mounts/<id>`, where a start of the engine removes what a crash left. What cannot be mounted
 * (a host path that is gone) is left out, as it is not there to look at.
 */
export class StoppedView {
  readonly path: string;

  /** @param root the container's root filesystem, mounted and held by the caller until `close` */
  constructor(execRoot: string, { id, mounts }: Pick<ContainerRecord, 'id' | 'mounts'>, root: string) {
    const directory = join(execRoot, 'mounts', id);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.path = mkdtempSync(join(directory, 'view-'));
    try {
      bindMount(root, this.path);
      for (const mount of parentsFirst(mounts)) mountInside(this.path, mount);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Idempotent. */
  close(): void {
    unmount(this.path, { detach: true });
    for (const directory of [this.path, join(this.path, '..')]) {
      try {
        rmdirSync(directory);
      } catch {
        return; // another view of the container, or a run, has its mounts beside this one
      }
    }
  }
}

function parentsFirst(mounts: readonly ContainerMount[]): ContainerMount[] {
  const depth = ({ point }: ContainerMount): number => point.Destination.split('/').filter(Boolean).length;
  return mounts
    .filter(({ point }) => point.Type === 'volume' || point.Type === 'bind')
    .sort((a, b) => depth(a) - depth(b));
}

function makeMountPoint(view: string, path: string, isDirectory: boolean): void {
  mkdirAllInRoot(view, isDirectory ? path : dirname(path));
  if (isDirectory) return;
  try {
    closeSync(openInRoot(view, path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o644));
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'EEXIST') throw error;
  }
}

/** The container's own files decide where its path leads, so both ends are opened inside what they belong to and mounted by descriptor. */
function mountInside(view: string, { point, request }: ContainerMount): void {
  const descriptors: number[] = [];
  const keep = (fd: number): number => {
    descriptors.push(fd);
    return fd;
  };
  try {
    const subpath = request?.VolumeOptions?.Subpath ?? request?.BindOptions?.Subpath;
    const source = keep(subpath ? openInRoot(point.Source, subpath, O_PATH) : openSync(point.Source, O_PATH));
    makeMountPoint(view, point.Destination, fstatSync(source).isDirectory());
    const target = keep(openInRoot(view, point.Destination, O_PATH));
    bindMount(`/proc/self/fd/${source}`, `/proc/self/fd/${target}`, { recursive: true });
    if (point.RW) return;
    // `target` is below the mount: its flags are set through what is seen there now.
    const mounted = keep(openInRoot(view, point.Destination, O_PATH));
    remountBind(`/proc/self/fd/${mounted}`, MS_RDONLY);
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
  } finally {
    for (const fd of descriptors) closeSync(fd);
  }
}
