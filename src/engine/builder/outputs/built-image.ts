import type { Platform } from '../../../oci/descriptor.ts';
import type { ChainId, Digest } from '../../../oci/digest.ts';
import type { ImageConfig } from '../../../oci/image.ts';

/** What a build made for one platform: an image's document, whose layers are snapshots under the build's lease. */
export interface BuiltImage {
  readonly platform: Platform;
  /** Digest of `text`. */
  readonly id: Digest;
  readonly text: string;
  readonly config: ImageConfig;
  readonly chain: ChainId | undefined;
  /** Statements about it, in the form of in-toto; made when it is known what they are about. */
  readonly attestations?: readonly Attestation[];
}

export interface Attestation {
  /** `https://slsa.dev/provenance/v1`, `https://spdx.dev/Document` */
  readonly predicateType: string;
  readonly predicate: unknown;
}
