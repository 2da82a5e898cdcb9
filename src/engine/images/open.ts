import { mkdir } from 'node:fs/promises';
import { FileContentStore } from '../../content/file-content-store.ts';
import type { ChainId, Digest } from '../../oci/digest.ts';
import { hostPlatform } from '../../oci/platform.ts';
import { ImageSignatureStore } from '../../state/image-signatures.ts';
import { ImagePolicy } from '../policy/image-policy.ts';
import { PolicyFile } from '../policy/policy-file.ts';
import { ImageStore } from '../../state/images.ts';
import { LayerStore } from '../../state/layers.ts';
import { Leases } from '../../state/leases.ts';
import { Collector } from '../gc.ts';
import { Images } from './images.ts';
import type { ImageParts } from './parts.ts';

export interface OpenImagesOptions extends Pick<
  ImageParts,
  'db' | 'publish' | 'containers' | 'snapshotter' | 'temporary'
> {
  /** The data root: `blobs/` and `ingest/` are below it. */
  readonly root: string;
  readonly registry?: ImageParts['registry'];
  /** A policy file, which need not be there. */
  readonly policyFile?: string | undefined;
  readonly admit?: () => void;
  readonly trash?: ImageParts['trash'];
  /** Active snapshots that are somebody's besides containers'. */
  readonly otherActive?: () => Iterable<string>;
  readonly used?: (id: string) => void;
  /** As `CollectorParts` has them. */
  readonly otherChains?: () => Iterable<ChainId>;
  readonly keepsChain?: (chain: string) => boolean;
  readonly otherBlobs?: () => Iterable<Digest>;
}

export interface OpenedImages {
  readonly images: Images;
  readonly collector: Collector;
  readonly parts: ImageParts;
}

/**
 * Opens the images of a data root and sweeps what an engine that died left half-made: writes, layers without an image,
 * snapshots that are no container's. `containers` must know all containers already.
 */
export async function openImages(options: OpenImagesOptions): Promise<OpenedImages> {
  const { root, db, snapshotter, temporary, publish, containers, registry, policyFile, ...others } = options;
  await mkdir(temporary, { recursive: true, mode: 0o700 });
  const stores = {
    db,
    snapshotter,
    images: new ImageStore(db),
    layers: new LayerStore(db),
    leases: new Leases(),
    content: await FileContentStore.open(root),
  };
  const { otherBlobs, otherChains, keepsChain, otherActive, admit, used, trash } = others;
  const collector = new Collector({
    ...stores,
    ...(otherBlobs && { otherBlobs }),
    ...(otherChains && { otherChains }),
    ...(keepsChain && { keepsChain }),
  });
  const owned = new Set([...Array.from(containers(), (container) => container.id), ...(otherActive?.() ?? [])]);
  await collector.collectActive((key) => owned.has(key));
  await collector.collectAll();
  const signatures = new ImageSignatureStore(db);
  signatures.prune();
  const parts: ImageParts = {
    ...stores,
    collector,
    ...(admit && { admit }),
    ...(used && { used }),
    trash,
    publish,
    containers,
    registry,
    platform: hostPlatform(),
    policy: new ImagePolicy(policyFile === undefined ? undefined : new PolicyFile(policyFile), signatures),
    temporary,
  };
  return { images: new Images(parts), collector, parts };
}
