import { errorMessage } from '../../../base/errors.ts';
import type { ChainId, Digest } from '../../../oci/digest.ts';
import type { ImageConfig } from '../../../oci/image.ts';
import type { BuildRecord } from '../../../state/build-records.ts';
import type { Layer } from '../../images/layers.ts';
import type { CacheImport, ImportedStep } from '../step-cache.ts';
import type { Lease } from '../../../state/leases.ts';

/** An image whose steps may be ours: its document, and its layers as they are wanted. */
export interface HistoryImage {
  readonly name: string;
  readonly config: ImageConfig;
  /** Makes layer `index` on `parent`. */
  layer(index: number, parent: ChainId | undefined, lease: Lease): Promise<Layer>;
}

/** Inputs that a command's text in the history says all of. */
const IN_TEXT = /^(?:command|ARG .*)$/;

/**
 * The steps of an image that was named as a cache (`--cache-from`, the classic API's `cachefrom`). A RUN of it stands for
 * ours only when the image has, from its base on, exactly our layers below it and our steps: the same texts in the history.
 * What an image claims of a parent is not looked at, and files that were copied are compared by what they are: a COPY is
 * made, and when it gives the image's layer, the commands after it may be taken from there.
 */
export class HistoryImport implements CacheImport {
  readonly #image: HistoryImage;
  readonly #warn: (message: string) => void;

  constructor(image: HistoryImage, warn: (message: string) => void) {
    this.#image = image;
    this.#warn = warn;
  }

  async find(
    key: Digest,
    { parent, lease, step }: Parameters<CacheImport['find']>[1],
  ): Promise<BuildRecord | undefined> {
    if (step.kind !== 'RUN' || !step.inputs.every(({ name }) => IN_TEXT.test(name))) return undefined;
    const { config } = this.#image;
    const below = step.state.diffIds;
    const diffIds = config.rootfs.diff_ids;
    if (diffIds.length <= below.length || !below.every((id, index) => id === diffIds[index])) return undefined;
    const entry = sameStep(config, step);
    if (!entry) return undefined;
    try {
      const made = await this.#image.layer(below.length, parent, lease);
      return {
        key,
        parent: step.state.key,
        text: step.text,
        layer: { chain: made.chain, diffId: made.diffId, size: made.size },
        createdAt: step.createdAt ?? entry.created ?? new Date(0).toISOString(),
        usedAt: Date.now(),
        uses: 1,
        slot: step.slot,
        inputs: step.inputs,
      };
    } catch (error) {
      this.#warn(`cache ${this.#image.name}: ${errorMessage(error)}`);
      return undefined;
    }
  }
}

/** The entry of the image's history that is this step, when all before it are ours too. */
function sameStep(config: ImageConfig, step: ImportedStep): { readonly created?: string } | undefined {
  const theirs = config.history ?? [];
  const ours = step.state.history;
  if (theirs.length <= ours.length) return undefined;
  let index = 0;
  for (const entry of ours) {
    const other = theirs[index++]!;
    if ((entry.empty_layer ?? false) !== (other.empty_layer ?? false)) return undefined;
    // Of files the layer says more than the text, which names them in one way here and in another there.
    if (entry.empty_layer === true && plain(entry.created_by) !== plain(other.created_by)) return undefined;
  }
  const entry = theirs[ours.length]!;
  return entry.empty_layer !== true && plain(entry.created_by) === plain(step.text) ? entry : undefined;
}

/** The command in a history entry, whichever builder wrote it. */
function plain(text = ''): string {
  return text
    .replace(/ # buildkit$/, '')
    .replace(/^\/bin\/sh -c #\(nop\) +/, '')
    .replace(/^RUN /, '')
    .trim();
}
