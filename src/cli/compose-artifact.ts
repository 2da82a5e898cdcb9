import fs from 'node:fs';
import { join } from 'node:path';
import {
  type ArtifactFile,
  type Blob,
  EMPTY_CONFIG,
  layersOf,
  LARGEST_FILE,
  manifestOf,
  PROJECT_TYPE,
  unpack,
  VERSION_ANNOTATION,
} from '../compose/artifact/artifact.ts';
import { EngineError, errorCode, errorMessage } from '../base/errors.ts';
import type { RemoteFile } from '../compose/model/remote-file.ts';
import { COMPOSE_VERSION } from '../compose/project/labels.ts';
import { collect } from '../content/children.ts';
import { type Descriptor, MEDIA_TYPES } from '../oci/descriptor.ts';
import { type Digest, isDigest, sha256 } from '../oci/digest.ts';
import type { Reference } from '../oci/reference.ts';
import { copyManifest } from '../registry/client/copy.ts';
import type { Cli } from './cli.ts';
import { CommandError } from './command.ts';
import { namedReference, Remote } from './remote.ts';

/**
 * The Compose file of a project that is an artifact in a registry: `oci://NAME[:TAG|@DIGEST]`. Its files are kept below
 * `cache` by their digest. Throws `not-found`, `unavailable`, and `invalid-argument` for what is no project.
 */
export async function fetchProject(cli: Cli, address: string, cache: string): Promise<RemoteFile> {
  const reference = namedReference(address.slice('oci://'.length));
  const kept = (digest: string): string => join(cache, 'artifacts', digest.replace(':', '-'));
  const found = (digest: string): RemoteFile | undefined => {
    const path = join(kept(digest), 'compose.yaml');
    return fs.existsSync(path) ? { path, root: kept(digest) } : undefined;
  };
  const known = reference.digest === undefined ? undefined : found(reference.digest);
  if (known !== undefined) return known;
  using remote = new Remote(cli);
  const { descriptor, bytes, repository } = await remote.manifest(reference).catch((error: unknown) => {
    throw new EngineError(errorCode(error), `cannot fetch ${address}: ${errorMessage(error)}`, { cause: error });
  });
  const already = found(descriptor.digest);
  if (already !== undefined) return already;
  const layers = layersOf(JSON.parse(bytes.toString('utf8')), address);
  const contents: { layer: Blob; content: Buffer }[] = [];
  for (const layer of layers) {
    if (!isDigest(layer.digest)) throw new CommandError(`${address} has a file without a valid digest`);
    const content = await collect(
      repository.read({ digest: layer.digest, size: layer.size }),
      LARGEST_FILE,
      layer.digest,
    );
    contents.push({ layer, content });
  }
  // Made aside and renamed, so that what is there is whole.
  const directory = kept(descriptor.digest);
  const aside = `${directory}.${process.pid}`;
  fs.rmSync(aside, { recursive: true, force: true });
  fs.mkdirSync(aside, { recursive: true, mode: 0o700 });
  try {
    for (const [name, content] of unpack(contents, address))
      fs.writeFileSync(join(aside, name), content, { mode: 0o600 });
    try {
      fs.renameSync(aside, directory);
    } catch (error) {
      // Another command was faster.
      if (found(descriptor.digest) === undefined) throw error;
    }
  } finally {
    fs.rmSync(aside, { recursive: true, force: true });
  }
  return { path: join(directory, 'compose.yaml'), root: directory };
}

/** Puts a project's files into a registry; `images` (names with digests) beside them, for who takes the whole from there. */
export async function pushProject(
  cli: Cli,
  name: Reference,
  files: readonly ArtifactFile[],
  options: { readonly version: '1.0' | '1.1'; readonly images: readonly string[] | undefined },
): Promise<Digest> {
  using remote = new Remote(cli);
  const repository = await remote.repository(name);
  const manifest = manifestOf(files, { version: options.version, created: new Date(), digest: sha256 });
  for (const content of [EMPTY_CONFIG, ...files.map((file) => file.content)])
    await repository.write({ digest: sha256(content), size: content.byteLength }, once(content));
  const { bytes, descriptor } = document(manifest, MEDIA_TYPES.ociManifest);
  await repository.putManifest(name.tag ?? descriptor.digest, descriptor, bytes);
  if (options.images === undefined) return descriptor.digest;
  const manifests: Descriptor[] = [];
  for (const image of options.images) {
    const reference = namedReference(image);
    const source = await remote.manifest(reference);
    await copyManifest(source.repository, repository, source.descriptor);
    manifests.push({
      ...source.descriptor,
      annotations: { [`containerd.io/distribution.source.${reference.domain.split(':')[0]!}`]: reference.path },
    });
  }
  const annotations = { [VERSION_ANNOTATION]: COMPOSE_VERSION };
  const index = document(
    {
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociIndex,
      manifests,
      subject: { ...descriptor, annotations, artifactType: PROJECT_TYPE },
      annotations,
    },
    MEDIA_TYPES.ociIndex,
  );
  await repository.putReferrer(descriptor, { ...index.descriptor, annotations }, index.bytes);
  return descriptor.digest;
}

function document(value: object, mediaType: string): { bytes: Buffer; descriptor: Descriptor } {
  const bytes = Buffer.from(JSON.stringify(value));
  return { bytes, descriptor: { mediaType, digest: sha256(bytes), size: bytes.byteLength } };
}

async function* once(content: Buffer): AsyncGenerator<Uint8Array> {
  if (content.byteLength > 0) yield content;
}
