import { EngineError, notFound } from '../../base/errors.ts';
import type { Platform } from '../../oci/descriptor.ts';
import { isDigest } from '../../oci/digest.ts';
import { formatPlatform, parsePlatform, platformDistance } from '../../oci/platform.ts';
import {
  canonicalName,
  familiarName,
  isIdentifier,
  parseReference,
  type Reference,
  withDefaultTag,
} from '../../oci/reference.ts';
import type { ImageRecord, ImageStore } from '../../state/images.ts';

/**
 * The image a person means: by id, by name (`nginx`, `nginx:1.23`, `nginx@sha256:…`), or by the beginning of its id,
 * in that order. Throws `not-found` (`No such image: nginx:latest`), `invalid-argument`.
 */
export function resolveImage(images: ImageStore, name: string, platform?: string): ImageRecord {
  const image = findImage(images, name);
  if (platform !== undefined && platform !== '') {
    const member = ofPlatform(images, name, platform);
    if (member) return member;
  }
  if (platform !== undefined && platform !== '') checkPlatform(image, name, platform);
  return image;
}

/** Of a name that stands for several platforms, the one that fits best. */
function ofPlatform(images: ImageStore, name: string, platform: string): ImageRecord | undefined {
  if (isIdentifier(name) || isDigest(name)) return undefined;
  const named = images.reference(lookupName(withDefaultTag(parseReference(name))));
  const target = named?.target && images.targets.get(named.target.digest);
  const wanted = platformOf(platform);
  return target?.members
    .map(({ image }) => images.get(image))
    .filter((image) => image !== undefined)
    .map((image) => ({ image, distance: platformDistance(wanted, imagePlatform(image)) }))
    .filter((one): one is { image: ImageRecord; distance: number } => one.distance !== undefined)
    .toSorted((a, b) => a.distance - b.distance)[0]?.image;
}

function findImage(images: ImageStore, name: string): ImageRecord {
  const id = isIdentifier(name) ? `sha256:${name}` : name;
  if (isDigest(id)) {
    const image = images.get(id);
    if (!image) throw notFound('image', id);
    return image;
  }
  const reference = withDefaultTag(parseReference(name));
  const named = images.reference(lookupName(reference));
  const image = named ? images.get(named.image) : imageByPrefix(images, name);
  if (!image) throw notFound('image', familiarName(reference));
  return image;
}

/** The name to look for: with both tag and digest it is the digest that counts. */
export function lookupName(reference: Reference): string {
  return canonicalName(reference.digest === undefined ? reference : { ...reference, tag: undefined });
}

/** The one image whose id begins so; undefined when there is none, or more than one. */
export function imageByPrefix(images: ImageStore, name: string): ImageRecord | undefined {
  const ids = images.idsWithPrefix(name.replace(/^sha256:/, ''));
  return ids.length === 1 ? images.get(ids[0]!) : undefined;
}

/** Whether `name` is the image's id or the beginning of it, and not one of its names. */
export function isIdOf(image: ImageRecord, name: string): boolean {
  return image.id.startsWith(name.startsWith('sha256:') ? name : `sha256:${name}`);
}

export function imagePlatform(image: Pick<ImageRecord, 'config'>): Platform {
  const { os, architecture, variant } = image.config;
  return { os: os || 'linux', architecture: architecture || 'unknown', ...(variant && { variant }) };
}

/** `linux/arm64`, or the descriptor's JSON form that newer clients send. Throws `invalid-argument`. */
export function platformOf(text: string): Platform {
  if (!text.startsWith('{')) return parsePlatform(text);
  let value: Partial<Platform>;
  try {
    value = JSON.parse(text) as Partial<Platform>;
  } catch (error) {
    throw new EngineError('invalid-argument', `invalid platform: ${text.slice(0, 100)}`, { cause: error });
  }
  const { os, architecture, variant } = value;
  return parsePlatform([os, architecture, ...(variant ? [variant] : [])].join('/'));
}

function checkPlatform(image: ImageRecord, name: string, wanted: string): void {
  const platform = platformOf(wanted);
  const own = imagePlatform(image);
  if (platformDistance(platform, own) !== undefined) return;
  throw new EngineError(
    'not-found',
    `image with reference ${name} was found but its platform (${formatPlatform(own)}) does not match the specified platform (${formatPlatform(platform)})`,
  );
}
