import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createGzip, createZstdCompress } from 'node:zlib';
import type { Bytes } from '../../../content/content-store.ts';
import { type Descriptor, MEDIA_TYPES } from '../../../oci/descriptor.ts';
import type { ChainId, DiffId } from '../../../oci/digest.ts';
import type { Lease } from '../../../state/leases.ts';
import { compressedLayer } from '../../images/compress-layer.ts';
import { compressionOf, layerRecord, layerTar } from '../../images/layers.ts';
import type { ImageParts } from '../../images/parts.ts';
import { decompress } from '../../../content/compression.ts';
import type { ImageForm, LayerCompression } from './output.ts';

/** A blob that an image refers to, wherever it is. */
export interface ImageBlob {
  readonly descriptor: Descriptor;
  readonly open: (options?: { readonly offset?: number; readonly signal?: AbortSignal }) => Bytes;
}

const TYPES: Readonly<Record<LayerCompression, string>> = {
  uncompressed: MEDIA_TYPES.ociLayer,
  gzip: MEDIA_TYPES.ociLayerGzip,
  zstd: MEDIA_TYPES.ociLayerZstd,
};

/**
 * A layer as the form wants it. A layer that has a blob keeps it, whatever it is compressed with, unless the form forces
 * another; one without is compressed and the blob kept. What was compressed only for this output lives as long as `lease`.
 */
export async function layerBlob(
  parts: Pick<ImageParts, 'snapshotter' | 'content' | 'layers'>,
  layer: { readonly diffId: DiffId; readonly chain: ChainId },
  {
    form,
    lease,
    signal,
  }: { readonly form: ImageForm; readonly lease: Lease; readonly signal?: AbortSignal | undefined },
): Promise<ImageBlob> {
  const { diffId, chain } = layer;
  const record = await layerRecord(parts, diffId, chain, signal);
  const wanted = form.compression ?? 'gzip';
  const has = record.stored ? nameOf(compressionOf(record.blob.mediaType)) : undefined;
  if (has !== undefined && (has === wanted || !form.force)) return stored(parts, record.blob, lease);
  if (wanted === 'gzip' && !record.stored && form.level === undefined)
    return stored(parts, (await compressedLayer(parts, diffId, chain, { lease, signal })).blob, lease);
  const plain = (): Bytes => {
    const tar = layerTar(parts, record, chain, signal);
    return record.stored ? decompress(tar) : tar;
  };
  if (wanted === 'uncompressed') {
    if (record.stored) return keep(parts, plain(), TYPES.uncompressed, { lease, signal });
    const descriptor = { mediaType: TYPES.uncompressed, digest: record.blob.digest, size: record.blob.size };
    return { descriptor, open: plain };
  }
  const blob = await keep(parts, plain(), TYPES[wanted], {
    lease,
    signal,
    compress: { how: wanted, level: form.level },
  });
  if (!record.stored) parts.layers.put({ ...record, blob: blob.descriptor, stored: true });
  return blob;
}

function stored(parts: Pick<ImageParts, 'content'>, blob: Descriptor, lease: Lease): ImageBlob {
  const { digest, size, mediaType } = blob;
  lease.add('blob', digest);
  return { descriptor: { mediaType, digest, size }, open: (options) => parts.content.read(blob, options) };
}

async function keep(
  parts: Pick<ImageParts, 'content'>,
  source: Bytes,
  mediaType: string,
  {
    lease,
    signal,
    compress,
  }: {
    readonly lease: Lease;
    readonly signal?: AbortSignal | undefined;
    readonly compress?: { readonly how: 'gzip' | 'zstd'; readonly level: number | undefined };
  },
): Promise<ImageBlob> {
  await using ingest = await parts.content.ingest();
  const sink = async (chunks: AsyncIterable<Buffer>): Promise<void> => {
    for await (const chunk of chunks) await ingest.append(chunk);
  };
  const input = Readable.from(source, { objectMode: false });
  const how = signal ? { signal } : {};
  if (compress) await pipeline(input, compressor(compress), sink, how);
  else await pipeline(input, sink, how);
  const { digest, size } = await ingest.commit({ announce: (made) => lease.add('blob', made) });
  const descriptor = { mediaType, digest, size };
  return { descriptor, open: (options) => parts.content.read(descriptor, options) };
}

function compressor({ how, level }: { readonly how: 'gzip' | 'zstd'; readonly level: number | undefined }) {
  const chunkSize = 256 << 10;
  if (how === 'gzip') return createGzip({ chunkSize, level: Math.min(9, Math.max(-1, level ?? 6)) });
  return createZstdCompress({
    chunkSize,
    params: { [constants.ZSTD_c_compressionLevel]: Math.min(22, Math.max(1, level ?? 3)) },
  });
}

function nameOf(compression: string): LayerCompression | undefined {
  return compression === 'none'
    ? 'uncompressed'
    : compression === 'gzip' || compression === 'zstd'
      ? compression
      : undefined;
}
