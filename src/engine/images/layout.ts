import { EngineError } from '../../base/errors.ts';
import { collect, isIndex, MAX_DOCUMENT_BYTES, parseIndex, parseManifest } from '../../content/children.ts';
import type { Bytes } from '../../content/content-store.ts';
import type { Descriptor, Platform } from '../../oci/descriptor.ts';
import { type ChainId, type Digest, sha256 } from '../../oci/digest.ts';
import { parseImageConfig } from '../../oci/image-config.ts';
import { formatPlatform, platformDistance } from '../../oci/platform.ts';
import type { Lease } from '../../state/leases.ts';
import { unpackLayer } from './layers.ts';
import type { ImageParts } from './parts.ts';
import { platformOf } from './resolve.ts';

export interface LayoutOptions {
  readonly lease: Lease;
  /** Of an index, which image; undefined is this machine's. */
  readonly platform: string | undefined;
  readonly signal: AbortSignal;
}

const MAX_DEPTH = 4;

/**
 * Brings the image of an OCI layout that somebody else has: its layers are on the lease, nothing is recorded.
 * Throws `not-found`, `corrupt`, `invalid-argument`.
 * @param read gives the layout's files by their paths; undefined for one that is not there
 */
export async function bringLayout(
  parts: ImageParts,
  target: Digest,
  read: (path: string) => Promise<Bytes | undefined>,
  { lease, platform, signal }: LayoutOptions,
): Promise<{ readonly configText: string; readonly chain: ChainId | undefined }> {
  const open = async (digest: Digest): Promise<Bytes> => {
    const bytes = await read(`blobs/${digest.replace(':', '/')}`);
    if (!bytes) throw new EngineError('not-found', `content ${digest}: not found in the layout`);
    return bytes;
  };
  const document = async (digest: Digest): Promise<Buffer> => {
    const bytes = await collect(await open(digest), MAX_DOCUMENT_BYTES, digest);
    if (sha256(bytes) !== digest) throw new EngineError('corrupt', `content ${digest} of the layout is something else`);
    return bytes;
  };
  const wanted = platform === undefined ? parts.platform : platformOf(platform);
  let bytes = await document(target);
  for (let depth = 0; ; depth++) {
    const { mediaType = '', manifests } = readObject(bytes, target);
    if (!isIndex(mediaType) && manifests === undefined) break;
    if (depth === MAX_DEPTH) throw new EngineError('too-large', `indexes are nested more than ${MAX_DEPTH} deep`);
    bytes = await document(bestOf(parseIndex(bytes).manifests, wanted).digest);
  }
  const { config, layers } = parseManifest(bytes);
  const configText = (await document(config.digest)).toString('utf8');
  const { rootfs } = parseImageConfig(configText);
  if (rootfs.diff_ids.length !== layers.length)
    throw new EngineError(
      'corrupt',
      `the image ${target} has ${layers.length} layers, and names ${rootfs.diff_ids.length}`,
    );
  let chain: ChainId | undefined;
  for (const [index, diffId] of rootfs.diff_ids.entries()) {
    const blob = layers[index]!;
    lease.add('blob', blob.digest);
    if (!(await parts.content.has(blob))) await parts.content.write(blob, await open(blob.digest), { signal });
    ({ chain } = await unpackLayer(parts, blob, diffId, { parent: chain, lease, signal }));
  }
  return { configText, chain };
}

function readObject(bytes: Buffer, digest: Digest): { readonly mediaType?: string; readonly manifests?: unknown } {
  try {
    const value = JSON.parse(bytes.toString('utf8')) as unknown;
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // Said below.
  }
  throw new EngineError('corrupt', `${digest} of the layout is no manifest`);
}

function bestOf(manifests: readonly Descriptor[], wanted: Platform): Descriptor {
  const ranked = manifests
    .map((manifest) => ({
      manifest,
      distance: manifest.platform ? platformDistance(wanted, manifest.platform) : undefined,
    }))
    .filter((one): one is { manifest: Descriptor; distance: number } => one.distance !== undefined)
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0]?.manifest ?? (manifests.length === 1 ? manifests[0] : undefined);
  if (!best) throw new EngineError('not-found', `the layout has no image for ${formatPlatform(wanted)}`);
  return best;
}
