import { availableParallelism } from 'node:os';
import { EngineError, errorCode } from '../../base/errors.ts';
import type { OperationOptions } from '../../base/operation.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { ChainId, DiffId } from '../../oci/digest.ts';
import type { Lease } from '../../state/leases.ts';
import { LayerTap } from './layer-tap.ts';
import { type IncomingBlob, makeIncomingLayer } from './incoming-layer.ts';
import { chainOver, compressionOf } from './layers.ts';
import { Gate } from '../../base/gate.ts';
import type { ImageParts } from './parts.ts';
import type { FetchedImage } from './registry-access.ts';

/** As many as Docker downloads at once, of all pulls together. */
const MAX_DOWNLOADS = 3;
const REPORT_MS = 100;
/** Layers of one pull that are unpacked beside each other: each keeps a thread and a core busy. */
const MAX_UNPACKINGS = Math.min(availableParallelism(), 3);
const DOWNLOADS = new Gate(MAX_DOWNLOADS);

export interface PullLayersOptions extends OperationOptions {
  readonly fetched: FetchedImage;
  readonly lease: Lease;
}

/**
 * Brings the layers of an image: downloads run beside each other, and each is unpacked while it comes where a core may do
 * that, whether those below are there or not; in their order they are put over each other.
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
  const unpacking = new Gate(MAX_UNPACKINGS);
  const ends: Promise<void>[] = [];
  const arrivals: Promise<void>[] = [];
  for (const [index, layer] of layers.entries()) {
    const below = ends.at(-1) ?? Promise.resolve();
    if (present[index]) {
      ends.push(below);
      continue;
    }
    if (index >= MAX_DOWNLOADS) say(layer, 'Waiting');
    const fetch = async (): Promise<IncomingBlob> => {
      const begun = Promise.withResolvers<LayerTap | undefined>();
      const arrived = DOWNLOADS.run(() => {
        const place = unpacking.tryEnter();
        const tap = place && new LayerTap(place);
        begun.resolve(tap);
        return download(layer, tap);
      });
      arrivals.push(arrived);
      // Awaited in its turn; a failure before that is no rejection that nobody handles.
      arrived.catch((error: unknown) => {
        stop.abort();
        begun.reject(error);
      });
      return { bytes: await begun.promise, arrived };
    };
    const make = async (): Promise<void> => {
      await makeIncomingLayer(parts, layer, diffIds[index]!, {
        parent: chains[index - 1],
        position: index,
        lease,
        signal: signals,
        below,
        fetch,
        unpacking,
        onUnpack: () => say(layer, 'Extracting', { current: 0, total: layer.size }),
      });
      await below;
      say(layer, 'Extracting', { current: layer.size, total: layer.size });
      say(layer, 'Pull complete');
    };
    const end = make();
    end.catch(() => stop.abort());
    ends.push(end);
  }
  const made = await Promise.allSettled(ends);
  // Nothing is written any more when this ends. That a blob is another one says more than that it cannot be unpacked.
  const settled = [...(await Promise.allSettled(arrivals)), ...made];
  const causes = settled.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []));
  // The one that failed by itself, not those that ended because of it.
  if (causes.length > 0) throw causes.find((one) => errorCode(one) !== 'cancelled') ?? causes[0];
  // What is recorded afterwards is on the disk: one wait for all, and for what another pull has not waited for yet.
  await parts.snapshotter.sync(chains);
}
