import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  rmdirSync,
  statSync,
  writeFileSync,
  rmSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { EngineError } from '../../base/errors.ts';
import { mountIdmapped, mountWithMaps, shiftMap } from '../../linux/idmapped-mount.ts';
import { bindMount, type FilesystemMount, mount, setPropagation, unmount } from '../../linux/mount.ts';
import type { ContainerIds } from '../../state/containers.ts';
import { openInRoot } from '../../linux/rooted.ts';

const O_PATH = 0o10000000;

/**
 * Mounts that the engine makes on the host for a run, below `<exec-root>/mounts/<id>`: shared memory that other
 * containers may join, secrets, images, and parts of both and of volumes, held by mounts so that nobody can swap them for a symlink.
 */
export class RunMounts {
  readonly #root: string;

  /** @param root `<exec-root>/mounts` */
  constructor(root: string) {
    this.#root = root;
  }

  /** Shared memory of `size` bytes for a container, which others may join. */
  makeSharedMemory(id: string, size: number): string {
    const target = this.#shm(id);
    mkdirSync(target, { recursive: true, mode: 0o700 });
    // what a failed start left
    unmount(target, { detach: true });
    const options = ['nosuid', 'noexec', 'nodev', 'mode=1777', `size=${size}`];
    mount({ type: 'tmpfs', source: 'shm', options }, target);
    return target;
  }

