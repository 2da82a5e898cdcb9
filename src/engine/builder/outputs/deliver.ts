import type { AuthConfig } from '../../../api/auth.ts';
import { EngineError } from '../../../base/errors.ts';
import type { OperationOptions } from '../../../base/operation.ts';
import type { Bytes } from '../../../content/content-store.ts';
import type { Descriptor } from '../../../oci/descriptor.ts';
import type { Digest } from '../../../oci/digest.ts';
import { platformDistance } from '../../../oci/platform.ts';
import { familiarName, type Reference, withDefaultTag } from '../../../oci/reference.ts';
import type { Lease } from '../../../state/leases.ts';
import { registerImage } from '../../images/create-image.ts';
import { targetReference } from '../../images/names.ts';
import type { ImageParts } from '../../images/parts.ts';
import { needRegistry } from '../../images/pull.ts';
import { nameTarget } from '../../images/targets.ts';
import type { BuildDirectory } from '../build-directory.ts';
import { imageArchive } from './archive.ts';
import { assemble, type Assembled } from './assemble.ts';
import type { BuiltImage } from './built-image.ts';
import { filesArchive } from './files.ts';
import type { Annotation, BuildOutput, ImageForm } from './output.ts';

/** Something that goes to the client as a stream: an output, or a cache in a directory; `index` is its place in the request's list. */
export interface ClientOutput {
  readonly kind: 'output' | 'cache';
  readonly index: number;
  /** A tar: of an image, or of files. */
  readonly open: () => Bytes;
}

export interface DeliverOptions extends OperationOptions {
  /** What the request asked for; empty means the store. */
  readonly outputs: readonly BuildOutput[];
  readonly tags: readonly string[];
  readonly annotations: readonly Annotation[];
  readonly lease: Lease;
  readonly auth: Readonly<Record<string, AuthConfig>> | undefined;
  /** Of this build. */
  readonly directory: BuildDirectory;
  readonly mountView: (chain: Digest, target: string) => Promise<void>;
  readonly unmount: (target: string) => Promise<void>;
  /** Takes the stream to the client; resolves when it is there. Undefined: this door takes no streams. */
  readonly toClient: ((output: ClientOutput) => Promise<void>) | undefined;
}

/** What came of a build: for `--iidfile` and `--metadata-file`. */
export interface Delivered {
  /** Of the image for this machine, or of the first. */
  readonly id: Digest;
  /** Whether an image went to the store. */
  readonly stored: boolean;
  /** Manifest or index, where one was made. */
  readonly descriptor: Descriptor | undefined;
  readonly names: readonly string[];
}

const PLAIN: ImageForm = {
  compression: undefined,
  level: undefined,
  force: false,
  dockerMediaTypes: false,
  ociArtifact: false,
  annotations: [],
};
const STORE: BuildOutput = { kind: 'image', names: [], store: true, push: false, pushByDigest: false, form: PLAIN };

/** Brings what was built where it was asked for, one output after the other. Throws before the first when one cannot be made. */
export async function deliver(
  parts: ImageParts,
  images: readonly BuiltImage[],
  options: DeliverOptions,
): Promise<Delivered> {
  const outputs = options.outputs.length === 0 ? [STORE] : options.outputs;
  const own = ownImage(images, parts);
  let stored = false;
  let descriptor: Descriptor | undefined;
  const names = new Set<string>();
  for (const [index, output] of outputs.entries()) {
    options.signal?.throwIfAborted();
    switch (output.kind) {
      case 'image': {
        const result = await deliverImage(parts, images, own, output, options);
        stored ||= output.store;
        descriptor = result.descriptor ?? descriptor;
        for (const name of result.names) names.add(name);
        break;
      }
      case 'archive': {
        const wanted = namesOf(output.names, options.tags);
        const assembled = await assemble(parts, images, {
          form: withAnnotations(output.form, options),
          lease: options.lease,
          signal: options.signal,
          names: wanted.map(familiarName),
        });
        descriptor = assembled.target;
        const shape = { layout: output.layout, names: wanted.map(familiarName), created: own.config.created };
        // What cannot be written down is refused before the client opens its file.
        const archive = imageArchive(assembled, shape);
        await toClient(options)({ kind: 'output', index, open: () => archive });
        break;
      }
      case 'files':
        await filesArchive(images, output, options, (open) => toClient(options)({ kind: 'output', index, open }));
        break;
      case 'none':
        break;
    }
  }
  return { id: own.id, stored, descriptor, names: [...names] };
}

