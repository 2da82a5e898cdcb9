import { rm } from 'node:fs/promises';
import { EngineError } from '../../base/errors.ts';
import type { ChainId } from '../../oci/digest.ts';
import { diskUsage } from '../../snapshot/disk-usage.ts';
import type { TrashContent } from '../../state/trash-records.ts';
import type { TrashShelf } from '../trash/trash.ts';
import { type ContainerContext, publishContainerEvent } from './context.ts';
import { refuseTakenName } from './create.ts';
import { presentAuthor, withFact } from './facts.ts';
import { containerDirectory } from './networked.ts';

/** Removed containers: their own layer, log and files are where they were. */
export class ContainerShelf implements TrashShelf<Extract<TrashContent, { kind: 'container' }>> {
  readonly #context: ContainerContext;
  /** Brings back volumes of these names that are in the trash. */
  readonly #restoreVolumes: (names: readonly string[]) => Promise<void>;
  /** Its image may be gone: then the layers that it stood on go, too. */
  readonly #collect: (chain: ChainId | undefined) => Promise<void>;

  constructor(
    context: ContainerContext,
    others: {
      readonly restoreVolumes: (names: readonly string[]) => Promise<void>;
      readonly collect: (chain: ChainId | undefined) => Promise<void>;
    },
  ) {
    this.#context = context;
    this.#restoreVolumes = others.restoreVolumes;
    this.#collect = others.collect;
  }

  async size({ record }: Extract<TrashContent, { kind: 'container' }>): Promise<number> {
    const own = await this.#context.snapshots.usage(record.id);
    const directory = containerDirectory(this.#context, record.id);
    const files = await diskUsage(directory).catch(() => ({ bytes: 0 }));
    return own.bytes + files.bytes;
  }

  async dispose({ record: { id, chain } }: Extract<TrashContent, { kind: 'container' }>): Promise<void> {
    if (this.#context.snapshots.stat(id)) await this.#context.snapshots.remove(id);
    await rm(containerDirectory(this.#context, id), { recursive: true, force: true });
    await this.#collect(chain);
  }

  async restore({ record }: Extract<TrashContent, { kind: 'container' }>, taken: () => void): Promise<void> {
    const { id, name } = record;
    const context = this.#context;
    refuseTakenName(context, name);
    if (!context.snapshots.stat(id)) throw new EngineError('corrupt', `the files of container ${name} are gone`);
    await this.#restoreVolumes(record.mounts.flatMap(({ point }) => (point.Type === 'volume' ? [point.Name!] : [])));
    await context.locks.run(id, async () => {
      refuseTakenName(context, name);
      const { ids: _, ...kept } = record;
      // its old ids may be another's by now; on the disk its files have its own
      const ids = record.ids && context.idsFor(record.hostConfig);
      const restored = withFact(
        { ...kept, ...(ids && { ids }), attachment: undefined },
        { Kind: 'restored', By: presentAuthor() },
      );
      context.store.restore(restored, taken);
      publishContainerEvent(context, restored, 'create');
    });
  }
}
