import type { AuthConfig } from '../../api/auth.ts';
import type { Filters } from '../../api/filters.ts';
import type { OperationOptions } from '../../base/operation.ts';
import type { Bytes, ContentSource, ContentStore } from '../../content/content-store.ts';
import type { Descriptor, Platform } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import type { Reference } from '../../oci/reference.ts';
import type { Signature } from '../../registry/signature/payload.ts';
import type { LayerTap } from './layer-tap.ts';
import type { Lease } from '../../state/leases.ts';

/** What images need of registries. What it fetches is in the store and leased when it resolves; records are made by `Images`. */
export interface RegistryAccess {
  /**
   * Copies the manifest for `platform` and its config into `content`, putting every digest on `lease` before it is written;
   * the layers come with `fetchLayer`. Throws `not-found`, `unauthorized`, `unavailable`, `corrupt`, in Docker's words.
   */
  fetch(reference: Reference, options: FetchOptions): Promise<FetchedImage>;
  /** The tags of a repository, for `pull --all-tags`. */
  tags(reference: Reference, options: RegistryOptions): Promise<string[]>;
  /** Copies `manifest` and all it refers to from `source` to the registry, and names it there. */
  push(
    reference: Reference,
    manifest: Descriptor | Promise<Descriptor>,
    source: ContentSource,
    options: PushToOptions,
  ): Promise<void>;
  /** The repository itself, for documents that are no images. */
  open(reference: Reference, options: RegistryOptions): Promise<OpenRepository>;
  /** All signatures that a mirror or the registry has of these manifests; nothing is verified. */
  signatures(reference: Reference, digests: readonly Digest[], options: RegistryOptions): Promise<Signature[]>;
  search(
    term: string,
    options: RegistryOptions & { readonly limit?: number; readonly filters?: Filters },
  ): Promise<Record<string, unknown>[]>;
  distribution(reference: Reference, options: RegistryOptions): Promise<Record<string, unknown>>;
}

export interface OpenRepository extends ContentSource {
  /** By tag or digest. Throws `not-found`. */
  manifest(reference: string): Promise<{ readonly descriptor: Descriptor; readonly bytes: Buffer }>;
}

export interface RegistryOptions extends OperationOptions {
  readonly auth?: AuthConfig | undefined;
}

export interface PushToOptions extends RegistryOptions {
  /** What people call the blobs: the beginning of the layer's diff id, by digest. */
  readonly names?: ReadonlyMap<string, string>;
  /** Layers that are sent while they are made and the manifest is still to come: it must name them. Each is another blob. */
  readonly early?: readonly LayerInTheMaking[];
  /** What the source reads of layers is read anew for each reader, who may give up its memory. */
  readonly ownBytes?: boolean;
  /** Repositories of the same registry that may have a blob already. */
  readonly mountFrom?: (blob: Descriptor) => readonly string[];
}

/** A layer whose blob is being made. */
export interface LayerInTheMaking {
  /** What people call it, before its blob has a digest. */
  readonly name: string;
  /** In the source once it resolves. */
  readonly blob: Promise<Descriptor>;
  /** Resolves, as soon as there is so much that it is worth while, to what reads the bytes as they are made; undefined when the blob is there first. */
  readonly growing: Promise<(() => Bytes) | undefined>;
}

export interface FetchOptions extends RegistryOptions {
  readonly platform: Platform;
  readonly content: ContentStore;
  readonly lease: Lease;
}

export interface FetchedImage {
  /** What the registry calls by the name: a manifest, or the index that `manifest` was chosen from. */
  readonly target: Descriptor;
  readonly manifest: Descriptor;
  /** Copies a layer of `manifest` into `content`. Idempotent; `onBytes` is told how much of it is there. */
  fetchLayer(
    layer: Descriptor,
    options?: {
      readonly signal?: AbortSignal | undefined;
      readonly onBytes?: (bytes: number) => void;
      /** Gets the bytes as they come; fails when it cannot have all of them, because a part was here before. */
      readonly tap?: LayerTap | undefined;
    },
  ): Promise<void>;
}
