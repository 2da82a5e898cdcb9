import type { ContentStore } from '../../content/content-store.ts';
import type { Platform } from '../../oci/descriptor.ts';
import type { Snapshotter } from '../../snapshot/snapshotter.ts';
import type { Database } from '../../state/database.ts';
import type { ImageStore } from '../../state/images.ts';
import type { LayerStore } from '../../state/layers.ts';
import type { Leases } from '../../state/leases.ts';
import type { Collector } from '../gc.ts';
import type { Trash } from '../trash/trash.ts';
import type { ImagePolicy } from '../policy/image-policy.ts';
import type { RegistryAccess } from './registry-access.ts';

/** What images are made of and stand on; given by `engine/open.ts`. */
export interface ImageParts {
  readonly db: Database;
  readonly images: ImageStore;
  readonly layers: LayerStore;
  readonly leases: Leases;
  readonly content: ContentStore;
  readonly snapshotter: Snapshotter;
  readonly collector: Collector;
  /** Says that something happened to an image. */
  readonly publish: (action: string, id: string, attributes: Record<string, string>) => void;
  /** Before something is made that takes room. Throws `no-space`. */
  readonly admit?: () => void;
  /** Where removed ones go; undefined: nowhere. */
  readonly trash?: Pick<Trash, 'ticket' | 'put'> | undefined;
  /** Told of each image that is about to be used. */
  readonly used?: (id: string) => void;
  /** Every container, running or not, with the image it was made from. */
  readonly containers: () => Iterable<ImageUser>;
  /** Undefined: only images that are made here can be had. */
  readonly registry: RegistryAccess | undefined;
  readonly platform: Platform;
  readonly policy: ImagePolicy;
  /** A directory on the data root's disk for what is being made; emptied when the engine starts. */
  readonly temporary: string;
}

export interface ImageUser {
  readonly id: string;
  readonly imageId: string;
  readonly running: boolean;
}
