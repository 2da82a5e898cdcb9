import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError, type ErrorCode } from '../../../base/errors.ts';
import { KeyedMutex } from '../../../base/mutex.ts';
import { WorkerThreads } from '../../../base/worker-job.ts';
import { sha256 } from '../../../oci/digest.ts';
import { measureTree } from '../tree-size.ts';
import { readStoredHead } from './stored-manifest.ts';

/** A directory of a client that can be asked for what is in it. */
export interface ClientDirectorySource {
  /** The same for the same directory of the same client, each time. */
  readonly key: string;
  /** For people: `context`, its path. */
  readonly name: string;
  /** sha256 of the bytes of `manifest`, in hex, when the client knows it beforehand: when nothing changed, nothing is asked. */
  readonly tree?: string | undefined;
  /**
   * The same of clients that send their list before anything is known of it: waits for it and gives what tells it from
   * others, in hex; undefined when that is to be made of `manifest`. Called once, before it.
   */
  listed?(signal: AbortSignal | undefined): Promise<string | undefined>;
  /** All entries, as `readManifest` wants them. */
  manifest(signal: AbortSignal | undefined): AsyncIterable<Uint8Array>;
  /** Whether it may be asked for content several times at once. */
  readonly parallel?: boolean;
  /** Content of the files with these indexes in the manifest, in frames of `index (u32) size (u64) content changed (u8)`, big-endian. */
  content(needed: readonly number[], signal: AbortSignal | undefined): AsyncIterable<Uint8Array>;
  /** Nothing more is asked for; called once, however it went. */
  close?(): Promise<void>;
}

/** A client's directory on the engine's side. Nobody changes it until it is disposed. */
export interface HeldClientFiles extends Disposable {
  readonly root: string;
  /** Where digests of all its files are. */
  readonly manifest: string;
  /** Equal trees have equal ones; undefined when the files changed while they were sent. */
  readonly tree: string | undefined;
  /** Bytes of content that were sent for this build, and how many files that was. */
  readonly sent: number;
  readonly files: number;
}

export interface Plan {
  /** The list is the one that is there, byte for byte: nothing is to be done. */
  readonly same: boolean;
  /** Indexes of files whose content is to be asked for. */
  readonly needed: readonly number[];
  /** Of their content. */
  readonly bytes: number;
}

/** What came of content. */
export interface ReceivedFiles {
  readonly needed: readonly number[];
  /** Of the first of `needed`, one after the other: sha256 in hex, or as many dashes for a file that was gone. */
  readonly digests: string;
  /** Indexes of files that changed while they were sent. */
  readonly unsteady: readonly number[];
  readonly bytes: number;
  /** Why not everything did. */
  readonly failure?: { readonly code: ErrorCode; readonly message: string };
}

export interface ClientFilesInfo {
  readonly id: string;
  readonly name: string;
  readonly inUse: boolean;
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since the epoch. */
  readonly usedAt: number;
}

const TOUCH_MS = 10_000;

/**
 * Files of clients' directories, kept from build to build so that only what changed crosses the wire:
 * `<root>/<hash of the key>[-n]/{name,files,fresh,manifest}`. A build holds its directory; a second one that wants it at the
 * same time shares it when the files are the same, and else gets one of its own. An engine that died in the middle left no
 * manifest, or one of what was whole. Everything here can be sent again.
 */
export class ClientFiles {
  readonly #root: string;
  readonly #threads = new WorkerThreads('engine/builder/client-files/client-files');
  readonly #locks = new KeyedMutex();
  readonly #users = new Map<string, number>();
  /** When the time of a place was written, in milliseconds since the epoch. */
  readonly #touched = new Map<string, number>();

  /** @param root `<data-root>/cache/client-files` */
  constructor(root: string) {
    this.#root = root;
  }

