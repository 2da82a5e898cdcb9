import { EngineError, errorCode } from '../../base/errors.ts';
import type { OperationOptions } from '../../base/operation.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { ChainId, DiffId } from '../../oci/digest.ts';
import type { Lease } from '../../state/leases.ts';
import { LayerTap } from './layer-tap.ts';
import { chainOver, compressionOf, unpackLayer } from './layers.ts';
import { Gate } from '../../base/gate.ts';
import type { ImageParts } from './parts.ts';
import type { FetchedImage } from './registry-access.ts';

/** As many as Docker downloads at once, of all pulls together. */
const MAX_DOWNLOADS = 3;
const REPORT_MS = 100;
const DOWNLOADS = new Gate(MAX_DOWNLOADS);

export interface PullLayersOptions extends OperationOptions {
  readonly fetched: FetchedImage;
  readonly lease: Lease;
}

/** One layer on its way: `arrived` settles when its blob is in the store, `begun` when the first bytes are asked for. */
interface Coming {
  readonly layer: Descriptor;
  readonly diffId: DiffId;
  readonly chain: ChainId;
  readonly arrived: Promise<void> | undefined;
  readonly begun: Promise<LayerTap | undefined> | undefined;
}

/**
 * Brings the layers of an image: downloads run beside each other, and each is unpacked as soon as those below are; the one
 * whose turn it is when it begins while it comes, in the same pass.
 */
export async function pullLayers(
  parts: ImageParts,
  layers: readonly Descriptor[],
  diffIds: readonly DiffId[],
  { fetched, lease, signal, onProgress }: PullLayersOptions,
): Promise<void> {
  if (diffIds.length !== layers.length) {
    throw new EngineError(
      'corrupt',
      `invalid manifest, layers length mismatch: expected ${layers.length}, got ${diffIds.length}`,
    );
  }
  // What cannot be unpacked is not worth downloading.
  for (const { mediaType } of layers) compressionOf(mediaType);
  const stop = new AbortController();
  const signals = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const say = (layer: Descriptor, status: string, more: { current?: number; total?: number } = {}): void =>
    onProgress?.({ id: layer.digest.slice(7, 19), status, ...more });

  let below: ChainId | undefined;
  const chains = diffIds.map((diffId) => (below = chainOver(below, diffId)));
  for (const chain of chains) lease.add('snapshot', chain);
  const present = chains.map((chain) => parts.snapshotter.stat(chain)?.layer !== undefined);
  for (const [index, layer] of layers.entries()) say(layer, present[index] ? 'Already exists' : 'Pulling fs layer');

  /** The layer that is unpacked next, or is being: the layers below it are there. */
  let next = present.indexOf(false);
  const download = async (layer: Descriptor, tap: LayerTap | undefined): Promise<void> => {
    let reported = -Infinity;
    const onBytes = (current: number): void => {
      if (performance.now() - reported < REPORT_MS) return;
      reported = performance.now();
      say(layer, 'Downloading', { current, total: layer.size });
    };
    try {
      signals.throwIfAborted();
      await fetched.fetchLayer(layer, { signal: signals, onBytes, tap });
    } catch (error) {
      tap?.fail(error);
      throw error;
    }
    tap?.fail(new Error('it did not come this way'));
    say(layer, 'Verifying Checksum');
    say(layer, 'Download complete');
  };
  const coming = layers.map((layer, index): Coming => {
    const known = { layer, diffId: diffIds[index]!, chain: chains[index]! };
    if (present[index]) return { ...known, arrived: undefined, begun: undefined };
    if (index >= MAX_DOWNLOADS) say(layer, 'Waiting');
    const begun = Promise.withResolvers<LayerTap | undefined>();
    const arrived = DOWNLOADS.run(() => {
      const tap = index === next ? new LayerTap() : undefined;
      begun.resolve(tap);
      return download(layer, tap);
    });
    // Each is awaited in its turn; a failure before that is no rejection that nobody handles.
    arrived.catch(() => stop.abort());
    return { ...known, arrived, begun: begun.promise };
  });
  try {
    let parent: ChainId | undefined;
    const ends: Promise<void>[] = [];
    for (const [index, { layer, diffId, chain, arrived, begun }] of coming.entries()) {
      if (arrived) {
        next = index;
        const how = { parent, lease, signal: signals, sync: false };
        const tap = await begun;
        let done = false;
        if (tap) {
          // One that cannot have all of the bytes leaves it to the blob, as soon as that is whole.
          done = await unpackLayer(parts, layer, diffId, { ...how, bytes: tap }).then(
            () => true,
            async (error: unknown) => {
              if (errorCode(error) !== 'internal') throw error;
              return false;
            },
          );
        }
        const complete = (): void => {
          say(layer, 'Extracting', { current: layer.size, total: layer.size });
          say(layer, 'Pull complete');
        };
        if (done) {
          // The next one need not wait until this one's blob is on the disk.
          const told = arrived.then(complete);
          told.catch(() => {});
          ends.push(told);
        } else {
          await arrived;
          say(layer, 'Extracting', { current: 0, total: layer.size });
          await unpackLayer(parts, layer, diffId, how);
          complete();
        }
      }
      parent = chain;
    }
    await Promise.all(ends);
    // What is recorded afterwards is on the disk: one wait for all, and for what another pull has not waited for yet.
    await parts.snapshotter.sync(chains);
  } catch (error) {
    stop.abort();
    const ends = await Promise.allSettled(coming.flatMap(({ arrived }) => arrived ?? []));
    // The one that failed by itself, not those that ended because of it.
    const causes = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []));
    const cause = causes.find((one) => !signals.aborted || (one as Error | null)?.name !== 'AbortError');
    throw signal?.aborted ? error : (cause ?? error);
  }
}
