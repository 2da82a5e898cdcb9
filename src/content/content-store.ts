import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';

/** A stream of bytes with the reader's own pace. */
export type Bytes = AsyncIterable<Uint8Array>;

/** Anything blobs can be read from: the local store, a remote repository, a tar archive. */
export interface ContentSource {
  /** Streams `target` from byte `offset`; the bytes are verified and the last read throws `corrupt` if they lie. Throws `not-found`. */
  read(target: Pick<Descriptor, 'digest' | 'size'>, options?: { offset?: number; signal?: AbortSignal }): Bytes;
}

/** Anything blobs can be written to. */
export interface ContentSink {
  has(target: Pick<Descriptor, 'digest' | 'size'>): Promise<boolean>;
  /** Idempotent: success means "the content is there", not "I wrote it". Throws `corrupt` when `body` is not `target`. */
  write(target: Pick<Descriptor, 'digest' | 'size'>, body: Bytes, options?: { signal?: AbortSignal }): Promise<void>;
}

/** Immutable blobs named by their digest, kept as files under `blobs/<algorithm>/<hex>`. */
export interface ContentStore extends ContentSource, ContentSink {
  stat(digest: Digest): Promise<BlobInfo | undefined>;
  /** Where the blob's bytes are, for readers that want the file itself (sendfile, workers). Throws `not-found`. */
  path(digest: Digest): string;
  /**
   * Opens the write called `name`, continuing one that a crash or a client left behind; without a name it is a write that
   * nobody continues. Throws `conflict` while the same name is open.
   */
  ingest(name?: string): Promise<Ingest>;
  /**
   * Idempotent. The caller has checked that nothing refers to it (see `engine/gc.ts`): the blob is out of sight before
   * this returns its promise, so that check and deletion are one step.
   */
  delete(digest: Digest): Promise<void>;
  list(): AsyncIterable<BlobInfo>;
}

/** A blob being written. Disposing keeps what was written under a name, so that the same name can go on. */
export interface Ingest extends AsyncDisposable {
  /** Bytes written so far. */
  readonly offset: number;
  /** Where it is written, for readers that follow it; it has another name once it is committed. Undefined where there is no file. */
  readonly file?: string;
  /** One call at a time. */
  append(...chunks: readonly Uint8Array[]): Promise<void>;
  /**
   * Verifies, syncs, renames and syncs the directory: after this the blob survives a power cut, before it nobody sees it.
   * Throws `corrupt` when the bytes are not `expected`; what was written is gone then.
   * `announce` is called with the digest right before the blob becomes visible: the moment to put a lease on it.
   */
  commit(expected?: {
    digest?: Digest;
    size?: number;
    announce?: (digest: Digest, size: number) => void;
  }): Promise<BlobInfo>;
  abort(): Promise<void>;
}

export interface BlobInfo {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly createdAt: Date;
}
