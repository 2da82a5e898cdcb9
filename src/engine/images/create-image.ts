import { EngineError } from '../../base/errors.ts';
import { now } from '../../base/time.ts';
import { bytesOf } from '../../content/bytes.ts';
import { canonicalJson } from '../../oci/canonical-json.ts';
import type { Descriptor, Platform } from '../../oci/descriptor.ts';
import { type ChainId, type Digest, sha256 } from '../../oci/digest.ts';
import type { HistoryEntry, ImageConfig, ImageRunConfig } from '../../oci/image.ts';
import { MAX_LAYERS, parseImageConfig } from '../../oci/image-config.ts';
import type { ImageRecord } from '../../state/images.ts';
import type { Lease } from '../../state/leases.ts';
import { chainsOf } from '../gc.ts';
import type { Layer } from './layers.ts';
import type { ImageParts } from './parts.ts';
import { underLease } from './under-lease.ts';

export interface CreateImageRequest {
  /** The image it stands on: its layers, history and platform come first. */
  readonly parent?: ImageRecord | undefined;
  /** Layers on top, bottom first; made by `commitLayer`, `copyLayer` or `importLayer` under `lease`. */
  readonly layers: readonly Layer[];
  /** Entries on top of the parent's; those without `empty_layer` are the layers' in their order. */
  readonly history: readonly HistoryEntry[];
  readonly config: ImageRunConfig;
  /** RFC 3339. */
  readonly created?: string;
  readonly author?: string | undefined;
  readonly comment?: string | undefined;
  /** Instead of the parent's or the host's. */
  readonly platform?: Platform | undefined;
  /** Show `parent` as the parent in `inspect` and keep it from being deleted before this one (commit, steps of a build). */
  readonly keepParent?: boolean;
  readonly lease: Lease;
}

/** Writes the document of a new image and records it. The same request gives the same id. */
export async function createImage(parts: ImageParts, request: CreateImageRequest): Promise<ImageRecord> {
  const below = request.parent?.config;
  const diffIds = [...(below?.rootfs.diff_ids ?? []), ...request.layers.map((layer) => layer.diffId)];
  if (diffIds.length > MAX_LAYERS) throw new EngineError('conflict', 'max depth exceeded');
  const platform = request.platform ?? below ?? parts.platform;
  const config: ImageConfig = {
    architecture: platform.architecture,
    os: platform.os,
    ...(platform.variant && { variant: platform.variant }),
    ...(platform['os.version'] && { 'os.version': platform['os.version'] }),
    ...(request.author && { author: request.author }),
    ...(request.comment && { comment: request.comment }),
    config: request.config,
    created: request.created ?? now(),
    history: [...(below?.history ?? []), ...request.history],
    rootfs: { type: 'layers', diff_ids: diffIds },
  };
  const text = canonicalJson(config);
  parseImageConfig(text);
  const parent = request.keepParent ? request.parent?.id : undefined;
  const row = await storeConfig(parts, text, request.lease);
  return recordDurably(parts, row, { parent });
}

/**
 * Records an image whose layers are committed snapshots already, from a document that says all of it (builds). Idempotent.
 * With `named` the row survives a power cut only with the transaction that gives the image its name, the next one.
 */
export function registerImage(
  parts: ImageParts,
  config: ImageConfig,
  chain: ChainId | undefined,
  { named = false }: { readonly named?: boolean } = {},
): Promise<ImageRecord> {
  return underLease(parts, 'register', async (lease) => {
    if (chainsOf(config).at(-1) !== chain) throw new EngineError('internal', `the image's layers do not make ${chain}`);
    for (const name of chainsOf(config)) {
      lease.add('snapshot', name);
      if (!parts.snapshotter.stat(name)) throw new EngineError('not-found', `No such layer: ${name}`);
    }
    const row = await storeConfig(parts, canonicalJson(config), lease);
    return named ? parts.db.relaxedTransaction(() => recordImage(parts, row)) : recordDurably(parts, row);
  });
}

/** An image's document, in the store and leased. */
export interface StoredConfig {
  readonly id: Digest;
  readonly text: string;
  readonly config: ImageConfig;
}

export async function storeConfig(
  parts: Pick<ImageParts, 'content'>,
  text: string,
  lease: Lease,
): Promise<StoredConfig> {
  const bytes = Buffer.from(text);
  const id = sha256(bytes);
  lease.add('blob', id);
  await parts.content.write({ digest: id, size: bytes.byteLength }, bytesOf(bytes));
  return { id, text, config: parseImageConfig(text) };
}

/** As `recordImage`, on the disk when it resolves. One that is known writes nothing: nothing need be waited for. */
async function recordDurably(
  parts: ImageParts,
  document: StoredConfig,
  origin: { readonly parent?: Digest | undefined } = {},
): Promise<ImageRecord> {
  const known = parts.images.get(document.id);
  const image = known ?? parts.db.relaxedTransaction(() => recordImage(parts, document, origin));
  await parts.db.durable();
  return image;
}

/** Records an image whose layers are all there. Idempotent; not durable before the transaction it is part of. */
export function recordImage(
  parts: ImageParts,
  { id, text, config }: StoredConfig,
  origin: { readonly parent?: Digest | undefined; readonly manifest?: Descriptor | undefined } = {},
): ImageRecord {
  const chains = chainsOf(config);
  const size = chains.reduce((sum, chain) => sum + (parts.snapshotter.stat(chain)?.layer?.size ?? 0), 0);
  parts.images.insert({
    id,
    configText: text,
    chain: chains.at(-1),
    size,
    parent: origin.parent,
    manifest: origin.manifest,
    addedAt: now(),
  });
  return parts.images.get(id)!;
}
