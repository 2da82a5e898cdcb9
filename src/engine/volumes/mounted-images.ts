import type { ChainId } from '../../oci/digest.ts';
import type { ContainerStore } from '../../state/containers.ts';

/** The images that containers have mounted (`--mount type=image`): their layers are kept as long as the container is there. */
export class MountedImages {
  readonly #containers: Pick<ContainerStore, 'list'>;
  /** Container → layers that its create has found, while its record is not written yet. */
  readonly #reserved = new Map<string, ChainId[]>();

  constructor(containers: Pick<ContainerStore, 'list'>) {
    this.#containers = containers;
  }

  *chains(): Generator<ChainId> {
    for (const chains of this.#reserved.values()) yield* chains;
    for (const { mounts } of this.#containers.list()) for (const { image } of mounts) if (image) yield image.chain;
  }

  reserve(containerId: string, chain: ChainId): void {
    this.#reserved.set(containerId, [...(this.#reserved.get(containerId) ?? []), chain]);
  }

  /** The container's record is written, or never will be. */
  unreserve(containerId: string): void {
    this.#reserved.delete(containerId);
  }
}
