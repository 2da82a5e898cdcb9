import { EngineError } from '../../base/errors.ts';
import { COMPOSE_VERSION } from '../project/labels.ts';

/**
 * A project in a registry, in the form of Docker's Compose: a manifest of this artifact type, each file a layer. Files
 * that are merged become one file of several documents; those that others extend, and env files, keep names of their own.
 */
export const PROJECT_TYPE = 'application/vnd.docker.compose.project';
const FILE_TYPE = 'application/vnd.docker.compose.file+yaml';
const ENV_FILE_TYPE = 'application/vnd.docker.compose.envfile';
/** Before OCI 1.1, which has artifact types, the config's type tells what it is. */
const EMPTY_CONFIG_TYPE = 'application/vnd.docker.compose.config.empty.v1+json';
const EMPTY_TYPE = 'application/vnd.oci.empty.v1+json';
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';

export const VERSION_ANNOTATION = 'com.docker.compose.version';
const FILE_ANNOTATION = 'com.docker.compose.file';
const EXTENDS_ANNOTATION = 'com.docker.compose.extends';
const ENV_FILE_ANNOTATION = 'com.docker.compose.envfile';

/** Layers up to this size are in the manifest itself, too. */
const LARGEST_INLINE = 64 * 2 ** 10;
export const LARGEST_FILE = 4 * 2 ** 20;
const MOST_FILES = 500;

export interface ArtifactFile {
  readonly kind: 'compose' | 'extended' | 'environment';
  readonly name: string;
  readonly content: Buffer;
}

export interface Blob {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly data?: string;
}

export interface ProjectManifest {
  readonly schemaVersion: 2;
  readonly mediaType: string;
  readonly artifactType?: string;
  readonly config: Blob;
  readonly layers: readonly Blob[];
  readonly annotations?: Readonly<Record<string, string>>;
}

export const EMPTY_CONFIG = Buffer.from('{}');

/** The manifest of a project's files. `1.0` is for registries that refuse artifact types. */
export function manifestOf(
  files: readonly ArtifactFile[],
  options: { readonly version: '1.0' | '1.1'; readonly created: Date; readonly digest: (bytes: Buffer) => string },
): ProjectManifest {
  const { version, digest } = options;
  const blob = (mediaType: string, content: Buffer): Blob => ({
    mediaType,
    digest: digest(content),
    size: content.byteLength,
  });
  return {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    ...(version === '1.0' ? {} : { artifactType: PROJECT_TYPE }),
    config: {
      ...blob(version === '1.0' ? EMPTY_CONFIG_TYPE : EMPTY_TYPE, EMPTY_CONFIG),
      data: EMPTY_CONFIG.toString('base64'),
    },
    layers: files.map(({ kind, name, content }) => ({
      ...blob(kind === 'environment' ? ENV_FILE_TYPE : FILE_TYPE, content),
      annotations: {
        ...(kind === 'extended' ? { [EXTENDS_ANNOTATION]: 'true' } : {}),
        [kind === 'environment' ? ENV_FILE_ANNOTATION : FILE_ANNOTATION]: name,
        [VERSION_ANNOTATION]: COMPOSE_VERSION,
      },
      ...(content.byteLength > LARGEST_INLINE ? {} : { data: content.toString('base64') }),
    })),
    annotations: { 'org.opencontainers.image.created': `${options.created.toISOString().slice(0, 19)}Z` },
  };
}

/** The layers that `files` are to be made of. Throws `invalid-argument` for what is no project. */
export function layersOf(document: unknown, name: string): readonly Blob[] {
  const { artifactType, config, layers } = (document ?? {}) as Partial<ProjectManifest>;
  const said = artifactType ?? config?.mediaType;
  if (said !== PROJECT_TYPE && said !== EMPTY_CONFIG_TYPE)
    throw new EngineError(
      'invalid-argument',
      `${name} is not a compose project, but ${said === undefined ? 'an index of images' : said}`,
    );
  if (!Array.isArray(layers) || layers.length > MOST_FILES)
    throw new EngineError(
      'invalid-argument',
      `${name} has ${layers?.length ?? 'no'} files, ${MOST_FILES} at most are taken`,
    );
  for (const layer of layers as Blob[])
    if (!(layer.size <= LARGEST_FILE))
      throw new EngineError(
        'too-large',
        `${name} holds a file of more than ${LARGEST_FILE / 2 ** 20} MiB: that is no Compose file`,
      );
  return layers as Blob[];
}

/** Contents by name: what is to be in one directory. Throws `invalid-argument` for a name that would lead out of it. */
export function unpack(layers: readonly { layer: Blob; content: Buffer }[], name: string): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  const merged: Buffer[] = [];
  const put = (file: string | undefined, content: Buffer): void => {
    if (file === undefined || !/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}$/.test(file) || file === 'compose.yaml')
      throw new EngineError(
        'invalid-argument',
        `${name} has a file of the name ${JSON.stringify(file ?? '')}, which none may have`,
      );
    files.set(file, content);
  };
  for (const { layer, content } of layers) {
    const notes = layer.annotations ?? {};
    if (layer.mediaType === ENV_FILE_TYPE) put(notes[ENV_FILE_ANNOTATION], content);
    else if (layer.mediaType === FILE_TYPE)
      if (notes[EXTENDS_ANNOTATION] === 'true') put(notes[FILE_ANNOTATION], content);
      else merged.push(merged.length === 0 ? content : Buffer.concat([Buffer.from('\n---\n'), content]));
    // Other layers are somebody's additions: nothing of the project.
  }
  if (merged.length === 0) throw new EngineError('invalid-argument', `${name} has no Compose file`);
  return files.set('compose.yaml', Buffer.concat(merged));
}
