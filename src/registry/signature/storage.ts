import { bytesOf } from '../../content/bytes.ts';
import { parseManifest, readDocument } from '../../content/children.ts';
import type { ContentSource } from '../../content/content-store.ts';
import { errorCode } from '../../base/errors.ts';
import { type Descriptor, MEDIA_TYPES } from '../../oci/descriptor.ts';
import { type Digest, sha256 } from '../../oci/digest.ts';
import type { RemoteRepository } from '../client/remote-repository.ts';
import { BUNDLE_TYPE, bundleSignatures } from './bundle.ts';
import type { Signature } from './payload.ts';
import { SIGN_PREDICATE } from './statement.ts';

const PAYLOAD = 'application/vnd.dev.cosign.simplesigning.v1+json';
const EMPTY_CONFIG = 'application/vnd.oci.empty.v1+json';
const ANNOTATION = 'dev.cosignproject.cosign/signature';
/** Of signatures that are referrers of what they sign. */
export const SIGNATURE_ARTIFACT = 'application/vnd.dev.cosign.artifact.sig.v1+json';
/** More signatures of one image than anybody makes. */
const MAX_SIGNATURES = 50;

/** What signatures are read from: a repository. */
export interface SignatureSource extends ContentSource {
  manifest(reference: string): Promise<{ readonly descriptor: Descriptor; readonly bytes: Buffer }>;
  referrers(digest: Digest, options?: { readonly artifactType?: string }): Promise<Descriptor[]>;
}

/** `sha256:abc…` → `sha256-abc….sig`, where cosign keeps the signatures of an image. */
export function signatureTag(digest: Digest): string {
  return `${digest.replace(':', '-')}.sig`;
}

/** All signatures that a repository has of an image, under its tag and among its referrers, in bundles or not. Nothing is verified. */
export async function readSignatures(source: SignatureSource, digest: Digest): Promise<Signature[]> {
  const found = new Map<string, Signature>();
  const take = async (bytes: Buffer): Promise<void> => {
    for (const layer of parseManifest(bytes).layers) {
      if (found.size >= MAX_SIGNATURES) return;
      const signature = layer.annotations?.[ANNOTATION];
      if (layer.mediaType === PAYLOAD && signature !== undefined) {
        found.set(signature, { payload: await readDocument(source, layer), signature });
      } else if (layer.mediaType === BUNDLE_TYPE) {
        for (const one of bundleSignatures(await readDocument(source, layer))) found.set(one.signature, one);
      }
    }
  };
  const tagged = await unlessMissing(source.manifest(signatureTag(digest)));
  if (tagged) await take(tagged.bytes);
  for (const artifactType of [SIGNATURE_ARTIFACT, BUNDLE_TYPE]) {
    const referrers = (await unlessMissing(source.referrers(digest, { artifactType }))) ?? [];
    for (const referrer of referrers.slice(0, MAX_SIGNATURES)) {
      const manifest = await unlessMissing(source.manifest(referrer.digest));
      if (manifest) await take(manifest.bytes);
    }
  }
  return [...found.values()];
}

/** Adds a signature to those of `target`: under cosign's tag, and as a referrer. */
export async function writeSignature(
  repository: RemoteRepository,
  target: Descriptor,
  { payload, signature }: Signature,
): Promise<void> {
  const layer: Descriptor = {
    mediaType: PAYLOAD,
    digest: sha256(payload),
    size: payload.byteLength,
    annotations: { [ANNOTATION]: signature },
  };
  await repository.write(layer, bytesOf(payload));
  const tag = signatureTag(target.digest);
  const before = await unlessMissing(repository.manifest(tag));
  const layers = [...(before ? parseManifest(before.bytes).layers : []), layer];
  await putManifest(repository, tag, imageOf(layers), { layers });
  // A manifest that names what it signs is found by that, where the registry knows of such.
  const { mediaType, digest, size } = target;
  await putManifest(
    repository,
    undefined,
    { mediaType: SIGNATURE_ARTIFACT, bytes: Buffer.from('{}') },
    {
      artifactType: SIGNATURE_ARTIFACT,
      layers: [layer],
      subject: { mediaType, digest, size },
    },
  );
}

/** Adds a sigstore bundle that signs `target` to its referrers. */
export async function writeBundle(repository: RemoteRepository, target: Descriptor, bundle: Buffer): Promise<void> {
  const layer: Descriptor = { mediaType: BUNDLE_TYPE, digest: sha256(bundle), size: bundle.byteLength };
  await repository.write(layer, bytesOf(bundle));
  const { mediaType, digest, size } = target;
  await putManifest(
    repository,
    undefined,
    { mediaType: EMPTY_CONFIG, bytes: Buffer.from('{}') },
    {
      artifactType: BUNDLE_TYPE,
      layers: [layer],
      subject: { mediaType, digest, size },
      annotations: {
        'dev.sigstore.bundle.content': 'dsse-envelope',
        'dev.sigstore.bundle.predicateType': SIGN_PREDICATE,
      },
    },
  );
}

interface Config {
  readonly mediaType: string;
  readonly bytes: Buffer;
}

/** cosign keeps signatures as the layers of an image, whose config says so. */
function imageOf(layers: readonly Descriptor[]): Config {
  const created = '0001-01-01T00:00:00Z';
  const document = {
    architecture: '',
    created,
    history: layers.map(() => ({ created })),
    os: '',
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
    config: {},
  };
  return { mediaType: MEDIA_TYPES.ociConfig, bytes: Buffer.from(JSON.stringify(document)) };
}

async function putManifest(
  repository: RemoteRepository,
  tag: string | undefined,
  config: Config,
  fields: {
    artifactType?: string;
    layers: readonly Descriptor[];
    subject?: Descriptor;
    annotations?: Readonly<Record<string, string>>;
  },
): Promise<void> {
  const described = { mediaType: config.mediaType, digest: sha256(config.bytes), size: config.bytes.byteLength };
  await repository.write(described, bytesOf(config.bytes));
  const mediaType = MEDIA_TYPES.ociManifest;
  const { artifactType, layers, subject, annotations } = fields;
  const manifest = { schemaVersion: 2, mediaType, ...(artifactType && { artifactType }), config: described, layers };
  const bytes = Buffer.from(
    JSON.stringify({ ...manifest, ...(subject && { subject }), ...(annotations && { annotations }) }),
  );
  const descriptor: Descriptor = { mediaType, digest: sha256(bytes), size: bytes.byteLength };
  if (subject)
    await repository.putReferrer(
      subject,
      { ...descriptor, artifactType: artifactType!, ...(annotations && { annotations }) },
      bytes,
    );
  else await repository.putManifest(tag ?? descriptor.digest, descriptor, bytes);
}

async function unlessMissing<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (errorCode(error) === 'not-found') return undefined;
    throw error;
  }
}
