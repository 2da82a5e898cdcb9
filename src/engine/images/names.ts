import { EngineError } from '../../base/errors.ts';
import { now } from '../../base/time.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import {
  canonicalName,
  familiar,
  familiarName,
  parseReference,
  type Reference,
  withDefaultTag,
  withTag,
} from '../../oci/reference.ts';
import type { ImageRecord } from '../../state/images.ts';
import type { ImageParts } from './parts.ts';

/** `repo` and `tag` as commit, import and tag take them. Throws `invalid-argument`. */
export function targetReference(repository: string, tag?: string): Reference {
  const reference = parseReference(repository);
  if (reference.digest !== undefined) throw new EngineError('invalid-argument', 'cannot import digest reference');
  return tag === undefined || tag === '' ? withDefaultTag(reference) : withTag(reference, tag);
}

/** Gives the image a name, taking it from whichever had it: that image's id is returned. */
export function nameImage(
  parts: Pick<ImageParts, 'images'>,
  image: Digest,
  reference: Reference,
  target?: Descriptor,
): Digest | undefined {
  const name = { reference: canonicalName(reference), repository: reference.repository, image, target };
  return parts.images.setReference(name, now());
}

/** The names that people see, tags and digests apart. */
export function familiarNames(parts: Pick<ImageParts, 'images'>, id: Digest): { tags: string[]; digests: string[] } {
  const names = parts.images.references(id).map((name) => familiar(name.reference));
  return {
    tags: names.filter((name) => !name.includes('@')),
    digests: names.filter((name) => name.includes('@')),
  };
}

/** What an event about the image carries: a name and its labels. */
export function eventAttributes(image: Pick<ImageRecord, 'config'>, name: Reference | string): Record<string, string> {
  const labels = image.config.config?.Labels ?? {};
  const attributes: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const [label, value] of Object.entries(labels)) attributes[label] = value;
  attributes['name'] = typeof name === 'string' ? name : familiarName(name);
  return attributes;
}
