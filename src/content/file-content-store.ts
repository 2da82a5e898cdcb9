import { createHash, type Hash, randomUUID } from 'node:crypto';
import { renameSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, stat, statfs, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError } from '../base/errors.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { type Digest, hasherFor, isDigest } from '../oci/digest.ts';
import type { BlobInfo, Bytes, ContentStore, Ingest } from './content-store.ts';
import { checkContent, writeBlob } from './verified.ts';

const CHUNK_BYTES = 256 * 1024;
/** What a write leaves to its end to be synced. */
const SYNC_BYTES = 16 << 20;
/** Free space is looked at each time so much was written, and so much is left free. */
const SPACE_CHECK_BYTES = 8 << 20;
const RESERVED_BYTES = 64 << 20;
const ALGORITHMS = ['sha256', 'sha512'] as const;

/**
 * Blobs as files:
 *
 *     <root>/blobs/<algorithm>/<hex>   complete, read-only
 *     <root>/ingest/named-<hex>        a write that its name continues
 *     <root>/ingest/once-<uuid>        a write, or a blob on its way out; swept when the store is opened
 */
export class FileContentStore implements ContentStore {
  readonly #blobs: string;
  readonly #ingests: string;
  readonly #open = new Set<string>();

  private constructor(root: string) {
    this.#blobs = join(root, 'blobs');
    this.#ingests = join(root, 'ingest');
  }

