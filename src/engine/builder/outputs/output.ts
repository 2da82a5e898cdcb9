import { EngineError } from '../../../base/errors.ts';

/** What becomes of a build, as a client asks for it: `docker build --output`, in the words of its reference. */
export interface BuildOutputRequest {
  /** `image`, `registry`, `docker`, `oci`, `tar`, `local`, `cacheonly`. */
  readonly type: string;
  readonly attributes: Readonly<Record<string, string>>;
}

export type LayerCompression = 'uncompressed' | 'gzip' | 'zstd';

/** Where annotations of an image go: its manifest, the index around it, and what describes each of them in an index. */
export type AnnotationPlace = 'manifest' | 'index' | 'manifest-descriptor' | 'index-descriptor';

export interface Annotation {
  readonly place: AnnotationPlace;
  /** Only of the image for this platform; undefined is each. */
  readonly platform: string | undefined;
  readonly key: string;
  readonly value: string;
}

/** How an image is written down. */
export interface ImageForm {
  /** Undefined keeps what layers have, and takes gzip for those that were made here. */
  readonly compression: LayerCompression | undefined;
  readonly level: number | undefined;
  /** Layers that came compressed in another way are compressed again. */
  readonly force: boolean;
  readonly dockerMediaTypes: boolean;
  /** Statements are artifacts of OCI 1.1 that refer to their image, as registries list them. */
  readonly ociArtifact: boolean;
  readonly annotations: readonly Annotation[];
}

export type BuildOutput =
  | {
      readonly kind: 'image';
      /** Besides the tags of the build. */
      readonly names: readonly string[];
      readonly store: boolean;
      readonly push: boolean;
      readonly pushByDigest: boolean;
      readonly form: ImageForm;
    }
  | {
      readonly kind: 'archive';
      readonly layout: 'docker' | 'oci';
      readonly names: readonly string[];
      readonly form: ImageForm;
    }
  | { readonly kind: 'files'; readonly split: boolean | undefined }
  | { readonly kind: 'none' };

const IMAGE_ATTRIBUTES = [
  'name',
  'compression',
  'compression-level',
  'force-compression',
  'oci-mediatypes',
  'oci-artifact',
  'rewrite-timestamp',
  'dest',
  'tar',
];
const KNOWN: Readonly<Record<string, readonly string[]>> = {
  image: [
    ...IMAGE_ATTRIBUTES,
    'push',
    'push-by-digest',
    'store',
    'unpack',
    'registry.insecure',
    'name-canonical',
    'dangling-name-prefix',
  ],
  docker: IMAGE_ATTRIBUTES,
  oci: IMAGE_ATTRIBUTES,
  tar: ['dest', 'platform-split'],
  local: ['dest', 'mode', 'platform-split'],
  cacheonly: [],
};

/** Reads one `--output`. Throws `invalid-argument` for what it does not know: nothing asked for is dropped in silence. */
export function readOutput({ type, attributes }: BuildOutputRequest): BuildOutput {
  const kind = type === 'registry' ? 'image' : type;
  const known = KNOWN[kind];
  if (!known) {
    throw new EngineError(
      'invalid-argument',
      `unknown output type ${JSON.stringify(type)}: use local, tar, oci, docker, image, registry or cacheonly`,
    );
  }
  const hasForm = kind === 'image' || kind === 'docker' || kind === 'oci';
  for (const key of Object.keys(attributes)) {
    if (known.includes(key) || (hasForm && key.startsWith('annotation'))) continue;
    throw new EngineError(
      'invalid-argument',
      `unknown option ${JSON.stringify(key)} for the output ${type}${known.length > 0 ? `: it takes ${known.join(', ')}` : ''}`,
    );
  }
  const flag = (name: string, initial: boolean): boolean => truth(type, name, attributes[name], initial);
  const names = (attributes['name'] ?? '').split(',').filter((name) => name !== '');
  switch (kind) {
    case 'image':
      checkImage(type, attributes, flag);
      return {
        kind,
        names,
        store: flag('store', true),
        push: flag('push', type === 'registry'),
        pushByDigest: flag('push-by-digest', false),
        form: readForm(type, attributes),
      };
    case 'docker':
      // Without a place to write to it is what every build does: the image goes to the store.
      return attributes['dest'] === undefined
        ? { kind: 'image', names, store: true, push: false, pushByDigest: false, form: readForm(type, attributes) }
        : { kind: 'archive', layout: 'docker', names, form: readForm(type, attributes) };
    case 'oci':
      return { kind: 'archive', layout: 'oci', names, form: readForm(type, attributes) };
    case 'tar':
    case 'local':
      // What is there already is the client's, which removes it by itself: buildx from 0.35 on.
      if (!['copy', 'delete'].includes(attributes['mode'] ?? 'copy'))
        throw new EngineError(
          'invalid-argument',
          `invalid mode ${JSON.stringify(attributes['mode'])} of the output local: use copy or delete`,
        );
      return {
        kind: 'files',
        split: attributes['platform-split'] === undefined ? undefined : flag('platform-split', true),
      };
    default:
      return { kind: 'none' };
  }
}

