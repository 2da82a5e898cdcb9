import { EngineError } from '../../../base/errors.ts';
import { isDescriptor } from '../../../content/children.ts';
import type { Descriptor } from '../../../oci/descriptor.ts';
import { type ChainId, type DiffId, type Digest, isDigest } from '../../../oci/digest.ts';
import { isVariableValue } from '../command-value.ts';
import type { BuildRecord, StepInput } from '../../../state/build-records.ts';

/** Of the config of a cache's manifest: BuildKit's, in whose shape layers and records are. */
export const CACHE_CONFIG_TYPE = 'application/vnd.buildkit.cacheconfig.v0';
/** Field of an image's document that holds the cache of its own layers. */
export const INLINE_FIELD = 'moby.buildkit.cache.v0';

const MAX_RECORDS = 20_000;

/** A step as a cache carries it. */
export interface PortableRecord {
  readonly key: Digest;
  readonly parent: Digest | undefined;
  readonly text: string;
  readonly createdAt: string;
  readonly slot?: string | undefined;
  readonly inputs?: readonly StepInput[] | undefined;
  readonly output?: string | undefined;
  readonly layer:
    | {
        readonly diffId: DiffId;
        /** What it was made on: on anything else it would be another. */
        readonly over: ChainId | undefined;
        readonly size: number;
      }
    | undefined;
}

/** The document of a cache: BuildKit's fields, and what we need besides in one of our own. */
interface CacheDocument {
  readonly layers: readonly {
    readonly blob?: Digest;
    readonly parent?: number;
    readonly annotations: { readonly mediaType?: string; readonly diffID: DiffId; readonly size?: number };
  }[];
  readonly records: readonly {
    readonly digest: Digest;
    readonly inputs?: readonly (readonly { readonly link: number }[])[];
    readonly layers?: readonly { readonly layer: number; readonly createdAt: string }[];
  }[];
  readonly gantry: {
    readonly version: 1;
    readonly records: readonly Omit<PortableRecord, 'key' | 'parent'>[];
  };
}

/** The same records give the same bytes. `blobs` has the layers of a manifest; without it the layers are those of the image around it. */
export function encodeCache(records: readonly PortableRecord[], blobs?: ReadonlyMap<DiffId, Descriptor>): string {
  const sorted = [...records].sort((a, b) => (a.key < b.key ? -1 : 1));
  const position = new Map(sorted.map((record, index) => [record.key, index]));
  const layers = [...new Map(sorted.flatMap(({ layer }) => (layer ? [[layer.diffId, layer] as const] : []))).values()];
  const layerAt = new Map(layers.map(({ diffId }, index) => [diffId, index]));
  const document: CacheDocument = {
    layers: layers.map(({ diffId }) => {
      const blob = blobs?.get(diffId);
      return {
        ...(blob && { blob: blob.digest }),
        parent: -1,
        annotations: { ...(blob && { mediaType: blob.mediaType, size: blob.size }), diffID: diffId },
      };
    }),
    records: sorted.map(({ key, parent, layer, createdAt }) => ({
      digest: key,
      ...(parent && position.has(parent) && { inputs: [[{ link: position.get(parent)! }]] }),
      ...(layer && { layers: [{ layer: layerAt.get(layer.diffId)!, createdAt }] }),
    })),
    gantry: {
      version: 1,
      records: sorted.map(({ text, createdAt, slot, inputs, output, layer }) => ({
        text,
        createdAt,
        slot,
        inputs,
        output,
        layer,
      })),
    },
  };
  return JSON.stringify(document);
}

/** Records by their key, and the blobs of their layers where the document names them. It was written by strangers: throws `corrupt`. */
export function decodeCache(text: string): {
  readonly records: ReadonlyMap<Digest, PortableRecord>;
  readonly blobs: ReadonlyMap<DiffId, Descriptor>;
} {
  let document: Partial<CacheDocument>;
  try {
    document = JSON.parse(text) as Partial<CacheDocument>;
  } catch (error) {
    throw new EngineError('corrupt', 'invalid build cache: not JSON', { cause: error });
  }
  const own = document?.gantry?.records;
  const records = new Map<Digest, PortableRecord>();
  const blobs = new Map<DiffId, Descriptor>();
  // One of BuildKit's: its keys are not ours, so there is nothing in it for us.
  if (document?.gantry?.version !== 1 || !Array.isArray(own) || !Array.isArray(document.records))
    return { records, blobs };
  if (own.length > MAX_RECORDS || own.length !== document.records.length)
    throw new EngineError('corrupt', 'invalid build cache: its records are too many, or of two numbers');
  for (const [index, record] of own.entries()) {
    const key = document.records[index]?.digest;
    if (typeof key !== 'string' || !isDigest(key) || !isRecord(record))
      throw new EngineError('corrupt', `invalid build cache: record ${index} is none`);
    records.set(key, { ...record, key, parent: parentOf(document as CacheDocument, index) });
  }
  for (const { blob, annotations } of document.layers ?? []) {
    const descriptor = { mediaType: annotations?.mediaType, digest: blob, size: annotations?.size };
    if (isDescriptor(descriptor) && isDigest(annotations.diffID)) blobs.set(annotations.diffID, descriptor);
  }
  return { records, blobs };
}

function parentOf({ records }: CacheDocument, index: number): Digest | undefined {
  const link = records[index]?.inputs?.[0]?.[0]?.link;
  const parent = link === undefined ? undefined : records[link]?.digest;
  return parent !== undefined && isDigest(parent) ? parent : undefined;
}

function isRecord(value: unknown): value is Omit<PortableRecord, 'key' | 'parent'> {
  if (typeof value !== 'object' || value === null) return false;
  const { text, createdAt, slot, inputs, output, layer } = value as Partial<PortableRecord>;
  if (typeof text !== 'string' || typeof createdAt !== 'string' || Number.isNaN(Date.parse(createdAt))) return false;
  if (slot !== undefined && typeof slot !== 'string') return false;
  if (inputs !== undefined && !(Array.isArray(inputs) && inputs.every(isInput))) return false;
  if (output !== undefined && (typeof output !== 'string' || !isVariableValue(output))) return false;
  if (layer === undefined || layer === null) return true;
  const { diffId, over, size } = layer;
  return (
    typeof diffId === 'string' &&
    isDigest(diffId) &&
    (over === undefined || (typeof over === 'string' && isDigest(over))) &&
    Number.isSafeInteger(size)
  );
}

function isInput(value: unknown): boolean {
  const { name, value: text } = (value ?? {}) as Partial<StepInput>;
  return typeof name === 'string' && typeof text === 'string';
}

/** What a record keeps for the road. */
export function portable(record: BuildRecord, over: ChainId | undefined): PortableRecord {
  const { key, parent, text, createdAt, slot, inputs, output, layer } = record;
  return {
    key,
    parent,
    text,
    createdAt,
    ...(slot !== undefined && { slot }),
    ...(inputs && { inputs }),
    ...(output !== undefined && { output }),
    layer: layer && { diffId: layer.diffId, over, size: layer.size },
  };
}