  /** What `makeSharedMemory` made for a container that runs. */
  sharedMemory(id: string): string | undefined {
    return existsSync(this.#shm(id)) ? this.#shm(id) : undefined;
  }

  /** Memory for the secrets of a run, which is not swapped where the kernel can keep it from that. */
  makeSecrets(id: string, count: number): string {
    const target = this.#secrets(id);
    mkdirSync(target, { recursive: true, mode: 0o700 });
    // what a failed start left
    while (unmount(target, { detach: true }));
    const options = ['nosuid', 'noexec', 'nodev', 'mode=0700', `size=${(count + 1) << 20}`];
    try {
      mount({ type: 'tmpfs', source: 'secrets', options: [...options, 'noswap'] }, target);
    } catch (error) {
      if ((error as { code?: string }).code !== 'EINVAL') throw error;
      mount({ type: 'tmpfs', source: 'secrets', options }, target); // before Linux 6.4
    }
    return target;
  }

  /** What `makeSecrets` made for a container that runs. */
  secrets(id: string): string | undefined {
    return existsSync(this.#secrets(id)) ? this.#secrets(id) : undefined;
  }

  /** Where `image` mounts the image for this place in the container. */
  imagePath(id: string, destination: string): string {
    const name = createHash('sha256').update(destination).digest('hex').slice(0, 16);
    return join(this.#root, id, `image-${name}`);
  }

  /** Mounts an image's files, read-only, at `target` (of `imagePath`), and gives that. */
  image(request: FilesystemMount, target: string): string {
    mkdirSync(target, { recursive: true, mode: 0o700 });
    // what a failed start left
    while (unmount(target, { detach: true }));
    mount(request, target);
    return target;
  }

  /** Mounts what a volume's options say where nobody else has it, for a reader of its files; `release(id)` ends it. */
  view(id: string, request: FilesystemMount): string {
    const target = join(this.#root, id, 'view');
    mkdirSync(target, { recursive: true, mode: 0o700 });
    mount(request, target);
    return target;
  }

  /**
   * Holds `subpath` of the volume or the host's directory at `data`, found without ever leaving it; `recursive` with what
   * is mounted below. Throws `invalid-argument` when it is not there.
   */
  subpath(id: string, data: string, subpath: string, options: { readonly recursive?: boolean } = {}): string {
    const held = openSubpath(data, subpath);
    try {
      const target = this.#mountPoint(id, fstatSync(held).isDirectory());
      bindMount(`/proc/self/fd/${held}`, target, options);
      return target;
    } finally {
      closeSync(held);
    }
  }

  /** Mounts the directory or file at `source` with owner and user in each other's place; gives where. Throws `invalid-argument` where that cannot be. */
  async idmapped(id: string, source: string, user: { readonly uid: number; readonly gid: number }): Promise<string> {
    const owner = statSync(source);
    if (owner.uid === user.uid && owner.gid === user.gid) return source;
    const target = this.#mountPoint(id, owner.isDirectory());
    try {
      await mountIdmapped(source, target, { uid: [owner.uid, user.uid], gid: [owner.gid, user.gid] });
    } catch (error) {
      throw new EngineError(
        'invalid-argument',
        `cannot map the owner of ${source}: idmapped mounts need Linux 5.12, and a filesystem that has them ` +
          `(${(error as Error).message}): change its owner with mode U, or run as its owner with --user ${owner.uid}:${owner.gid}`,
        { cause: error },
      );
    }
    return target;
  }

  /** Mounts the directory or file with the ids of a container's user namespace; gives where. Throws `invalid-argument` where that cannot be. */
  async shifted(id: string, source: string, ids: ContainerIds): Promise<string> {
    const target = this.#mountPoint(id, statSync(source).isDirectory());
    try {
      await mountWithMaps(source, target, { uid: shiftMap(ids.uid), gid: shiftMap(ids.gid) });
    } catch (error) {
      throw new EngineError(
        'invalid-argument',
        `${source} cannot be mounted in a user namespace: its filesystem has no idmapped mounts (${(error as Error).message}): use --userns host`,
        { cause: error },
      );
    }
    return target;
  }

  #mountPoint(id: string, isDirectory: boolean): string {
    const directory = join(this.#root, id);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const target = join(directory, `volume-${readdirSync(directory).length}`);
    if (isDirectory) mkdirSync(target);
    else writeFileSync(target, '');
    return target;
  }

  /** Idempotent. */
  release(id: string): void {
    const directory = join(this.#root, id);
    let names: string[];
    try {
      names = readdirSync(directory);
    } catch {
      return;
    }
    for (const name of names) {
      const path = join(directory, name);
      while (unmountOwn(path));
      removeMountPoint(path);
    }
    rmdirSync(directory);
  }

  /** Releases all but those of `keep`. */
  sweep(keep: ReadonlySet<string>): void {
    if (!existsSync(this.#root)) return;
    for (const id of readdirSync(this.#root)) if (!keep.has(id)) this.release(id);
  }

  #secrets(id: string): string {
    return join(this.#root, id, 'secrets');
  }

  #shm(id: string): string {
    return join(this.#root, id, 'shm');
  }
}

/** False when nothing is mounted there. What is mounted below the original of a recursive one must not end with the copy. */
function unmountOwn(path: string): boolean {
  try {
    setPropagation(path, 'slave', { recursive: true });
  } catch (error) {
    if ((error as { code?: string }).code !== 'EINVAL') throw error; // no mount
  }
  return unmount(path, { detach: true });
}

/** Never recursively: were something still mounted there, it would be emptied. */
function removeMountPoint(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if ((error as { code?: string }).code !== 'ENOTDIR') throw error;
    rmSync(path, { force: true });
  }
}

function openSubpath(data: string, subpath: string): number {
  try {
    return openInRoot(data, subpath, O_PATH);
  } catch (error) {
    const code = (error as { code?: string }).code;
    const path = join(data, subpath);
    if (leadsOut(data, path)) {
      throw new EngineError(
        'invalid-argument',
        `path concatenation escapes the base directory, base: ${data}, subpath: ${subpath}`,
        { cause: error },
      );
    }
    const reason = code === 'ENOENT' ? 'no such file or directory' : (error as Error).message;
    throw new EngineError('invalid-argument', `cannot access path ${path}: lstat ${path}: ${reason}`, { cause: error });
  }
}

/** Whether its symlinks, taken as the host takes them, lead out of the volume: said so instead of 'not there'. */
function leadsOut(data: string, path: string): boolean {
  const outside = (target: string): boolean => !`${target}/`.startsWith(`${realpathSync(data)}/`);
  try {
    return outside(realpathSync(path));
  } catch {
    // what it leads to is not there
  }
  try {
    return outside(resolve(realpathSync(dirname(path)), readlinkSync(path)));
  } catch {
    return false;
  }
}
