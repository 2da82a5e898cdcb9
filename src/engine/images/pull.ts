import type { AuthConfig } from '../../api/auth.ts';
import { EngineError, errorCode, errorMessage } from '../../base/errors.ts';
import type { OperationOptions } from '../../base/operation.ts';
import { isIndex, parseManifest, readDocument } from '../../content/children.ts';
import {
  familiarName,
  familiarRepository,
  parseReference,
  type Reference,
  withDefaultTag,
} from '../../oci/reference.ts';
import type { Digest } from '../../oci/digest.ts';
import type { ImageRecord } from '../../state/images.ts';
import { formatPlatform, platformDistance, samePlatform } from '../../oci/platform.ts';
import { chainsOf } from '../gc.ts';
import { BUILT_IN_LABEL, builtInFor, makeBuiltIn } from './built-in.ts';
import { recordImage, storeConfig } from './create-image.ts';
import { eventAttributes, nameImage } from './names.ts';
import type { ImageParts } from './parts.ts';
import { pullLayers } from './pull-layers.ts';
import type { FetchedImage, RegistryAccess } from './registry-access.ts';
import { imagePlatform, lookupName, platformOf } from './resolve.ts';
import { underLease } from './under-lease.ts';

export interface PullOptions extends OperationOptions {
  readonly auth?: AuthConfig | undefined;
  readonly platform?: string | undefined;
  /** Every tag of the repository. */
  readonly all?: boolean;
}

/**
 * `docker pull`. Names of images that are made here come from a registry where one is at hand and has them.
 * Throws `not-found`, `unauthorized`, `unavailable`, `corrupt`.
 */
export async function pullImage(parts: ImageParts, name: string, options: PullOptions): Promise<void> {
  const parsed = parseReference(name);
  const registry = parts.registry;
  if (options.all) {
    if (parsed.tag !== undefined || parsed.digest !== undefined) {
      throw new EngineError('invalid-argument', "tag can't be used with --all-tags/-a");
    }
    const latest = withDefaultTag(parsed);
    if (!registry && builtInFor(latest)) return provideBuiltIn(parts, latest, options);
    for (const tag of await needRegistry(registry, parsed).tags(parsed, options)) {
      await pullOne(parts, needRegistry(registry, parsed), { ...parsed, tag }, options);
    }
    return;
  }
  const reference = withDefaultTag(parsed);
  const builtIn = builtInFor(reference);
  if (builtIn === undefined) return pullOne(parts, needRegistry(registry, reference), reference, options);
  // No registry has the greeting, and nothing should wait for one to say so.
  if (!registry || builtIn === 'hello-gantry') return provideBuiltIn(parts, reference, options);
  try {
    await pullOne(parts, registry, reference, options);
  } catch (error) {
    if (errorCode(error) !== 'unavailable') throw error;
    await provideBuiltIn(parts, reference, options);
  }
}

async function provideBuiltIn(parts: ImageParts, reference: Reference, options: PullOptions): Promise<void> {
  const name = familiarName(reference);
  const platform = options.platform ? platformOf(options.platform) : parts.platform;
  if (!samePlatform(platform, parts.platform)) {
    throw new EngineError(
      'unavailable',
      `cannot reach a registry for ${name} for ${formatPlatform(platform)}: this machine can only make it for ${formatPlatform(parts.platform)}`,
    );
  }
  const present = parts.images.reference(lookupName(reference));
  const labels = present && parts.images.get(present.image)?.config.config?.Labels;
  if (present && !labels?.[BUILT_IN_LABEL]) {
    throw new EngineError('unavailable', `cannot reach a registry for ${name}: the image here stays as it is`);
  }
  const image = await makeBuiltIn(parts, reference, options);
  parts.publish('pull', image.id, eventAttributes(image, reference));
  options.onProgress?.({ id: '', status: `Status: Built ${name} on this machine` });
}