/** What an image's output can ask for and does not get. That it is unpacked is so in any case: it can run at once. */
function checkImage(
  type: string,
  attributes: Readonly<Record<string, string>>,
  flag: (name: string, initial: boolean) => boolean,
): void {
  flag('unpack', true);
  const refuse = (name: string, reason: string): never => {
    throw new EngineError('unimplemented', `${name} of the output ${type} is not supported: ${reason}`);
  };
  if (flag('registry.insecure', false))
    refuse(
      'registry.insecure',
      "whom to trust is the engine's to say: name the registry in its insecure-registries (one on the loopback address needs nothing)",
    );
  if (flag('name-canonical', false)) refuse('name-canonical', 'push the image, and take NAME@DIGEST of its repository');
  if (attributes['dangling-name-prefix'] !== undefined)
    refuse('dangling-name-prefix', 'an image without a name is found by the id that --iidfile writes');
}

/** `[TYPE[,TYPE…][platform]:]KEY=VALUE` of `--annotation`. Throws `invalid-argument`. */
export function readAnnotations(text: string): Annotation[] {
  const cut = text.indexOf('=');
  const [head, value] = cut < 0 ? [text, undefined] : [text.slice(0, cut), text.slice(cut + 1)];
  const match =
    /^(?:((?:manifest|index|manifest-descriptor|index-descriptor)(?:\[[^\]]*\])?(?:,(?:[a-z-]+)(?:\[[^\]]*\])?)*):)?(.+)$/.exec(
      head,
    );
  if (!match || value === undefined || match[2] === '')
    throw new EngineError('invalid-argument', `invalid annotation ${JSON.stringify(text)}: expected key=value`);
  const key = match[2]!;
  return (match[1] ?? 'manifest').split(/,(?![^[]*\])/).map((item) => {
    const [, place = '', platform] = /^([a-z-]+)(?:\[(.*)\])?$/.exec(item) ?? [];
    if (!isPlace(place)) {
      throw new EngineError(
        'invalid-argument',
        `unknown annotation type ${JSON.stringify(place)}: use manifest, index, manifest-descriptor or index-descriptor`,
      );
    }
    return { place, platform: platform || undefined, key, value };
  });
}

export function readForm(type: string, attributes: Readonly<Record<string, string>>): ImageForm {
  const compression = attributes['compression'];
  if (compression === 'estargz')
    throw new EngineError(
      'unimplemented',
      'layers are not compressed as estargz by this engine: use gzip, which every reader of estargz reads as well, or zstd',
    );
  if (compression !== undefined && !isCompression(compression)) {
    throw new EngineError(
      'invalid-argument',
      `unsupported layer compression type ${JSON.stringify(compression)}: use gzip, zstd or uncompressed`,
    );
  }
  const level = attributes['compression-level'];
  if (level !== undefined && !/^-?\d{1,2}$/.test(level))
    throw new EngineError('invalid-argument', `non-integer value ${level} specified for compression-level`);
  const dockerMediaTypes = !truth(type, 'oci-mediatypes', attributes['oci-mediatypes'], true);
  const ociArtifact = truth(type, 'oci-artifact', attributes['oci-artifact'], false);
  if (ociArtifact && dockerMediaTypes)
    throw new EngineError(
      'invalid-argument',
      'oci-artifact=true needs the media types of OCI: leave out oci-mediatypes=false',
    );
  return {
    ociArtifact,
    compression,
    level: level === undefined ? undefined : Number(level),
    force: truth(type, 'force-compression', attributes['force-compression'], false),
    dockerMediaTypes,
    annotations: Object.entries(attributes).flatMap(([name, value]) => annotationOf(name, value)),
  };
}

/** `annotation.KEY`, `annotation-index.KEY`, `annotation-manifest[linux/amd64].KEY` as attributes of an output. */
function annotationOf(name: string, value: string): Annotation[] {
  if (!name.startsWith('annotation')) return [];
  const match = /^annotation(?:-(manifest-descriptor|index-descriptor|manifest|index))?(?:\[([^\]]*)\])?\.(.+)$/.exec(
    name,
  );
  if (!match) throw new EngineError('invalid-argument', `invalid annotation ${JSON.stringify(name)}`);
  const place = match[1] ?? 'manifest';
  return isPlace(place) ? [{ place, platform: match[2] || undefined, key: match[3]!, value }] : [];
}

function isPlace(text: string): text is AnnotationPlace {
  return ['manifest', 'index', 'manifest-descriptor', 'index-descriptor'].includes(text);
}

function isCompression(text: string): text is LayerCompression {
  return ['uncompressed', 'gzip', 'zstd'].includes(text);
}

export function truth(type: string, name: string, text: string | undefined, initial: boolean): boolean {
  if (text === undefined) return initial;
  if (['1', 't', 'true', ''].includes(text.toLowerCase())) return true;
  if (['0', 'f', 'false'].includes(text.toLowerCase())) return false;
  throw new EngineError(
    'invalid-argument',
    `invalid value ${JSON.stringify(text)} for ${name} of the output ${type}: true or false`,
  );
}