/** Throws for what no image of the build could become. Called before anything is built. */
export function checkOutputs(
  outputs: readonly BuildOutput[],
  { tags, platforms, hasClient }: { tags: readonly string[]; platforms: number; hasClient: boolean },
): void {
  for (const output of outputs) {
    if (output.kind === 'image') {
      const names = namesOf(output.names, tags);
      if (output.push && names.length === 0) {
        throw new EngineError('invalid-argument', 'tag is needed when pushing to registry');
      }
    } else if (output.kind !== 'none' && !hasClient) {
      throw new EngineError('unimplemented', 'this way of building cannot send files back: leave the output out');
    }
    if (output.kind === 'archive' && output.layout === 'docker' && platforms > 1) {
      throw new EngineError(
        'invalid-argument',
        'docker exporter does not currently support exporting manifest lists: use the output oci, or one platform',
      );
    }
  }
}

async function deliverImage(
  parts: ImageParts,
  images: readonly BuiltImage[],
  own: BuiltImage,
  output: Extract<BuildOutput, { kind: 'image' }>,
  options: DeliverOptions,
): Promise<{ readonly descriptor: Descriptor | undefined; readonly names: readonly string[] }> {
  const { lease, signal, onProgress } = options;
  const names = namesOf(output.names, options.tags);
  const form = withAnnotations(output.form, options);
  const shown = names.map(familiarName);
  const special =
    images.length > 1 ||
    form.annotations.length > 0 ||
    form.compression !== undefined ||
    form.dockerMediaTypes ||
    images.some((image) => (image.attestations?.length ?? 0) > 0);
  let assembled: Assembled | undefined;
  if (special || output.push) assembled = await assemble(parts, images, { form, lease, signal, names: shown });
  if (output.store) {
    const named = names.length > 0;
    for (const image of images)
      if (!parts.images.get(image.id)) await registerImage(parts, image.config, image.chain, { named });
    for (const reference of names) {
      await nameTarget(parts, { image: own.id, reference, assembled: special ? assembled : undefined, lease, signal });
    }
  }
  if (output.push && assembled) {
    for (const reference of output.pushByDigest ? names.slice(0, 1) : names) {
      onProgress?.({ id: '', status: '', stream: `Pushing ${familiarName(reference)}\n` });
      const registry = needRegistry(parts.registry, reference);
      const target = output.pushByDigest
        ? { ...reference, tag: undefined, digest: assembled.target.digest }
        : reference;
      await registry.push(target, assembled.target, assembled.source, {
        auth: authFor(options.auth, reference),
        signal,
      });
      onProgress?.({
        id: '',
        status: '',
        stream: `Pushed ${familiarName(target)}: digest: ${assembled.target.digest} size: ${assembled.target.size}\n`,
      });
    }
  }
  return { descriptor: assembled?.target, names: shown };
}

function withAnnotations(form: ImageForm, { annotations }: DeliverOptions): ImageForm {
  return annotations.length === 0 ? form : { ...form, annotations: [...form.annotations, ...annotations] };
}

function namesOf(names: readonly string[], tags: readonly string[]): Reference[] {
  const given = names.length > 0 ? names : tags;
  return [...new Map(given.map((name) => [name, withDefaultTag(targetReference(name))])).values()];
}

function ownImage(images: readonly BuiltImage[], { platform }: ImageParts): BuiltImage {
  return images.find((image) => platformDistance(platform, image.platform) !== undefined) ?? images[0]!;
}

function toClient({ toClient: send }: DeliverOptions): (output: ClientOutput) => Promise<void> {
  if (send) return send;
  throw new EngineError('unimplemented', 'this way of building cannot send files back: leave the output out');
}

/** Credentials by registry, as clients send them: Docker Hub goes by an old address. */
export function authFor(
  auth: Readonly<Record<string, AuthConfig>> | undefined,
  { domain }: Pick<Reference, 'domain'>,
): AuthConfig | undefined {
  if (!auth) return undefined;
  const names = domain === 'docker.io' ? ['https://index.docker.io/v1/', 'docker.io', 'index.docker.io'] : [domain];
  for (const name of [...names, ...names.map((one) => `https://${one}`)]) if (auth[name]) return auth[name];
  return undefined;
}
