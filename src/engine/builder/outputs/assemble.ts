import { EngineError } from '../../../base/errors.ts';
import { bytesOf } from '../../../content/bytes.ts';
import type { ContentSource } from '../../../content/content-store.ts';
import { canonicalJson } from '../../../oci/canonical-json.ts';
import { type Descriptor, MEDIA_TYPES } from '../../../oci/descriptor.ts';
import { type Digest, sha256 } from '../../../oci/digest.ts';
import { formatPlatform, parsePlatform, samePlatform } from '../../../oci/platform.ts';
import type { Lease } from '../../../state/leases.ts';
import { chainsOf } from '../../gc.ts';
import type { ImageParts } from '../../images/parts.ts';
import type { BuiltImage } from './built-image.ts';
import { type ImageBlob, layerBlob } from './layer-blob.ts';
import type { Annotation, AnnotationPlace, ImageForm } from './output.ts';

/** An image, or several in an index, as blobs that refer to each other. */
export interface Assembled {
  /** The index, or the one manifest. */
  readonly target: Descriptor;
  readonly images: readonly AssembledImage[];
  readonly blobs: ReadonlyMap<Digest, ImageBlob>;
  readonly source: ContentSource;
}

export interface AssembledImage {
  readonly image: BuiltImage;
  readonly manifest: Descriptor;
  readonly layers: readonly Descriptor[];
}

/** OCI's config of what has none. */
const EMPTY_TYPE = 'application/vnd.oci.empty.v1+json';
/** BuildKit's name for statements as artifacts. */
const ATTESTATION_TYPE = 'application/vnd.docker.attestation.manifest.v1+json';
const IN_TOTO = 'application/vnd.in-toto+json';
const STATEMENT = 'https://in-toto.io/Statement/v0.1';
const UNKNOWN = { architecture: 'unknown', os: 'unknown' };

/**
 * Writes down what a build made: a manifest for each platform (image-spec manifest.md), and an index around them when there
 * are several, when something is said about them (attestations, in BuildKit's layout), or when the index has annotations.
 */
export async function assemble(
  parts: ImageParts,
  images: readonly BuiltImage[],
  {
    form,
    lease,
    signal,
    names = [],
  }: {
    readonly form: ImageForm;
    readonly lease: Lease;
    readonly signal?: AbortSignal | undefined;
    /** What the images will be called, for the subjects of statements. */
    readonly names?: readonly string[];
  },
): Promise<Assembled> {
  const blobs = new Map<Digest, ImageBlob>();
  const types = form.dockerMediaTypes ? DOCKER : OCI;
  checkAnnotations(form.annotations, images);
  const document = (mediaType: string, value: string): Descriptor => {
    const bytes = Buffer.from(value);
    const descriptor = { mediaType, digest: sha256(bytes), size: bytes.byteLength };
    blobs.set(descriptor.digest, { descriptor, open: ({ offset = 0 } = {}) => bytesOf(bytes.subarray(offset)) });
    return descriptor;
  };
  const annotationsAt = (place: AnnotationPlace, image?: BuiltImage): Record<string, string> | undefined => {
    const found = form.annotations.filter(
      (one) =>
        one.place === place &&
        (one.platform === undefined || (image && samePlatform(parsePlatform(one.platform), image.platform))),
    );
    return found.length === 0 ? undefined : Object.fromEntries(found.map(({ key, value }) => [key, value]));
  };

  const assembled: AssembledImage[] = [];
  const entries: Descriptor[] = [];
  const attested: Descriptor[] = [];
  for (const image of images) {
    const layers: Descriptor[] = [];
    const chains = chainsOf(image.config);
    for (const [index, diffId] of image.config.rootfs.diff_ids.entries()) {
      signal?.throwIfAborted();
      const blob = await layerBlob(parts, { diffId, chain: chains[index]! }, { form, lease, signal });
      const descriptor = { ...blob.descriptor, mediaType: types.layer(blob.descriptor.mediaType) };
      blobs.set(descriptor.digest, { ...blob, descriptor });
      layers.push(descriptor);
    }
    const annotations = annotationsAt('manifest', image);
    const manifest = document(
      types.manifest,
      JSON.stringify({
        schemaVersion: 2,
        mediaType: types.manifest,
        config: document(types.config, image.text),
        layers,
        ...(annotations && { annotations }),
      }),
    );
    const described = annotationsAt('manifest-descriptor', image);
    assembled.push({ image, manifest: { ...manifest, ...(described && { annotations: described }) }, layers });
    entries.push({ ...manifest, ...(described && { annotations: described }), platform: image.platform });
    if (image.attestations && image.attestations.length > 0)
      attested.push(attestationManifest(image, manifest, { document, names, artifact: form.ociArtifact }));
  }
  const onIndex = annotationsAt('index');
  const onDescriptor = annotationsAt('index-descriptor');
  const source: ContentSource = {
    read: (target, options) => {
      const blob = blobs.get(target.digest);
      return blob ? blob.open(options) : parts.content.read(target, options);
    },
  };
  if (entries.length === 1 && attested.length === 0 && !onIndex) {
    return { target: assembled[0]!.manifest, images: assembled, blobs, source };
  }
  const index = document(
    types.index,
    JSON.stringify({
      schemaVersion: 2,
      mediaType: types.index,
      manifests: [...entries, ...attested],
      ...(onIndex && { annotations: onIndex }),
    }),
  );
  return {
    target: { ...index, ...(onDescriptor && { annotations: onDescriptor }) },
    images: assembled,
    blobs,
    source,
  };
}