  /** Makes the directories and sweeps what a crash left: unnamed writes, and named ones not touched for `keepIngestsMs` (a day); `sweep: false` beside the store's owner. */
  static async open(
    root: string,
    options: { keepIngestsMs?: number; sweep?: boolean } = {},
  ): Promise<FileContentStore> {
    const store = new FileContentStore(root);
    for (const algorithm of ALGORITHMS) await mkdir(join(store.#blobs, algorithm), { recursive: true, mode: 0o700 });
    await mkdir(store.#ingests, { recursive: true, mode: 0o700 });
    if (options.sweep !== false) await store.#sweep(options.keepIngestsMs ?? 24 * 3600 * 1000);
    return store;
  }

  async #sweep(keepMs: number): Promise<void> {
    for (const name of await readdir(this.#ingests)) {
      const path = join(this.#ingests, name);
      const stale = name.startsWith('once-') || Date.now() - (await stat(path)).mtimeMs > keepMs;
      if (stale) await unlink(path);
    }
  }

  async *read(
    target: Pick<Descriptor, 'digest' | 'size'>,
    options: { offset?: number; signal?: AbortSignal } = {},
  ): Bytes {
    const { offset = 0, signal } = options;
    await using handle = await this.#openBlob(target.digest);
    const hash = hasherFor(target.digest);
    let position = 0;
    for (;;) {
      signal?.throwIfAborted();
      const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
      const { bytesRead } = await handle.read(buffer, 0, CHUNK_BYTES, position);
      if (bytesRead === 0) break;
      const chunk = buffer.subarray(0, bytesRead);
      hash.update(chunk);
      const start = position;
      position += bytesRead;
      // The part before the offset is read too: without it the digest could not be checked.
      if (position > offset) yield start >= offset ? chunk : chunk.subarray(offset - start);
    }
    checkContent(target, hash, position);
  }

  async has(target: Pick<Descriptor, 'digest' | 'size'>): Promise<boolean> {
    return (await this.stat(target.digest))?.size === target.size;
  }

  write(target: Pick<Descriptor, 'digest' | 'size'>, body: Bytes, options?: { signal?: AbortSignal }): Promise<void> {
    return writeBlob(this, target, body, options);
  }

  async stat(digest: Digest): Promise<BlobInfo | undefined> {
    try {
      const { size, birthtime } = await stat(this.path(digest));
      return { digest, size, createdAt: birthtime };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  path(digest: Digest): string {
    // Digests come from documents that strangers write; only the two forms that `isDigest` knows may become a path.
    if (!isDigest(digest)) throw new EngineError('invalid-argument', `invalid digest: ${String(digest)}`);
    const colon = digest.indexOf(':');
    return join(this.#blobs, digest.slice(0, colon), digest.slice(colon + 1));
  }

  async ingest(name?: string): Promise<Ingest> {
    const file =
      name === undefined ? `once-${randomUUID()}` : `named-${createHash('sha256').update(name).digest('hex')}`;
    if (this.#open.has(file)) throw new EngineError('conflict', `${name} is being written by someone else`);
    this.#open.add(file);
    try {
      return await FileIngest.open(join(this.#ingests, file), {
        resumable: name !== undefined,
        pathOf: (digest) => this.path(digest),
        closed: () => this.#open.delete(file),
      });
    } catch (error) {
      this.#open.delete(file);
      throw error;
    }
  }

  async delete(digest: Digest): Promise<void> {
    const out = join(this.#ingests, `once-${randomUUID()}`);
    try {
      // Renaming is quick and synchronous, freeing the blocks of a large file is neither.
      renameSync(this.path(digest), out);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw error;
    }
    await unlink(out);
  }

  async *list(): AsyncIterable<BlobInfo> {
    for (const algorithm of ALGORITHMS) {
      for (const hex of await readdir(join(this.#blobs, algorithm))) {
        const digest = `${algorithm}:${hex}`;
        const blob = isDigest(digest) ? await this.stat(digest) : undefined;
        if (blob) yield blob;
      }
    }
  }

  async #openBlob(digest: Digest): Promise<FileHandle> {
    try {
      return await open(this.path(digest), 'r');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      throw new EngineError('not-found', `blob ${digest} is not in the store`, { cause: error });
    }
  }
}

interface IngestPlace {
  readonly resumable: boolean;
  pathOf(digest: Digest): string;
  closed(): void;
}

class FileIngest implements Ingest {
  readonly file: string;
  readonly #place: IngestPlace;
  readonly #handle: FileHandle;
  readonly #hashes: Readonly<Record<(typeof ALGORITHMS)[number], Hash>>;
  #offset = 0;
  #unchecked = 0;
  #unsynced = 0;
  #syncing: Promise<unknown> | undefined;
  /** A disk tells of a failed write once: it must not be forgotten. */
  #syncFailure: unknown;
  #done = false;

  private constructor(file: string, place: IngestPlace, handle: FileHandle) {
    this.file = file;
    this.#place = place;
    this.#handle = handle;
    this.#hashes = { sha256: createHash('sha256'), sha512: createHash('sha512') };
  }

  static async open(file: string, place: IngestPlace): Promise<FileIngest> {
    const handle = await open(file, place.resumable ? 'a+' : 'wx+', 0o600);
    const ingest = new FileIngest(file, place, handle);
    try {
      await ingest.#rehash();
    } catch (error) {
      await handle.close();
      throw error;
    }
    return ingest;
  }

  get offset(): number {
    return this.#offset;
  }

  async append(...chunks: readonly Uint8Array[]): Promise<void> {
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
    await this.#checkSpace(bytes);
    const writing = this.#write(chunks, bytes);
    // Beside the writing, which is a thread's.
    writing.catch(() => undefined);
    for (const chunk of chunks) this.#hashes.sha256.update(chunk);
    await writing;
    this.#offset += bytes;
    this.#syncBehind(bytes);
  }

  async #write(chunks: readonly Uint8Array[], bytes: number): Promise<void> {
    let { bytesWritten: written } = await this.#handle.writev(chunks);
    if (written === bytes) return;
    const rest = Buffer.concat(chunks);
    while (written < bytes) {
      written += (await this.#handle.write(rest, written, bytes - written, null)).bytesWritten;
    }
  }

  /** The disk works while more comes, so that little is left to wait for at the end. */
  #syncBehind(bytes: number): void {
    this.#unsynced += bytes;
    if (this.#unsynced < SYNC_BYTES || this.#syncing) return;
    this.#unsynced = 0;
    this.#syncing = this.#handle
      .datasync()
      .catch((error: unknown) => void (this.#syncFailure ??= error))
      .finally(() => (this.#syncing = undefined));
  }

  /** The database and removals go on with what is left of the disk, whoever fills it. */
  async #checkSpace(bytes: number): Promise<void> {
    this.#unchecked += bytes;
    if (this.#unchecked < SPACE_CHECK_BYTES) return;
    this.#unchecked = 0;
    const { bavail, bsize } = await statfs(this.file);
    if (bavail * bsize < RESERVED_BYTES)
      throw new EngineError('no-space', 'no space left on the disk of the data root');
  }

  async commit(
    expected: { digest?: Digest; size?: number; announce?: (digest: Digest, size: number) => void } = {},
  ): Promise<BlobInfo> {
    const size = this.#offset;
    try {
      const digest = await this.#digest(expected.digest);
      if (expected.size !== undefined && expected.size !== size) {
        throw new EngineError('corrupt', `${expected.digest ?? digest} has ${size} bytes instead of ${expected.size}`);
      }
      if (expected.digest !== undefined && expected.digest !== digest) {
        throw new EngineError('corrupt', `content is ${digest} instead of ${expected.digest}`);
      }
      const path = this.#place.pathOf(digest);
      await this.#syncing;
      if (this.#syncFailure !== undefined) throw this.#syncFailure as Error;
      await this.#handle.chmod(0o400);
      await this.#handle.datasync();
      expected.announce?.(digest, size);
      await rename(this.file, path);
      await this.#close();
      await syncDirectory(join(path, '..'));
      return { digest, size, createdAt: new Date() };
    } catch (error) {
      await this.abort();
      throw error;
    }
  }

  async abort(): Promise<void> {
    if (this.#done) return;
    await unlink(this.file).catch(() => undefined);
    await this.#close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#place.resumable) await this.#close();
    else await this.abort();
  }

  async #close(): Promise<void> {
    if (this.#done) return;
    this.#done = true;
    this.#place.closed();
    await this.#handle.close();
  }

  /** sha256 runs along with the writing; the rare sha512 reads the file once more. */
  async #digest(expected: Digest | undefined): Promise<Digest> {
    if (!expected?.startsWith('sha512:')) return `sha256:${this.#hashes.sha256.digest('hex')}`;
    await this.#readBack((chunk) => this.#hashes.sha512.update(chunk));
    return `sha512:${this.#hashes.sha512.digest('hex')}`;
  }

  async #rehash(): Promise<void> {
    this.#offset = await this.#readBack((chunk) => this.#hashes.sha256.update(chunk));
  }

  async #readBack(take: (chunk: Uint8Array) => void): Promise<number> {
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    let position = 0;
    for (;;) {
      const { bytesRead } = await this.#handle.read(buffer, 0, CHUNK_BYTES, position);
      if (bytesRead === 0) return position;
      take(buffer.subarray(0, bytesRead));
      position += bytesRead;
    }
  }
}

async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, 'r');
  await directory.sync();
}
