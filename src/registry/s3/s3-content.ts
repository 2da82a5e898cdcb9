import { createHash, randomUUID } from 'node:crypto';
import { EngineError, errorCode } from '../../base/errors.ts';
import type { BlobInfo, Bytes, Ingest } from '../../content/content-store.ts';
import { checkContent, writeBlob } from '../../content/verified.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { type Digest, hasherFor, isDigest } from '../../oci/digest.ts';
import type { RegistryContent } from '../server/registry-content.ts';
import type { S3Client } from './s3-client.ts';

/** Of an upload in memory. */
const PART_BYTES = 8 << 20;
/** An object has at most 10,000 parts: those of a very large one grow, to 64 MiB, and 290 GiB fit. */
const PARTS_OF_A_SIZE = 2500;
const URL_SECONDS = 20 * 60;
const STALE_MS = 24 * 3600_000;

type Target = Pick<Descriptor, 'digest' | 'size'>;

/**
 * Blobs as objects `blobs/<algorithm>/<hex>`. What is being written is `ingest/<uuid>` until its digest is known to be
 * right, and is copied within the store then: nobody sees a blob that is not whole.
 */
export class S3Content implements RegistryContent {
  readonly #client: S3Client;
  readonly #redirect: boolean;

  /** With `redirect`, clients fetch blobs from the store itself, by URLs that are good for 20 minutes. */
  constructor(client: S3Client, options: { redirect: boolean }) {
    this.#client = client;
    this.#redirect = options.redirect;
  }

  async *read(target: Target, { offset = 0, signal }: { offset?: number; signal?: AbortSignal } = {}): Bytes {
    const hash = hasherFor(target.digest);
    let position = 0;
    for await (const chunk of this.#client.read(keyOf(target.digest))) {
      signal?.throwIfAborted();
      hash.update(chunk);
      const start = position;
      position += chunk.byteLength;
      if (position > offset) yield start >= offset ? chunk : chunk.subarray(offset - start);
    }
    checkContent(target, hash, position);
  }

  stream(digest: Digest, { start, end }: { start: number; end: number }): Bytes {
    return start > end ? nothing() : this.#client.read(keyOf(digest), { start, end });
  }

  url(digest: Digest): URL | undefined {
    return this.#redirect ? this.#client.presign(keyOf(digest), URL_SECONDS) : undefined;
  }

  async has(target: Target): Promise<boolean> {
    return (await this.stat(target.digest))?.size === target.size;
  }

  write(target: Target, body: Bytes, options?: { signal?: AbortSignal }): Promise<void> {
    return writeBlob(this, target, body, options);
  }

  async stat(digest: Digest): Promise<BlobInfo | undefined> {
    const found = await this.#client.head(keyOf(digest));
    return found && { digest, size: found.size, createdAt: found.modifiedAt };
  }

  /** A write that breaks off begins again: there is nothing to continue. */
  async ingest(): Promise<Ingest> {
    return new S3Ingest(this.#client);
  }

  async delete(digest: Digest): Promise<void> {
    await this.#client.delete(keyOf(digest));
  }

  async *list(): AsyncIterable<BlobInfo> {
    for await (const found of this.#client.list('blobs/')) {
      if (!('key' in found)) continue;
      const digest = found.key.slice('blobs/'.length).replace('/', ':');
      if (isDigest(digest)) yield { digest, size: found.size, createdAt: found.modifiedAt };
    }
  }

  /** Deletes what servers that died left half written, a day later. */
  async sweep(): Promise<void> {
    const before = Date.now() - STALE_MS;
    for await (const { key, upload, begunAt } of this.#client.openParts()) {
      if (key.startsWith('ingest/') && begunAt.getTime() < before) await this.#client.dropParts(key, upload);
    }
    for await (const found of this.#client.list('ingest/')) {
      if ('key' in found && found.modifiedAt.getTime() < before) await this.#client.delete(found.key);
    }
  }
}

class S3Ingest implements Ingest {
  readonly #client: S3Client;
  readonly #key = `ingest/${randomUUID()}`;
  readonly #sha256 = createHash('sha256');
  readonly #sha512 = createHash('sha512');
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #offset = 0;
  #upload: string | undefined;
  readonly #tags: string[] = [];
  #done = false;

  constructor(client: S3Client) {
    this.#client = client;
  }

  get offset(): number {
    return this.#offset;
  }

  async append(...chunks: readonly Uint8Array[]): Promise<void> {
    for (const chunk of chunks) {
      this.#sha256.update(chunk);
      // The algorithm is known at the end only, and what is in the store by then is not read again for it.
      this.#sha512.update(chunk);
      this.#waiting.push(chunk);
      this.#waitingBytes += chunk.byteLength;
      this.#offset += chunk.byteLength;
    }
    if (this.#waitingBytes >= PART_BYTES << Math.min(3, Math.floor(this.#tags.length / PARTS_OF_A_SIZE)))
      await this.#flush();
  }

  async commit(
    expected: { digest?: Digest; size?: number; announce?: (digest: Digest, size: number) => void } = {},
  ): Promise<BlobInfo> {
    const size = this.#offset;
    try {
      const digest: Digest = expected.digest?.startsWith('sha512:')
        ? `sha512:${this.#sha512.digest('hex')}`
        : `sha256:${this.#sha256.digest('hex')}`;
      if (expected.size !== undefined && expected.size !== size) {
        throw new EngineError('corrupt', `${expected.digest ?? digest} has ${size} bytes instead of ${expected.size}`);
      }
      if (expected.digest !== undefined && expected.digest !== digest) {
        throw new EngineError('corrupt', `content is ${digest} instead of ${expected.digest}`);
      }
      expected.announce?.(digest, size);
      await this.#place(digest, size);
      this.#done = true;
      return { digest, size, createdAt: new Date() };
    } catch (error) {
      await this.abort();
      throw error;
    }
  }

  async abort(): Promise<void> {
    if (this.#done) return;
    this.#done = true;
    this.#waiting = [];
    if (this.#upload !== undefined) await this.#client.dropParts(this.#key, this.#upload).catch(() => undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.abort();
  }

  async #place(digest: Digest, size: number): Promise<void> {
    if (this.#upload === undefined) {
      await this.#client.put(keyOf(digest), Buffer.concat(this.#waiting));
      return;
    }
    if (this.#waitingBytes > 0) await this.#flush();
    await this.#client.endParts(this.#key, this.#upload, this.#tags);
    try {
      await this.#client.copy(this.#key, keyOf(digest), size);
    } finally {
      // What cannot be deleted now is swept in a day.
      await this.#client.delete(this.#key).catch((error: unknown) => errorCode(error));
    }
  }

  async #flush(): Promise<void> {
    this.#upload ??= await this.#client.beginParts(this.#key);
    const part = Buffer.concat(this.#waiting);
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#tags.push(await this.#client.putPart(this.#key, this.#upload, this.#tags.length + 1, part));
  }
}

function keyOf(digest: Digest): string {
  // Only the two forms that `isDigest` knows may become a key.
  if (!isDigest(digest)) throw new EngineError('invalid-argument', `invalid digest: ${String(digest)}`);
  return `blobs/${digest.replace(':', '/')}`;
}

async function* nothing(): Bytes {}
