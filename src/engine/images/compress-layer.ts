import { errorCode, errorMessage } from '../../base/errors.ts';
import { releaseBytes } from '../../base/release-bytes.ts';
import { KeyedMutex } from '../../base/mutex.ts';
import { GrowingBlob } from '../../content/growing-blob.ts';
import { MEDIA_TYPES } from '../../oci/descriptor.ts';
import type { ChainId, DiffId } from '../../oci/digest.ts';
import { compressLayer } from '../../snapshot/diff-layer.ts';
import type { LayerRecord } from '../../state/layers.ts';
import type { Lease } from '../../state/leases.ts';
import { damaged } from './layers.ts';
import type { ImageParts } from './parts.ts';

/** Less than this is made sooner than anybody could begin to read it. */
const GROWING_BYTES = 4 << 20;

const COMPRESSING = new KeyedMutex();

/**
 * The layer as registries want it: a compressed blob of the store. One that was made here is compressed the first time
 * and kept, so that the next push finds the same digest at the registry. Throws `corrupt` when its files were changed.
 */
export async function compressedLayer(
  parts: Pick<ImageParts, 'snapshotter' | 'content' | 'layers'>,
  diffId: DiffId,
  chain: ChainId,
  {
    lease,
    signal,
    onGrowing,
  }: {
    lease: Lease;
    signal?: AbortSignal | undefined;
    /** Gets a large blob while it is made, and disposes of it. */
    onGrowing?: ((blob: GrowingBlob) => void) | undefined;
  },
): Promise<LayerRecord> {
  await using _lock = await COMPRESSING.acquire(diffId);
  const known = parts.layers.get(diffId);
  if (known?.stored) {
    lease.add('blob', known.blob.digest);
    return known;
  }
  await using ingest = await parts.content.ingest();
  let growing: GrowingBlob | undefined;
  try {
    for await (const chunk of compressLayer(parts.snapshotter.changesDir(chain), diffId, { signal })) {
      await ingest.append(chunk);
      releaseBytes(chunk);
      if (onGrowing && !growing && ingest.file !== undefined && ingest.offset >= GROWING_BYTES) {
        onGrowing((growing = await GrowingBlob.open(ingest.file)));
      }
      growing?.grow(ingest.offset);
    }
    growing?.end();
  } catch (error) {
    growing?.fail(error);
    throw errorCode(error) === 'corrupt' ? damaged(diffId, errorMessage(error)) : error;
  }
  const announce = (digest: string): void => lease.add('blob', digest);
  const { digest, size } = await ingest.commit({ announce });
  const blob = { mediaType: MEDIA_TYPES.ociLayerGzip, digest, size };
  const content = known?.size ?? parts.snapshotter.stat(chain)!.layer!.size;
  parts.layers.put({ diffId, blob, stored: true, size: content });
  return parts.layers.get(diffId)!;
}
