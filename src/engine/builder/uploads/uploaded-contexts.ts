import { mkdirSync, readFileSync } from 'node:fs';
import { mkdir, readdir, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { WorkerThreads } from '../../../base/worker-job.ts';
import type { KnownFiles } from '../../../build/copy-files.ts';
import type { Bytes } from '../../../content/content-store.ts';
import { measureTree } from '../tree-size.ts';

export interface ReceiveParameters {
  readonly store: string;
  readonly target: string;
  readonly list: string;
}

export interface ReceivedContext {
  /** Undefined when it has files whose attributes no list says. */
  readonly tree: string | undefined;
}

/**
 * Contexts that come as archives (`POST /build`): the whole of it each time, but what was sent before is not written again.
 * Files are kept by content below `<root>/<boot>`, where contexts and layers have them as hard links. Nothing is synced, so
 * they count only as long as the kernel runs that wrote them; a half-written file has a name that nobody looks for.
 */
export class UploadedContexts {
  readonly #root: string;
  readonly #threads = new WorkerThreads('engine/builder/uploads/uploaded-context');
  #store: Promise<string> | undefined;

  /** @param root `<data-root>/cache/uploads` */
  constructor(root: string) {
    this.#root = root;
  }

  /**
   * Unpacks an archive, compressed or not, from a client that is not trusted, into the empty `directory`: files are the
   * root user's and as old as contexts are, and are never to be written to. `list` is a file that it may make.
   * Throws what `applyLayer` throws.
   */
  async receive(
    archive: Bytes,
    { directory, list, signal }: { directory: string; list: string; signal: AbortSignal | undefined },
  ): Promise<KnownFiles | undefined> {
    const store = await (this.#store ??= this.#open());
    const now = new Date();
    // Whoever collected the cache may have taken it.
    for (const name of ['objects', 'large']) mkdirSync(join(store, name), { recursive: true, mode: 0o700 });
    await utimes(store, now, now);
    const { tree } = await this.#threads.run<ReceivedContext>({
      job: 'receive',
      parameters: { store, target: directory, list } satisfies ReceiveParameters,
      input: archive,
      givesInput: 'slabs',
      signal,
    });
    return tree === undefined ? undefined : { tree, list };
  }

  /** What is kept, as one thing. */
  async list(): Promise<{ id: string; name: string; size: number; usedAt: number }[]> {
    const store = await (this.#store ??= this.#open());
    const found = await stat(store).catch(() => undefined);
    const objects = await readdir(join(store, 'objects')).catch(() => []);
    if (!found || objects.length === 0) return [];
    const size = await measureTree(join(store, 'objects'));
    return [{ id: 'uploaded-contexts', name: 'uploaded contexts', size, usedAt: found.mtimeMs }];
  }

  /** Removes what is kept; contexts of builds that run have names of their own. */
  async remove(): Promise<boolean> {
    const store = await (this.#store ??= this.#open());
    for (const name of ['large', 'objects']) {
      for (const file of await readdir(join(store, name)).catch(() => [])) {
        // Of a build that receives its context now.
        if (!file.startsWith('.')) await rm(join(store, name, file), { force: true });
      }
    }
    return true;
  }

  /** What another kernel wrote may not be whole, and what a dead engine left on its way is nobody's. */
  async #open(): Promise<string> {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    await mkdir(this.#root, { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.#root))
      if (name !== boot) await rm(join(this.#root, name), { recursive: true, force: true });
    const store = join(this.#root, boot);
    for (const name of ['objects', 'large']) {
      for (const file of await readdir(join(store, name)).catch(() => []))
        if (file.startsWith('.')) await rm(join(store, name, file), { force: true });
    }
    return store;
  }
}
