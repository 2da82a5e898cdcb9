import { createHash } from 'node:crypto';
import { EngineError } from '../base/errors.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { type Digest, hasherFor } from '../oci/digest.ts';
import type { BlobInfo, Bytes, ContentStore, Ingest } from './content-store.ts';
import { checkContent, writeBlob } from './verified.ts';

/** Blobs in memory: for tests, and for documents made on the way to somewhere else. */
export class MemoryContentStore implements ContentStore {
  readonly #blobs = new Map<Digest, { readonly bytes: Buffer; readonly createdAt: Date }>();
  readonly #left = new Map<string, Buffer>();
  readonly #open = new Set<string>();

  async *read(
    target: Pick<Descriptor, 'digest' | 'size'>,
    options: { offset?: number; signal?: AbortSignal } = {},
  ): Bytes {
    options.signal?.throwIfAborted();
    const blob = this.#blobs.get(target.digest);
    if (!blob) throw new EngineError('not-found', `blob ${target.digest} is not in the store`);
    const rest = blob.bytes.subarray(options.offset ?? 0);
    if (rest.byteLength > 0) yield rest;
    checkContent(target, hasherFor(target.digest).update(blob.bytes), blob.bytes.byteLength);
  }

  async has(target: Pick<Descriptor, 'digest' | 'size'>): Promise<boolean> {
    return this.#blobs.get(target.digest)?.bytes.byteLength === target.size;
  }

  write(target: Pick<Descriptor, 'digest' | 'size'>, body: Bytes, options?: { signal?: AbortSignal }): Promise<void> {
    return writeBlob(this, target, body, options);
  }

  async stat(digest: Digest): Promise<BlobInfo | undefined> {
    const blob = this.#blobs.get(digest);
    return blob && { digest, size: blob.bytes.byteLength, createdAt: blob.createdAt };
  }

  path(digest: Digest): string {
    throw new EngineError('unimplemented', `${digest} is in memory, it has no path`);
  }

  async ingest(name?: string): Promise<Ingest> {
    if (name !== undefined && this.#open.has(name)) {
      throw new EngineError('conflict', `${name} is being written by someone else`);
    }
    if (name !== undefined) this.#open.add(name);
    const chunks = name === undefined ? [] : [this.#left.get(name) ?? Buffer.alloc(0)];
    return new MemoryIngest(chunks, (kept, committed) => {
      if (name !== undefined) {
        this.#open.delete(name);
        if (kept) this.#left.set(name, kept);
        else this.#left.delete(name);
      }
      if (committed) this.#blobs.set(committed.digest, { bytes: committed.bytes, createdAt: new Date() });
    });
  }

  async delete(digest: Digest): Promise<void> {
    this.#blobs.delete(digest);
  }

  async *list(): AsyncIterable<BlobInfo> {
    for (const [digest, { bytes, createdAt }] of this.#blobs) yield { digest, size: bytes.byteLength, createdAt };
  }
}

type Finish = (kept: Buffer | undefined, committed?: { digest: Digest; bytes: Buffer }) => void;

class MemoryIngest implements Ingest {
  readonly #chunks: Uint8Array[];
  readonly #finish: Finish;
  #done = false;

  constructor(chunks: Uint8Array[], finish: Finish) {
    this.#chunks = chunks;
    this.#finish = finish;
  }

  get offset(): number {
    return this.#chunks.reduce((size, chunk) => size + chunk.byteLength, 0);
  }

  async append(...chunks: readonly Uint8Array[]): Promise<void> {
    for (const chunk of chunks) this.#chunks.push(Uint8Array.from(chunk));
  }

  async commit(
    expected: { digest?: Digest; size?: number; announce?: (digest: Digest, size: number) => void } = {},
  ): Promise<BlobInfo> {
    const bytes = Buffer.concat(this.#chunks);
    const target = {
      digest: expected.digest ?? (`sha256:${createHash('sha256').update(bytes).digest('hex')}` as const),
      size: expected.size ?? bytes.byteLength,
    };
    try {
      checkContent(target, hasherFor(target.digest).update(bytes), bytes.byteLength);
      expected.announce?.(target.digest, target.size);
    } catch (error) {
      await this.abort();
      throw error;
    }
    this.#end(undefined, { digest: target.digest, bytes });
    return { ...target, createdAt: new Date() };
  }

  async abort(): Promise<void> {
    this.#end(undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end(Buffer.concat(this.#chunks));
  }

  #end(...outcome: Parameters<Finish>): void {
    if (this.#done) return;
    this.#done = true;
    this.#finish(...outcome);
  }
}
