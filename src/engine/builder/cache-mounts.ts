import { chmod, chown, mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError } from '../../base/errors.ts';
import { KeyedMutex } from '../../base/mutex.ts';
import type { OperationOptions } from '../../base/operation.ts';
import type { CacheRunMount } from '../../build/run-mount.ts';
import { sha256 } from '../../oci/digest.ts';
import type { Bytes } from '../../content/content-store.ts';
import { applyLayer } from '../../snapshot/apply-layer.ts';
import { tarTree } from '../../snapshot/diff-layer.ts';
import { measureTree } from './tree-size.ts';

/** A cache directory in use. Dispose it when the step ends. */
export interface HeldCache extends Disposable {
  /** Its files, on the host. */
  readonly path: string;
}

export interface CacheMountInfo {
  readonly name: string;
  readonly id: string;
  readonly inUse: boolean;
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since the epoch. */
  readonly usedAt: number;
}

/**
 * Directories of RUN --mount=type=cache: `<root>/<hash of the id>[-n]/{id,files}`. A directory is made aside and renamed, so
 * one that is there is whole. What a step is killed in stays as it left it: that is what a cache is.
 */
export class CacheMounts {
  readonly #root: string;
  readonly #locks = new KeyedMutex();
  readonly #users = new Map<string, number>();

  /** @param root `<data-root>/cache/build-mounts` */
  constructor(root: string) {
    this.#root = root;
  }

  /** `fill` puts the first files into a new one. A `locked` cache is waited for. */
  async hold(mount: CacheRunMount, fill: (directory: string) => Promise<void>): Promise<HeldCache> {
    const base = sha256(mount.id).slice(7, 39);
    const lock = mount.sharing === 'locked' ? await this.#locks.acquire(`held ${base}`) : undefined;
    // Others that only share it do not wait for the lock, as with BuildKit.
    let name = base;
    for (let n = 1; mount.sharing === 'private' && this.#users.has(name); n++) name = `${base}-${n}`;
    const done = this.#use(name);
    const release = (): void => {
      done();
      lock?.release();
    };
    try {
      await this.#locks.run(name, () => this.#make(name, mount, fill));
    } catch (error) {
      release();
      throw error;
    }
    const now = new Date();
    await utimes(join(this.#root, name), now, now).catch(() => undefined);
    return { path: join(this.#root, name, 'files'), [Symbol.dispose]: release };
  }

  async list(): Promise<CacheMountInfo[]> {
    const found: CacheMountInfo[] = [];
    for (const name of await this.#names()) {
      const id = await readFile(join(this.#root, name, 'id'), 'utf8');
      const size = await measureTree(join(this.#root, name, 'files'));
      const { mtimeMs: usedAt } = await stat(join(this.#root, name));
      found.push({ name, id, inUse: this.#users.has(name), size, usedAt });
    }
    return found;
  }

  /** The files of a cache by its id, as a tar. It is not removed while it is read. Throws `not-found`. */
  async export(id: string, { signal }: OperationOptions = {}): Promise<Bytes> {
    const name = this.#nameOf(id);
    const files = join(this.#root, name, 'files');
    if (!(await this.#names()).includes(name)) throw absent(id);
    const release = this.#use(name);
    return (async function* (): Bytes {
      try {
        yield* tarTree(files, { signal });
      } finally {
        release();
      }
    })();
  }

  /** Makes a cache of a tar, any known compression, in the place of the one of that id: all of it, or nothing. Throws `conflict` while a step uses it, `corrupt`. */
  async import(id: string, tar: Bytes, { signal }: OperationOptions = {}): Promise<CacheMountInfo> {
    if (id === '' || id.length > 4096) throw new EngineError('invalid-argument', 'a cache needs an id');
    const name = this.#nameOf(id);
    return this.#locks.run(name, async () => {
      this.#checkIdle(name, id);
      const place = join(this.#root, name);
      const aside = `${place}.new`;
      await rm(aside, { recursive: true, force: true });
      await mkdir(join(aside, 'files'), { recursive: true });
      try {
        await writeFile(join(aside, 'id'), id);
        await applyLayer(tar, join(aside, 'files'), { whiteouts: 'literal', allowExternal: true, signal });
        this.#checkIdle(name, id);
      } catch (error) {
        await rm(aside, { recursive: true, force: true });
        throw error;
      }
      await rm(place, { recursive: true, force: true });
      await rename(aside, place);
      return { name, id, inUse: false, size: await measureTree(join(place, 'files')), usedAt: Date.now() };
    });
  }

  /** Removes caches by their ids. Throws `not-found`, `conflict` while a step uses one. */
  async remove(id: string): Promise<CacheMountInfo> {
    const name = this.#nameOf(id);
    return this.#locks.run(name, async () => {
      const found = (await this.list()).find((info) => info.name === name);
      if (!found) throw absent(id);
      this.#checkIdle(name, id);
      await rm(join(this.#root, name), { recursive: true, force: true });
      return found;
    });
  }

  #nameOf(id: string): string {
    return sha256(id).slice(7, 39);
  }

  #use(name: string): () => void {
    this.#users.set(name, (this.#users.get(name) ?? 0) + 1);
    return () => {
      const left = this.#users.get(name)! - 1;
      if (left > 0) this.#users.set(name, left);
      else this.#users.delete(name);
    };
  }

  #checkIdle(name: string, id: string): void {
    if (this.#users.has(name)) throw new EngineError('conflict', `cache ${id} is in use by a build`);
  }

  /** Removes one by its directory's name; false when a step uses it now. */
  async removeIdle(name: string): Promise<boolean> {
    return this.#locks.run(name, async () => {
      if (this.#users.has(name)) return false;
      await rm(join(this.#root, name), { recursive: true, force: true });
      return true;
    });
  }

  async #names(): Promise<string[]> {
    const names = await readdir(this.#root).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    return names.filter((name) => !name.endsWith('.new'));
  }

  async #make(name: string, mount: CacheRunMount, fill: (directory: string) => Promise<void>): Promise<void> {
    const place = join(this.#root, name);
    if ((await this.#names()).includes(name)) return;
    const aside = `${place}.new`;
    await rm(aside, { recursive: true, force: true });
    await mkdir(join(aside, 'files'), { recursive: true });
    await writeFile(join(aside, 'id'), mount.id);
    try {
      await fill(join(aside, 'files'));
    } catch (error) {
      await rm(aside, { recursive: true, force: true });
      throw error;
    }
    await chown(join(aside, 'files'), mount.uid, mount.gid);
    await chmod(join(aside, 'files'), mount.mode);
    await rename(aside, place);
  }
}

function absent(id: string): EngineError {
  return new EngineError(
    'not-found',
    `no cache mount has the id ${id}: \`gantry builder cache ls\` shows those there are`,
  );
}