  /** Brings the directory to what the client has now. Throws what the client's answers throw. */
  async hold(source: ClientDirectorySource, signal?: AbortSignal): Promise<HeldClientFiles> {
    const base = sha256(source.key).slice(7, 39);
    await using _lock = await this.#locks.acquire(base);
    try {
      const tree = source.tree ?? (await source.listed?.(signal));
      const same = tree === undefined ? undefined : await this.#placeOf(base, tree);
      if (same !== undefined) return await this.#held(same);
      const place = this.#freePlace(base);
      const directory = join(this.#root, place);
      await this.#prepare(directory, source.name);
      const change = { directory, tree, plan: randomUUID() };
      const input = source.manifest(signal);
      const plan = await this.#threads.run<Plan>({ job: 'plan', parameters: change, input, signal });
      if (plan.same) return await this.#held(place);
      const incoming = new Incoming(source, signal);
      const jobs = await Promise.allSettled(
        shares(plan, source).map((needed) =>
          this.#threads.run<ReceivedFiles>({
            job: 'receive',
            parameters: { ...change, needed },
            input: incoming.of(needed),
            givesInput: 'slabs',
            signal: incoming.signal,
          }),
        ),
      );
      const received = jobs.map((job) => {
        if (job.status === 'rejected') throw job.reason;
        return job.value;
      });
      // Whatever came is kept, so that it need not come again.
      await this.#threads.run({ job: 'finish', parameters: { ...change, received } });
      incoming.throwError();
      const failure = received.find((part) => part.failure)?.failure;
      if (failure) throw new EngineError(failure.code, failure.message);
      const sent = received.reduce((sum, { bytes }) => sum + bytes, 0);
      return await this.#held(place, { sent, files: plan.needed.length });
    } finally {
      await source.close?.();
    }
  }

  /** The one that holds the files of this list. */
  async #placeOf(base: string, tree: string): Promise<string | undefined> {
    const has = (name: string): boolean => readStoredHead(join(this.#root, name)).tree === tree;
    // There are others only where builds of one directory ran side by side.
    return has(base) ? base : (await this.#places(base)).find(has);
  }

  /** The first that no build holds. */
  #freePlace(base: string): string {
    let place = base;
    for (let n = 1; this.#users.has(place); n++) place = `${base}-${n}`;
    return place;
  }

  async #prepare(directory: string, name: string): Promise<void> {
    // Without a manifest it is what a dead engine left.
    if (!existsSync(join(directory, 'manifest'))) {
      await rm(directory, { recursive: true, force: true });
      await mkdir(join(directory, 'files'), { recursive: true });
    }
    await rm(join(directory, 'fresh'), { recursive: true, force: true });
    await mkdir(join(directory, 'fresh'), { recursive: true });
    await writeFile(join(directory, 'name'), name);
  }

  async list(): Promise<ClientFilesInfo[]> {
    const found: ClientFilesInfo[] = [];
    for (const id of await this.#places('')) {
      const name = await readFile(join(this.#root, id, 'name'), 'utf8').catch(() => '');
      const used = await stat(join(this.#root, id)).catch(() => undefined);
      if (!used) continue;
      const size = await measureTree(join(this.#root, id, 'files'));
      found.push({ id, name, inUse: this.#users.has(id), size, usedAt: used.mtimeMs });
    }
    return found;
  }

  /** Removes one that no build holds; false when one does. */
  async remove(id: string): Promise<boolean> {
    await using _lock = await this.#locks.acquire(id.split('-', 1)[0]!);
    if (this.#users.has(id)) return false;
    this.#touched.delete(id);
    // Without its manifest it is nothing, should the rest not come to an end.
    await rm(join(this.#root, id, 'manifest'), { force: true });
    await rm(join(this.#root, id), { recursive: true, force: true });
    return true;
  }

  async #held(place: string, { sent, files } = { sent: 0, files: 0 }): Promise<HeldClientFiles> {
    const directory = join(this.#root, place);
    this.#users.set(place, (this.#users.get(place) ?? 0) + 1);
    await this.#touch(place);
    let held = true;
    return {
      root: join(directory, 'files'),
      manifest: join(directory, 'manifest'),
      tree: readStoredHead(directory).content,
      sent,
      files,
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        const left = this.#users.get(place)! - 1;
        if (left > 0) this.#users.set(place, left);
        else this.#users.delete(place);
      },
    };
  }

  /** Keeps when it was used last, as exactly as those need it who remove what is old. */
  async #touch(place: string): Promise<void> {
    const now = Date.now();
    if (now - (this.#touched.get(place) ?? 0) < TOUCH_MS) return;
    this.#touched.set(place, now);
    await utimes(join(this.#root, place), now / 1000, now / 1000);
  }

  async #places(base: string): Promise<string[]> {
    const names = await readdir(this.#root).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    return names.filter((name) => base === '' || name === base || name.startsWith(`${base}-`));
  }
}

/** Content of one build's files, asked for in shares; when one of them fails, the others are given up. */
class Incoming {
  readonly signal: AbortSignal;
  readonly #source: ClientDirectorySource;
  readonly #stop = new AbortController();
  #failure: { readonly error: unknown } | undefined;

  constructor(source: ClientDirectorySource, signal: AbortSignal | undefined) {
    this.#source = source;
    this.signal = signal ? AbortSignal.any([signal, this.#stop.signal]) : this.#stop.signal;
  }

  async *of(needed: readonly number[]): AsyncGenerator<Uint8Array> {
    try {
      if (needed.length > 0) yield* this.#source.content(needed, this.signal);
    } catch (error) {
      this.#failure ??= { error };
      this.#stop.abort(error);
      throw error;
    }
  }

  /** What the client's answer threw. */
  throwError(): void {
    if (this.#failure) throw this.#failure.error;
  }
}

/** For so many files a second thread is worth its start. */
const MANY = 2000;
/** Larger files take the disk's time and not a processor's. */
const SMALL = 64 << 10;

/** The files that are asked for together; neighbours stay together. */
function shares({ needed, bytes }: Plan, { parallel }: ClientDirectorySource): (readonly number[])[] {
  if (parallel !== true || needed.length < MANY || bytes > needed.length * SMALL) return [needed];
  const half = needed.length >> 1;
  return [needed.slice(0, half), needed.slice(half)];
}
