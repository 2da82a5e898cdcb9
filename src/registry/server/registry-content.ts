import type { Bytes, ContentStore } from '../../content/content-store.ts';
import type { Digest } from '../../oci/digest.ts';

/** Where a registry's blobs are: files, or objects somewhere else. */
export interface RegistryContent extends Omit<ContentStore, 'path'> {
  /** The file of a blob; where there is none, `stream` is. */
  path?(digest: Digest): string;
  /** Bytes from `start` to `end`, both included. */
  stream?(digest: Digest, range: { readonly start: number; readonly end: number }): Bytes;
  /** Where a client may fetch the blob by itself, for a while; undefined when it is to come through us. */
  url?(digest: Digest): URL | undefined;
}