/** A manifest of statements in the place where registries know nothing but images: BuildKit's attestation storage. */
function attestationManifest(
  image: BuiltImage,
  manifest: Descriptor,
  {
    document,
    names,
    artifact,
  }: {
    /** In OCI's form for what belongs to an image (image-spec manifest.md, "Guidelines for Artifact Usage"). */
    readonly artifact: boolean;
    readonly document: (mediaType: string, value: string) => Descriptor;
    readonly names: readonly string[];
  },
): Descriptor {
  const platform = encodeURIComponent(formatPlatform(image.platform));
  const digest = { sha256: manifest.digest.slice('sha256:'.length) };
  const subject = (names.length > 0 ? names : ['_']).map((name) => ({ name: packageUrl(name, platform), digest }));
  const layers = image.attestations!.map(({ predicateType, predicate }) => ({
    ...document(IN_TOTO, canonicalJson({ _type: STATEMENT, predicateType, subject, predicate })),
    annotations: { 'in-toto.io/predicate-type': predicateType },
  }));
  const config = artifact
    ? document(EMPTY_TYPE, '{}')
    : document(
        MEDIA_TYPES.ociConfig,
        canonicalJson({
          ...UNKNOWN,
          config: {},
          rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.digest) },
        }),
      );
  const { mediaType, size } = manifest;
  const made = document(
    MEDIA_TYPES.ociManifest,
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociManifest,
      ...(artifact && { artifactType: ATTESTATION_TYPE }),
      config,
      layers,
      ...(artifact && { subject: { mediaType, digest: manifest.digest, size } }),
    }),
  );
  return {
    ...made,
    annotations: {
      'vnd.docker.reference.digest': manifest.digest,
      'vnd.docker.reference.type': 'attestation-manifest',
    },
    platform: UNKNOWN,
  };
}

/** `pkg:docker/myapp@1.0?platform=linux%2Famd64` */
function packageUrl(name: string, platform: string): string {
  const match = /^(.*?)(?::([^:/]+))?$/.exec(name)!;
  return name === '_' ? name : `pkg:docker/${match[1]}${match[2] ? `@${match[2]}` : ''}?platform=${platform}`;
}

function checkAnnotations(annotations: readonly Annotation[], images: readonly BuiltImage[]): void {
  for (const { platform, place } of annotations) {
    if (platform === undefined) continue;
    const wanted = parsePlatform(platform);
    if (place.startsWith('index') || !images.some((image) => samePlatform(wanted, image.platform))) {
      throw new EngineError(
        'invalid-argument',
        place.startsWith('index')
          ? `an annotation of the ${place} cannot be of one platform (${platform})`
          : `no image is made for the platform ${platform} of an annotation`,
      );
    }
  }
}

const OCI = {
  index: MEDIA_TYPES.ociIndex as string,
  manifest: MEDIA_TYPES.ociManifest as string,
  config: MEDIA_TYPES.ociConfig as string,
  layer: (type: string): string =>
    type === MEDIA_TYPES.dockerLayer
      ? MEDIA_TYPES.ociLayer
      : type === MEDIA_TYPES.dockerLayerGzip
        ? MEDIA_TYPES.ociLayerGzip
        : type,
};

const DOCKER: typeof OCI = {
  index: MEDIA_TYPES.dockerIndex,
  manifest: MEDIA_TYPES.dockerManifest,
  config: MEDIA_TYPES.dockerConfig,
  layer: (type) =>
    type === MEDIA_TYPES.ociLayer
      ? MEDIA_TYPES.dockerLayer
      : type === MEDIA_TYPES.ociLayerGzip
        ? MEDIA_TYPES.dockerLayerGzip
        : // Docker's own types know no zstd; BuildKit writes this.
          type === MEDIA_TYPES.ociLayerZstd
          ? 'application/vnd.docker.image.rootfs.diff.tar.zstd'
          : type,
};