async function pullOne(
  parts: ImageParts,
  registry: RegistryAccess,
  reference: Reference,
  options: PullOptions,
): Promise<void> {
  const { signal, onProgress, auth } = options;
  parts.policy.checkPull(reference, onProgress);
  const platform = options.platform ? platformOf(options.platform) : parts.platform;
  const before = parts.images.reference(lookupName(reference))?.image;
  // With both a tag and a digest it is the digest that counts.
  const shown = familiarName(reference.digest ? { ...reference, tag: undefined } : reference);
  await underLease(parts, 'pull', async (lease) => {
    const { content } = parts;
    const fetched = await registry
      .fetch(reference, { auth, signal, onProgress, platform, content, lease })
      .catch((error: unknown) => {
        throw withSuggestion(parts, error, reference);
      });
    if (parts.policy.needsSignature(reference)) {
      const digests = [...new Set([fetched.target.digest, fetched.manifest.digest])];
      parts.policy.keepSignatures(reference, digests, await registry.signatures(reference, digests, { auth, signal }));
    }
    onProgress?.({ id: reference.digest ? shown : (reference.tag ?? ''), status: `Pulling from ${reference.path}` });
    const manifest = parseManifest(await readDocument(content, fetched.manifest, signal));
    const text = new TextDecoder('utf-8', { fatal: true }).decode(await readDocument(content, manifest.config, signal));
    const config = await storeConfig(parts, text, lease);
    for (const chain of chainsOf(config.config)) lease.add('snapshot', chain);
    // Of an image that is here as a whole, docker says nothing of its layers.
    if (!parts.images.get(config.id)) {
      await pullLayers(parts, manifest.layers, config.config.rootfs.diff_ids, { fetched, lease, signal, onProgress });
    }
    const image = await parts.db.durableTransaction(() => {
      const recorded = recordImage(parts, config, { manifest: fetched.manifest });
      nameAsPulled(parts, recorded, reference, fetched);
      return recorded;
    });
    parts.publish('pull', image.id, eventAttributes(image, reference));
    onProgress?.({ id: '', status: `Digest: ${fetched.target.digest}` });
    const news = before === image.id ? 'Image is up to date' : 'Downloaded newer image';
    onProgress?.({ id: '', status: `Status: ${news} for ${shown}` });
    if (options.platform && platformDistance(platform, imagePlatform(image)) === undefined) {
      const [own, wanted] = [imagePlatform(image), platform].map(formatPlatform);
      onProgress?.({
        id: '',
        status: `WARNING: image with reference ${shown} was found but its platform (${own}) does not match the specified platform (${wanted})`,
      });
    }
  });
}

/** A name that nobody has may be a mistake. */
function withSuggestion(parts: ImageParts, error: unknown, reference: Reference): unknown {
  const code = errorCode(error);
  const suggestion = code === 'not-found' || code === 'unavailable' ? parts.policy.suggestion(reference) : undefined;
  if (suggestion === undefined) return error;
  return new EngineError(code, `${errorMessage(error)}. ${suggestion}`, { cause: error });
}

/** By the tag, and by the digest of what the registry has under it. */
function nameAsPulled(parts: ImageParts, image: ImageRecord, reference: Reference, fetched: FetchedImage): void {
  const { target } = fetched;
  const named = isIndex(target.mediaType) ? joinPlatforms(parts, image, reference, fetched) : image.id;
  nameImage(parts, named, { ...reference, tag: undefined, digest: target.digest }, target);
  if (reference.tag !== undefined && reference.digest === undefined) nameImage(parts, named, reference, target);
}

/**
 * A second platform of the same index joins the first under its name, instead of taking the name from it. Gives the image
 * that the name stands for where no platform is asked for: the one that runs here.
 */
function joinPlatforms(
  parts: ImageParts,
  image: ImageRecord,
  reference: Reference,
  { target, manifest }: FetchedImage,
): Digest {
  const { images } = parts;
  const before = images.reference(lookupName(reference));
  const known = images.targets.get(target.digest)?.members ?? [];
  const first = before?.target?.digest === target.digest ? images.get(before.image) : undefined;
  const members = new Map(known.map((member) => [member.image, member]));
  if (first?.manifest) members.set(first.id, { image: first.id, manifest: first.manifest });
  members.set(image.id, { image: image.id, manifest });
  const present = [...members.values()].filter((member) => images.get(member.image));
  if (present.length < 2) return image.id;
  images.targets.put({ digest: target.digest, members: present, blobs: [target.digest] });
  const own = present.find(
    (member) => platformDistance(parts.platform, imagePlatform(images.get(member.image)!)) !== undefined,
  );
  return own?.image ?? image.id;
}

export function needRegistry(registry: RegistryAccess | undefined, reference: Reference): RegistryAccess {
  if (registry) return registry;
  const base = /^docker\.io\/library\/(?:debian|ubuntu)$/.test(reference.repository)
    ? `; \`gantry image bootstrap ${familiarRepository(reference)}${reference.tag ? `:${reference.tag}` : ''}\` makes one from packages`
    : '';
  throw new EngineError(
    'unavailable',
    `cannot reach a registry for ${familiarName(reference)}: this engine has none yet; load or import an image instead${base}`,
  );
}
