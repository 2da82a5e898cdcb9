import { EngineError } from '../../base/errors.ts';
import type { OperationOptions } from '../../base/operation.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { ChainId, DiffId } from '../../oci/digest.ts';
import type { Lease } from '../../state/leases.ts';
import { chainOver, compressionOf, unpackLayer } from './layers.ts';
import { Gate } from './parallel.ts';
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

/** One layer on its way: `arrived` settles when its blob is in the store. */
interface Coming {
  readonly layer: Descriptor;
  readonly diffId: DiffId;
  readonly chain: ChainId;
  readonly arrived: Promise<void> | undefined;
}

/** Brings the layers of an image: downloads run beside each other, and each is unpacked as soon as those below are. */
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

  const download = async (layer: Descriptor): Promise<void> => {
    let reported = 0;
    const onBytes = (current: number): void => {
      if (Date.now() - reported < REPORT_MS) return;
      reported = Date.now();
      say(layer, 'Downloading', { current, total: layer.size });
    };
    signals.throwIfAborted();
    await fetched.fetchLayer(layer, { signal: signals, onBytes });
    say(layer, 'Verifying Checksum');
    say(layer, 'Download complete');
  };
  const coming = layers.map((layer, index): Coming => {
    const wanted = !present[index];
    if (wanted && index >= MAX_DOWNLOADS) say(layer, 'Waiting');
    const arrived = wanted ? DOWNLOADS.run(() => download(layer)) : undefined;
    // Each is awaited in its turn; a failure before that is no rejection that nobody handles.
    arrived?.catch(() => stop.abort());
    return { layer, diffId: diffIds[index]!, chain: chains[index]!, arrived };
  });
  try {
    let parent: ChainId | undefined;
    for (const { layer, diffId, chain, arrived } of coming) {
      if (arrived) {
        await arrived;
        say(layer, 'Extracting', { current: 0, total: layer.size });
        await unpackLayer(parts, layer, diffId, { parent, lease, signal: signals });
        say(layer, 'Extracting', { current: layer.size, total: layer.size });
        say(layer, 'Pull complete');
      }
      parent = chain;
    }
  } catch (error) {
    stop.abort();
    const ends = await Promise.allSettled(coming.flatMap(({ arrived }) => arrived ?? []));
    // The one that failed by itself, not those that ended because of it.
    const causes = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []));
    const cause = causes.find((one) => !signals.aborted || (one as Error | null)?.name !== 'AbortError');
    throw signal?.aborted ? error : (cause ?? error);
  }
}
