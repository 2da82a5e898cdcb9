import { closeSync, fchmodSync, fchownSync, statSync, constants } from 'node:fs';
import { dirname } from 'node:path';
import { mkdirAllInRoot, openInRoot, resolveInRoot, statInRoot } from '../../linux/rooted.ts';
import type { OciMount } from '../../runtime/spec/oci-spec.ts';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Makes what the mounts of a run are mounted on and is not there: directories, and empty files for files, all of mode 0755
 * and the owner's, as runc leaves them; crun leaves directories that are sticky, files of mode 0700, and no place behind a
 * link that leads nowhere. Paths are taken inside the root, links of the image lead nowhere else. A place in a directory
 * that is itself mounted, and may be written, is made there; where that has links, and in what is mounted anew, it is left
 * to the runtime, and so is to say why a place cannot be. `mounts` are in the order in which they are made.
 */
export function makeMountPoints(rootfs: string, mounts: readonly OciMount[], owner: Owner | undefined): void {
  const earlier: { readonly place: string; readonly mount: OciMount }[] = [];
  for (const mount of mounts) {
    try {
      const place = resolveInRoot(rootfs, mount.destination);
      const around = earlier.findLast((one) => place === one.place || place.startsWith(`${one.place}/`));
      if (!around) makePlace(rootfs, place, isDirectory(mount), owner ?? ROOT);
      else if (owner === undefined) makeInside(around, place, isDirectory(mount));
      earlier.push({ place, mount });
    } catch {
      // the runtime comes to the same place, and its words are those that clients know
    }
  }
}

const ROOT: Owner = { uid: 0, gid: 0 };

function makeInside(around: { readonly place: string; readonly mount: OciMount }, place: string, directory: boolean) {
  const { type, source, options = [] } = around.mount;
  if (type !== 'bind' || source === undefined || options.some((option) => option === 'ro' || option === 'rro')) return;
  const below = place.slice(around.place.length);
  // a link would be taken inside the container, not inside the source
  if (below === '' || resolveInRoot(source, below) !== below) return;
  makePlace(source, below, directory, ROOT);
}

function makePlace(root: string, place: string, directory: boolean, owner: Owner): void {
  if (isThere(root, place)) return;
  mkdirAllInRoot(root, directory ? place : dirname(place), owner);
  if (directory) return;
  const file = openInRoot(root, place, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o755);
  try {
    fchownSync(file, owner.uid, owner.gid);
    fchmodSync(file, 0o755);
  } finally {
    closeSync(file);
  }
}

function isThere(root: string, place: string): boolean {
  try {
    statInRoot(root, place);
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return false;
    throw error;
  }
}

function isDirectory({ type, source }: OciMount): boolean {
  return type !== 'bind' || source === undefined || statSync(source).isDirectory();
}
