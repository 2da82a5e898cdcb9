import { lstatSync, mkdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { closeFd, openDirectory } from '../linux/files.ts';
import { mount, unmount } from '../linux/mount.ts';
import { isOpaque } from './overlay-format.ts';

/**
 * Tries overlayfs in the new directory `place`, which is removed again: mounts, removes a file, replaces a directory, and
 * looks for the marks that layers are made of. Returns why it does not work here, as a sentence, or undefined.
 */
export function probeOverlay(place: string, features: readonly string[]): string | undefined {
  const [lower, upper, work, merged] = ['lower', 'upper', 'work', 'merged'].map((name) => join(place, name)) as [
    string,
    string,
    string,
    string,
  ];
  for (const directory of [place, lower, join(lower, 'd'), upper, work, merged]) mkdirSync(directory, { mode: 0o700 });
  writeFileSync(join(lower, 'f'), '');
  try {
    const options = [`lowerdir=${lower}`, `upperdir=${upper}`, `workdir=${work}`, ...features];
    mount({ type: 'overlay', source: 'overlay', options }, merged);
    try {
      rmSync(join(merged, 'f'));
      rmdirSync(join(merged, 'd'));
      mkdirSync(join(merged, 'd'));
    } finally {
      unmount(merged, { detach: true });
    }
    const opaque = openDirectory(join(upper, 'd'));
    try {
      if (!lstatSync(join(upper, 'f')).isCharacterDevice() || !isOpaque(opaque)) {
        return 'overlayfs writes its marks in a form that layers cannot be made of';
      }
    } finally {
      closeFd(opaque);
    }
    return undefined;
  } catch (error) {
    return reasonOf(error as Error & { code?: unknown });
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

function reasonOf({ code, message }: Error & { code?: unknown }): string {
  switch (code) {
    case 'ENODEV':
      return 'this kernel has no overlayfs: load the module "overlay"';
    case 'EPERM':
    case 'EACCES':
      return 'mounting is not allowed: run as root (CAP_SYS_ADMIN)';
    case 'EINVAL':
      return `the filesystem cannot carry overlayfs (${message}): use a data root on ext4, xfs or btrfs, not on overlayfs or NFS`;
    default:
      return message;
  }
}
