import type { CollectedBlobs } from './repositories.ts';
import type { Digest } from '../../oci/digest.ts';

/** A manifest or index as a repository knows it. */
export interface ManifestRecord {
  readonly digest: Digest;
  readonly mediaType: string;
  /** Bytes. */
  readonly size: number;
  /** Blobs and manifests that it refers to. */
  readonly children: readonly Digest[];
  readonly subject?: Digest | undefined;
  readonly artifactType?: string | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

export interface TagTime {
  readonly tag: string;
  readonly digest: Digest;
  readonly setAt: Date;
  readonly readAt: Date;
}

/**
 * What each repository has of a store that all of them share: whoever may read a repository may read what is linked here,
 * and nothing else of the store. Writing is durable when it resolves; every deletion says whether there was something.
 */
export interface RepositoryLinks {
  /** In the order of their names. */
  repositories(): Promise<string[]>;
  /** In the order of their names; undefined for a repository that there is not. */
  tags(repository: string): Promise<string[] | undefined>;
  tag(repository: string, tag: string): Promise<Digest | undefined>;
  /** When each was put where it is, and last read by someone who pulls it. */
  tagTimes(repository: string): Promise<readonly TagTime[]>;
  /** Someone pulls by that tag. */
  readTag(repository: string, tag: string): Promise<void>;
  /** With `once`, false where the tag is already, wherever it was put from. */
  setTag(repository: string, tag: string, digest: Digest, options?: { readonly once?: boolean }): Promise<boolean>;
  deleteTag(repository: string, tag: string): Promise<boolean>;
  manifest(repository: string, digest: Digest): Promise<ManifestRecord | undefined>;
  /** When it came. */
  manifestTime(repository: string, digest: Digest): Promise<Date | undefined>;
  manifests(repository: string): Promise<ManifestRecord[]>;
  /** `tags` are those that `setTag` is going to put on it. */
  putManifest(repository: string, manifest: ManifestRecord, tags: readonly string[]): Promise<void>;
  /** With the tags on it. */
  deleteManifest(repository: string, digest: Digest): Promise<boolean>;
  /** Manifests whose subject is `digest`, which need not be there itself. */
  referrers(repository: string, digest: Digest): Promise<ManifestRecord[]>;
  hasBlob(repository: string, digest: Digest): Promise<boolean>;
  /** Also says that someone means to use it: see `collect`. */
  linkBlob(repository: string, digest: Digest): Promise<void>;
  unlinkBlob(repository: string, digest: Digest): Promise<boolean>;
  /** Every linked blob, and since when nobody linked it again. */
  blobs(repository: string): Promise<{ readonly digest: Digest; readonly linkedAt: Date }[]>;
}

/** Where blobs have other owners than the registry: what it adds must not be collected by them, nor theirs by it. */
export interface SharedStore {
  /** Keeps blobs until it is disposed of, whether or not something names them. */
  hold(digests: Iterable<Digest>): Disposable;
  /**
   * What is named is all there and held, and nobody sees it yet: a store that makes something of manifests makes it now.
   * Throws `corrupt` for what is not what it says.
   */
  admit(repository: string, manifest: ManifestRecord, tags: readonly string[]): Promise<void>;
  /** Deletes what nothing names any more. */
  collect(): Promise<CollectedBlobs>;
}
