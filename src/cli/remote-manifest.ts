import { isIndex, parseIndex, parseManifest, readDocument } from '../content/children.ts';
import { type Descriptor, MEDIA_TYPES, type Platform } from '../oci/descriptor.ts';
import { canonicalName, type Reference } from '../oci/reference.ts';
import type { RemoteManifest, RemoteRepository } from '../registry/client/remote-repository.ts';
import type { ListedManifest } from './manifest-store.ts';

/** The platform that a manifest's config names; undefined for what is no image. */
export async function platformOfConfig(repository: RemoteRepository, bytes: Uint8Array): Promise<Platform | undefined> {
  const { config } = parseManifest(bytes);
  if (config.mediaType !== MEDIA_TYPES.ociConfig && config.mediaType !== MEDIA_TYPES.dockerConfig) return undefined;
  const document = JSON.parse((await readDocument(repository, config)).toString('utf8')) as Partial<Platform>;
  const { architecture, os, variant } = document;
  if (!architecture || !os) return undefined;
  return {
    architecture,
    os,
    ...(document['os.version'] && { 'os.version': document['os.version'] }),
    ...(document['os.features'] && { 'os.features': document['os.features'] }),
    ...(variant && { variant }),
  };
}

/** A manifest as docker's `manifest` commands keep and show it. */
export async function listedManifest(
  reference: Reference,
  { descriptor, bytes }: RemoteManifest,
  repository: RemoteRepository,
): Promise<ListedManifest> {
  const platform = await platformOfConfig(repository, bytes);
  const manifest = ordered(JSON.parse(bytes.toString('utf8')) as Record<string, unknown>);
  return {
    Ref: canonicalName(reference),
    Descriptor: {
      mediaType: descriptor.mediaType,
      digest: descriptor.digest,
      size: descriptor.size,
      ...(platform && { platform }),
    },
    Raw: bytes.toString('base64'),
    ...(descriptor.mediaType === MEDIA_TYPES.dockerManifest
      ? { SchemaV2Manifest: manifest }
      : { OCIManifest: manifest }),
  };
}

/** Every manifest of an index. */
export async function indexEntries(
  reference: Reference,
  { bytes }: RemoteManifest,
  repository: RemoteRepository,
): Promise<ListedManifest[]> {
  const entries: ListedManifest[] = [];
  for (const child of parseIndex(bytes).manifests) {
    if (isIndex(child.mediaType)) continue;
    const listed = await listedManifest(
      { ...reference, digest: child.digest },
      await repository.manifest(child.digest),
      repository,
    );
    const platform = child.platform ?? listed.Descriptor.platform;
    entries.push({ ...listed, Descriptor: { ...listed.Descriptor, ...(platform && { platform }) } });
  }
  return entries;
}

/** The index of these manifests: Docker's type when all of them are Docker's. */
export function indexOf(manifests: readonly ListedManifest[]): { mediaType: string; text: string } {
  const docker = manifests.every(({ Descriptor: { mediaType } }) => mediaType === MEDIA_TYPES.dockerManifest);
  const mediaType = docker ? MEDIA_TYPES.dockerIndex : MEDIA_TYPES.ociIndex;
  const entries = manifests.map(({ Descriptor: { digest, size, mediaType: type, platform } }) => ({
    mediaType: type,
    size,
    digest,
    ...(platform && { platform }),
  }));
  return { mediaType, text: JSON.stringify({ schemaVersion: 2, mediaType, manifests: entries }, null, 3) };
}

/** Descriptors in the field order that docker prints: type, size, digest. */
function ordered(manifest: Record<string, unknown>): Record<string, unknown> {
  const one = ({ mediaType, digest, size, ...rest }: Descriptor): unknown => ({ mediaType, size, digest, ...rest });
  return {
    ...manifest,
    ...(manifest['config'] ? { config: one(manifest['config'] as Descriptor) } : {}),
    ...(Array.isArray(manifest['layers']) ? { layers: (manifest['layers'] as Descriptor[]).map(one) } : {}),
  };
}

/** A manifest's own fields as `manifest inspect` prints them. */
export function manifestFields(bytes: Uint8Array): Record<string, unknown> {
  return ordered(JSON.parse(Buffer.from(bytes).toString('utf8')) as Record<string, unknown>);
}
