import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { mkdir, readdir, rm, rmdir, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { WorkerThreads } from '../../../base/worker-job.ts';
import type { KnownFiles } from '../../../build/copy-files.ts';
import type { Bytes } from '../../../content/content-store.ts';
import { measureTree } from '../tree-size.ts';

export interface ReceiveParameters {
  readonly store: string;
  readonly trees: string;
  /** What a tree is called while it is made. */
  readonly incoming: string;
  /** For what becomes no tree that is kept. */
  readonly directory: string;
  readonly list: string;
}

export interface ReceivedContext {
  /** Equal for equal contexts; undefined when one has files whose attributes no list says. */
  readonly tree: string | undefined;
  /** It is among the trees, under that name. */
  readonly kept: boolean;
}

/** A context on the engine's side. Nobody changes it, and it is there until it is disposed. */
export interface HeldContext extends Disposable {
  readonly root: string;
  readonly known: KnownFiles | undefined;
}

interface Tree {
  users: number;
  /** Milliseconds since the epoch. */
  usedAt: number;
}

/** Trees that no build holds; the longest unused goes first. */
const MAX_TREES = 16;
const INCOMING = '.incoming-';
const REMOVED = '.removed-';

/**
 * Contexts that come as archives (`POST /build`): the whole of it each time, but what was sent before is not written again.
 * Below `<root>/<boot>` files are kept by content (`objects`), and whole contexts as directories of hard links to them
 * (`trees/<digest>/{files,list}`), of which builds of the same context have the same one. Nothing is synced, so all of it
 * counts only as long as the kernel runs that wrote it; what is half-made has a name that nobody looks for.
 */
export class UploadedContexts {
  readonly #root: string;
  readonly #discard: (path: string) => Promise<void>;
  readonly #threads = new WorkerThreads('engine/builder/uploads/uploaded-context');
  readonly #trees = new Map<string, Tree>();
  /** Trees that go, by their names: where they are until then. */
  readonly #aside = new Map<string, string>();
  /** Contexts on their way: each may come to need what is there now. */
  readonly #receiving = new Set<Promise<unknown>>();
  #store: Promise<string> | undefined;
  #names = 0;

  /**
   * @param root `<data-root>/cache/uploads`
   * @param discard removes a directory in the background; resolves when that is over, however it went
   */
  constructor(root: string, discard: (path: string) => Promise<void>) {
    this.#root = root;
    this.#discard = discard;
  }

  /**
   * Takes in an archive, compressed or not, from a client that is not trusted: files are the root user's and as old as
   * contexts are. `directory` is a name of the build's own, for a context that is not kept as a whole.
   * Throws what `applyLayer` throws.
   */
  async receive(
    archive: Bytes,
    { directory, signal }: { directory: string; signal: AbortSignal | undefined },
  ): Promise<HeldContext> {
    const store = await this.#opened();
    const now = new Date();
    const trees = join(store, 'trees');
    mkdirSync(trees, { recursive: true, mode: 0o700 });
    await utimes(store, now, now);
    const incoming = join(trees, this.#ownName(INCOMING));
    const list = `${directory}-files`;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#receiving.add(promise);
    let kept = false;
    try {
      const received = await this.#threads.run<ReceivedContext>({
        job: 'receive',
        parameters: { store, trees, incoming, directory, list } satisfies ReceiveParameters,
        input: archive,
        givesInput: 'slabs',
        signal,
      });
      const { tree } = received;
      kept = received.kept;
      if (kept) return this.#hold(store, tree!);
      const known = tree === undefined ? undefined : { tree: `upload ${tree}`, list };
      return { root: directory, known, [Symbol.dispose]: () => {} };
    } finally {
      this.#receiving.delete(promise);
      resolve();
      // Half-made, or another build's was there first.
      if (existsSync(incoming)) void this.#discard(incoming);
      if (kept) this.#evict(store);
    }
  }

  /** What is kept, as one thing. */
  async list(): Promise<{ id: string; name: string; size: number; usedAt: number }[]> {
    const store = await this.#opened();
    const found = await stat(store).catch(() => undefined);
    const objects = await readdir(join(store, 'objects')).catch(() => []);
    if (!found || objects.length === 0) return [];
    const size = await measureTree(store);
    return [{ id: 'uploaded-contexts', name: 'uploaded contexts', size, usedAt: found.mtimeMs }];
  }

  /** Removes what is kept but the trees that builds hold; what contexts on their way may need goes when they are there. */
  async remove(): Promise<boolean> {
    const store = await this.#opened();
    const removed: string[] = [];
    for (const [name, { users }] of this.#trees) if (users === 0) removed.push(this.#putAside(store, name));
    for (const name of ['objects', 'large']) {
      const path = join(store, this.#ownName(REMOVED));
      try {
        renameSync(join(store, name), path);
        removed.push(path);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
    const gone = this.#whenReceived(removed);
    if (this.#receiving.size === 0) await gone;
    return true;
  }

  #hold(store: string, name: string): HeldContext {
    const path = join(store, 'trees', name);
    const aside = this.#aside.get(name);
    // It was put aside after this context had found it, and stays as long as this one is on its way.
    if (aside !== undefined && !existsSync(path)) renameSync(aside, path);
    const tree = this.#trees.get(name) ?? { users: 0, usedAt: 0 };
    this.#trees.set(name, tree);
    tree.users++;
    tree.usedAt = Date.now();
    let held = true;
    return {
      root: join(path, 'files'),
      known: { tree: `upload ${name}`, list: join(path, 'list') },
      [Symbol.dispose]: () => {
        if (held) tree.users--;
        held = false;
      },
    };
  }

  #evict(store: string): void {
    if (this.#trees.size <= MAX_TREES) return;
    const unused = [...this.#trees].filter(([, { users }]) => users === 0).sort(([, a], [, b]) => a.usedAt - b.usedAt);
    const removed = unused
      .slice(0, Math.max(0, unused.length - MAX_TREES))
      .map(([name]) => this.#putAside(store, name));
    if (removed.length > 0) void this.#whenReceived(removed);
  }

  #putAside(store: string, name: string): string {
    const path = join(store, this.#ownName(REMOVED));
    renameSync(join(store, 'trees', name), path);
    this.#trees.delete(name);
    this.#aside.set(name, path);
    return path;
  }

  /** Removes what was put aside as soon as no context is on its way that came before. */
  async #whenReceived(paths: readonly string[]): Promise<void> {
    await Promise.all(this.#receiving);
    for (const [name, path] of this.#aside) if (paths.includes(path)) this.#aside.delete(name);
    await Promise.all(paths.filter((path) => existsSync(path)).map((path) => this.#discard(path)));
  }

  #ownName(prefix: string): string {
    return `${prefix}${process.pid}-${process.hrtime.bigint()}-${++this.#names}`;
  }

  /** What stood in its way once (a full disk, one that is read-only) is asked about again by the next who comes. */
  #opened(): Promise<string> {
    this.#store ??= this.#open().catch((error: unknown) => {
      this.#store = undefined;
      throw error;
    });
    return this.#store;
  }

  /** What another kernel wrote may not be whole, and what a dead engine left on its way is nobody's. */
  async #open(): Promise<string> {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    await mkdir(this.#root, { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.#root))
      if (name !== boot) await rm(join(this.#root, name), { recursive: true, force: true });
    const store = join(this.#root, boot);
    for (const directory of ['', 'objects', 'large', 'trees']) {
      for (const name of await readdir(join(store, directory)).catch(() => []))
        if (name.startsWith('.')) await rm(join(store, directory, name), { recursive: true, force: true });
    }
    // Empty ones are nothing that is kept: without this nobody would ever remove them.
    for (const directory of ['objects', 'large']) await rmdir(join(store, directory)).catch(() => {});
    for (const name of await readdir(join(store, 'trees')).catch(() => [])) {
      const { mtimeMs } = await stat(join(store, 'trees', name));
      this.#trees.set(name, { users: 0, usedAt: mtimeMs });
    }
    return store;
  }
}
