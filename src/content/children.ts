import { EngineError } from '../base/errors.ts';
import { type Descriptor, MEDIA_TYPES } from '../oci/descriptor.ts';
import { isDigest } from '../oci/digest.ts';
import type { ImageIndex, ImageManifest } from '../oci/image.ts';
import type { Bytes, ContentSource } from './content-store.ts';

/** Bytes of the largest manifest, index or config that is read; distribution's own limit. */
export const MAX_DOCUMENT_BYTES = 4 * 1024 * 1024;
/** Descriptors in one manifest or index. */
export const MAX_CHILDREN = 1000;

/** What `target` refers to directly: an index's manifests, a manifest's config and layers, nothing for any other type. */
export async function childrenOf(
  source: ContentSource,
  target: Descriptor,
  signal?: AbortSignal,
): Promise<Descriptor[]> {
  if (isIndex(target.mediaType)) return [...parseIndex(await readDocument(source, target, signal)).manifests];
  if (!isManifest(target.mediaType)) return [];
  const manifest = parseManifest(await readDocument(source, target, signal));
  return [manifest.config, ...manifest.layers];
}

export function isIndex(mediaType: string): boolean {
  return mediaType === MEDIA_TYPES.ociIndex || mediaType === MEDIA_TYPES.dockerIndex;
}

export function isManifest(mediaType: string): boolean {
  return mediaType === MEDIA_TYPES.ociManifest || mediaType === MEDIA_TYPES.dockerManifest;
}

/** The whole of a small blob. Throws `too-large` beyond 4 MiB, `corrupt` when the bytes are not `target`. */
export async function readDocument(
  source: ContentSource,
  target: Pick<Descriptor, 'digest' | 'size'>,
  signal?: AbortSignal,
): Promise<Buffer> {
  if (target.size > MAX_DOCUMENT_BYTES) throw tooLarge(target.digest);
  return collect(source.read(target, signal ? { signal } : {}), MAX_DOCUMENT_BYTES, target.digest);
}

/** Throws `too-large` when there are more than `limit` bytes; `what` is for the message. */
export async function collect(bytes: Bytes, limit: number, what: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of bytes) {
    size += chunk.byteLength;
    if (size > limit) throw tooLarge(what, limit);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Throws `corrupt`. A document that is both manifest and index is refused: what it means depends on who reads it. */
export function parseManifest(bytes: Uint8Array): ImageManifest {
  const document = parseDocument(bytes, 'manifest');
  if ('manifests' in document) throw new EngineError('corrupt', 'invalid manifest: it has both layers and manifests');
  const { config, layers } = document as { config?: unknown; layers?: unknown };
  if (
    document['schemaVersion'] !== 2 ||
    !isDescriptor(config) ||
    !Array.isArray(layers) ||
    !layers.every(isDescriptor)
  ) {
    throw new EngineError('corrupt', 'invalid manifest: want schemaVersion 2 with a config and layers');
  }
  limitChildren(layers.length, 'manifest');
  return document as unknown as ImageManifest;
}

/** Throws `corrupt`. */
export function parseIndex(bytes: Uint8Array): ImageIndex {
  const document = parseDocument(bytes, 'index');
  if ('layers' in document || 'config' in document) {
    throw new EngineError('corrupt', 'invalid index: it has both manifests and layers');
  }
  const { manifests } = document as { manifests?: unknown };
  if (document['schemaVersion'] !== 2 || !Array.isArray(manifests) || !manifests.every(isDescriptor)) {
    throw new EngineError('corrupt', 'invalid index: want schemaVersion 2 with manifests');
  }
  limitChildren(manifests.length, 'index');
  return document as unknown as ImageIndex;
}

export function isDescriptor(value: unknown): value is Descriptor {
  if (typeof value !== 'object' || value === null) return false;
  const { mediaType, digest, size } = value as Partial<Descriptor>;
  return (
    typeof mediaType === 'string' &&
    typeof digest === 'string' &&
    isDigest(digest) &&
    Number.isSafeInteger(size) &&
    size! >= 0
  );
}

function parseDocument(bytes: Uint8Array, kind: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new EngineError('corrupt', `invalid ${kind}: not JSON`, { cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new EngineError('corrupt', `invalid ${kind}: not an object`);
  }
  return value as Record<string, unknown>;
}

function limitChildren(count: number, kind: string): void {
  if (count > MAX_CHILDREN) {
    throw new EngineError('too-large', `invalid ${kind}: ${count} entries, at most ${MAX_CHILDREN} are accepted`);
  }
}

function tooLarge(what: string, limit = MAX_DOCUMENT_BYTES): EngineError {
  return new EngineError('too-large', `${what} is larger than ${limit} bytes, which no such document may be`);
}
