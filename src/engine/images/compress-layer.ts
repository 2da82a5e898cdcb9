import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { KeyedMutex } from '../../base/mutex.ts';
import { MEDIA_TYPES } from '../../oci/descriptor.ts';
import type { ChainId, DiffId } from '../../oci/digest.ts';
import type { LayerRecord } from '../../state/layers.ts';
import type { Lease } from '../../state/leases.ts';
import { layerRecord, layerTar } from './layers.ts';
import type { ImageParts } from './parts.ts';

/** Twice as fast as zlib's default here, for some hundredths more bytes. */
const LEVEL = 4;
const COMPRESSING = new KeyedMutex();

/**
 * The layer as registries want it: a compressed blob of the store. One that was made here is compressed the first time
 * and kept, so that the next push finds the same digest at the registry.
 */
export async function compressedLayer(
  parts: Pick<ImageParts, 'snapshotter' | 'content' | 'layers'>,
  diffId: DiffId,
  chain: ChainId,
  { lease, signal }: { lease: Lease; signal?: AbortSignal | undefined },
): Promise<LayerRecord> {
  await using _lock = await COMPRESSING.acquire(diffId);
  const layer = await layerRecord(parts, diffId, chain, signal);
  if (layer.stored) return layer;
  await using ingest = await parts.content.ingest();
  const gzip = createGzip({ level: LEVEL, chunkSize: 256 << 10 });
  await pipeline(
    Readable.from(layerTar(parts, layer, chain, signal), { objectMode: false }),
    gzip,
    async (compressed: AsyncIterable<Buffer>) => {
      for await (const chunk of compressed) await ingest.append(chunk);
    },
    signal ? { signal } : {},
  );
  const announce = (digest: string): void => lease.add('blob', digest);
  const { digest, size } = await ingest.commit({ announce });
  parts.layers.put({ ...layer, blob: { mediaType: MEDIA_TYPES.ociLayerGzip, digest, size }, stored: true });
  return parts.layers.get(diffId)!;
}
