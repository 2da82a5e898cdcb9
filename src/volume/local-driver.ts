import { existsSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError } from '../base/errors.ts';
import { mount, splitOptions, unmount } from '../linux/mount.ts';
import { mountOf, readMounts } from '../linux/mountinfo.ts';
import { localMount } from './local-options.ts';

/** Among the volumes, so that they are on one filesystem; no volume can have the name. */
const TRASH = '.trash';

/** Volumes as directories of this host, `<root>/<name>/_data`; with options, as what is mounted there while it is used. */
export class LocalDriver {
  readonly #root: string;

  /** @param root `<data-root>/volumes` */
  constructor(root: string) {
    this.#root = root;
  }

  dataPath(name: string): string {
    return join(this.#root, name, '_data');
  }

  /** The directory beside `_data`: what is in it was never given to a container. */
  stagePath(name: string): string {
    return join(this.#root, name, '_copy');
  }

  /** Idempotent. Survives a power cut once it resolves. */
  async create(name: string): Promise<void> {
    const directory = join(this.#root, name);
    await mkdir(this.#root, { recursive: true, mode: 0o700 });
    const made = await mkdir(directory, { recursive: true, mode: 0o711 });
    const madeData = await mkdir(this.dataPath(name), { recursive: true, mode: 0o755 });
    if (madeData !== undefined) await syncDirectory(directory);
    if (made !== undefined) await syncDirectory(this.#root);
  }

  /** The directory of `name` gets the name `to`, which is free. Idempotent. Throws `conflict` when it is not, or while something is mounted. */
  async rename(name: string, to: string): Promise<void> {
    if (this.isMounted(name)) throw new EngineError('conflict', `rename ${name}: ${this.dataPath(name)} is mounted`);
    const [before, after] = [join(this.#root, name), join(this.#root, to)];
    if (existsSync(before)) {
      if (existsSync(after)) {
        throw new EngineError(
          'conflict',
          `rename ${name}: ${after} is in the way, and of no volume: move it elsewhere`,
        );
      }
      await rename(before, after);
    }
    await syncDirectory(this.#root);
  }

  /** With everything in it, but nothing of what is mounted there. Idempotent. Throws `conflict` while something is mounted. */
  async remove(name: string): Promise<void> {
    if (this.isMounted(name)) throw new EngineError('conflict', `remove ${name}: ${this.dataPath(name)} is mounted`);
    await rm(join(this.#root, name), { recursive: true, force: true });
    // were it there again after a power cut, the next volume of this name would have its files
    if (existsSync(this.#root)) await syncDirectory(this.#root);
  }

  /** Its directory goes to this place in the trash: the name is free, the files are kept. Idempotent. Throws `conflict` while something is mounted. */
  async discard(name: string, place: string): Promise<void> {
    if (this.isMounted(name)) throw new EngineError('conflict', `remove ${name}: ${this.dataPath(name)} is mounted`);
    await mkdir(join(this.#root, TRASH), { recursive: true, mode: 0o700 });
    await this.#move(join(this.#root, name), this.discardedPath(place));
  }

  /** As `name` again, which is free. Idempotent. Throws `conflict` when something is in the way. */
  async restore(place: string, name: string): Promise<void> {
    const target = join(this.#root, name);
    if (existsSync(this.discardedPath(place)) && existsSync(target)) {
      throw new EngineError(
        'conflict',
        `restore ${name}: ${target} is in the way, and of no volume: move it elsewhere`,
      );
    }
    await this.#move(this.discardedPath(place), target);
  }

  discardedPath(place: string): string {
    return join(this.#root, TRASH, place);
  }

  /** Places in the trash. */
  async discarded(): Promise<string[]> {
    return readdir(join(this.#root, TRASH)).catch(() => []);
  }

  /** Idempotent. */
  async removeDiscarded(place: string): Promise<void> {
    await rm(this.discardedPath(place), { recursive: true, force: true });
  }

  async #move(from: string, to: string): Promise<void> {
    if (!existsSync(from)) return;
    await rename(from, to);
    await syncDirectory(join(this.#root, TRASH));
    await syncDirectory(this.#root);
  }

  /** Mounts what the options say, unless it is mounted already. Throws `invalid-argument` in Docker's words. */
  async mount(name: string, options: Readonly<Record<string, string>>): Promise<void> {
    if (this.isMounted(name)) return;
    const target = this.dataPath(name);
    const request = await localMount(options);
    try {
      mount(request, target);
    } catch (error) {
      const { flags, data } = splitOptions(request.options);
      const how =
        (flags === 0 ? '' : `, flags: 0x${flags.toString(16)}`) +
        (data.length === 0 ? '' : `, data: ${data.join(',')}`);
      throw new EngineError(
        'invalid-argument',
        `error while mounting volume '${target}': failed to mount local volume: ` +
          `mount ${request.source}:${target}${how}: ${reason(error)}`,
        { cause: error },
      );
    }
  }

  /** Idempotent. */
  unmount(name: string): void {
    unmount(this.dataPath(name), { detach: true });
  }

  isMounted(name: string): boolean {
    const path = this.dataPath(name);
    return mountOf(readMounts(), path)?.mountPoint === path;
  }
}

/** Waits until the names in `directory` are on the disk. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function reason(error: unknown): string {
  const code = (error as { code?: string }).code;
  if (code === 'ENOENT') return 'no such file or directory';
  if (code === 'ENODEV') return 'no such device';
  if (code === 'EINVAL') return 'invalid argument';
  if (code === 'EPERM' || code === 'EACCES') return 'permission denied';
  if (code === 'ENOTBLK') return 'block device required';
  return (error as Error).message;
}
