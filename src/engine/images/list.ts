import { checkFilters, type Filters, matchesLabels, NO_FILTERS } from '../../api/filters.ts';
import type { ImageSummary } from '../../api/image.ts';
import { EngineError } from '../../base/errors.ts';
import { parseTime } from '../../base/time.ts';
import { familiarName, matchesPattern, parseReference } from '../../oci/reference.ts';
import type { ImageRecord } from '../../state/images.ts';
import { chainsOf } from '../gc.ts';
import type { ImageParts } from './parts.ts';
import { resolveImage } from './resolve.ts';
import { memberImages } from './targets.ts';

const FILTERS = ['dangling', 'label', 'before', 'since', 'reference', 'until'];

export interface ListOptions {
  readonly all?: boolean;
  readonly filters?: Filters;
  readonly sharedSize?: boolean;
  /** Also what the names stand for where that is an index. */
  readonly manifests?: boolean;
}

interface ListedImage {
  readonly image: ImageRecord;
  readonly summary: ImageSummary;
}

/** `docker images`: newest first. Throws `invalid-argument`, `not-found` (the image of `before` and `since`). */
export function listImages(parts: ImageParts, options: ListOptions = {}): ImageSummary[] {
  const filters = options.filters ?? NO_FILTERS;
  checkFilters(filters, FILTERS);
  const isWanted = imageFilter(parts, filters);
  const containers = countContainers(parts);
  const parents = new Set(parts.images.list().map((image) => image.parent));
  const names = namesByImage(parts);
  const patterns = filters.get('reference');
  const dangling = booleanFilter(filters, 'dangling');

  const members = memberImages(parts);
  const listed: ListedImage[] = [];
  for (const image of parts.images.list()) {
    if (!isWanted(image)) continue;
    const own = (names.get(image.id) ?? []).map((name) => parseReference(name));
    const shown = patterns ? own.filter((name) => patterns.some((pattern) => matchesPattern(name, pattern))) : own;
    const tags = shown.filter((name) => name.digest === undefined).map((name) => familiarName(name));
    const digests = shown.filter((name) => name.digest !== undefined).map((name) => familiarName(name));
    if (tags.length + digests.length === 0) {
      // It is shown where its name is, as one of its platforms.
      if (own.length === 0 && members.has(image.id)) continue;
      // An image without names is shown unless another was made from it: then it is a step of a build.
      if (patterns || dangling === false || (!options.all && parents.has(image.id))) continue;
    } else if (dangling === true && tags.length > 0) continue;
    const summary: ImageSummary = {
      Id: image.id,
      ParentId: image.parent ?? '',
      RepoTags: tags,
      RepoDigests: digests,
      Created: createdSeconds(image),
      Size: image.size,
      SharedSize: -1,
      Labels: (image.config.config?.Labels as Record<string, string> | null | undefined) ?? null,
      Containers: containers.get(image.id) ?? 0,
    };
    listed.push({ image, summary });
  }
  if (options.sharedSize) addSharedSizes(parts, listed);
  const summaries = listed.map(({ summary }) => summary);
  return summaries.sort((a, b) => b.Created - a.Created || (a.Id < b.Id ? -1 : 1));
}

/** Seconds since the epoch; 0 when the image does not say. */
export function createdSeconds(image: Pick<ImageRecord, 'config'>): number {
  return Number(createdNanos(image) / 1_000_000_000n);
}

export function createdNanos(image: Pick<ImageRecord, 'config'>): bigint {
  return parseTime(image.config.created ?? '') ?? 0n;
}

/** Bytes of all layers, each counted once. */
export function layersSize(parts: ImageParts): number {
  const sizes = new Map<string, number>();
  for (const image of parts.images.list()) {
    for (const chain of chainsOf(image.config)) {
      if (!sizes.has(chain)) sizes.set(chain, parts.snapshotter.stat(chain)?.layer?.size ?? 0);
    }
  }
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}

/** `true`, `false`, or undefined when not asked. Throws `invalid-argument`. */
export function booleanFilter(filters: Filters, key: string): boolean | undefined {
  const values = filters.get(key);
  if (!values || values.length === 0) return undefined;
  const truths = new Set(values.map((value) => TRUTHS.get(value.toLowerCase())));
  if (truths.size !== 1 || truths.has(undefined)) {
    throw new EngineError('invalid-argument', `invalid filter '${key}=[${values.join(' ')}]'`);
  }
  return [...truths][0];
}

const TRUTHS = new Map([
  ['1', true],
  ['t', true],
  ['true', true],
  ['0', false],
  ['f', false],
  ['false', false],
]);

/** Nanoseconds: a time, seconds since the epoch, or an age (`10m`, `1h30m`) before now. Throws `invalid-argument`. */
export function untilFilter(filters: Filters, nowNanos: bigint): bigint | undefined {
  const values = filters.get('until');
  if (!values || values.length === 0) return undefined;
  const text = values[0]!;
  if (values.length > 1) throw new EngineError('invalid-argument', 'more than one until filter specified');
  const time = pointInTime(text, nowNanos);
  if (time === undefined) {
    throw new EngineError('invalid-argument', `failed to parse value as time or duration: ${JSON.stringify(text)}`);
  }
  return time;
}

const UNITS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

function pointInTime(text: string, nowNanos: bigint): bigint | undefined {
  if (/^\d{1,12}(?:\.\d{1,9})?$/.test(text)) {
    const [seconds, fraction = ''] = text.split('.');
    return BigInt(seconds!) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0'));
  }
  if (/^(?:\d{1,12}(?:\.\d{1,9})?(?:ns|us|µs|ms|s|m|h))+$/.test(text)) {
    let age = 0;
    for (const part of text.matchAll(/([\d.]+)(ns|us|µs|ms|s|m|h)/g)) age += Number(part[1]) * UNITS[part[2]!]!;
    return nowNanos - BigInt(Math.round(age));
  }
  if (/^\d{4}-\d\d-\d\d$/.test(text)) return parseTime(`${text}T00:00:00Z`);
  return parseTime(/(?:[Zz]|[+-]\d\d:\d\d)$/.test(text) ? text : `${text}Z`);
}

/** Whether labels, ages and relatives are as asked; what needs names is not looked at. */
function imageFilter(parts: ImageParts, filters: Filters): (image: ImageRecord) => boolean {
  const createdOf = (key: string): bigint | undefined => {
    const names = filters.get(key) ?? [];
    const times = names.map((name) => createdNanos(resolveImage(parts.images, name)));
    if (times.length === 0) return undefined;
    return times.reduce((a, b) => (key === 'before' ? (a < b ? a : b) : a > b ? a : b));
  };
  const before = createdOf('before');
  const since = createdOf('since');
  const until = untilFilter(filters, BigInt(Date.now()) * 1_000_000n);
  return (image) => {
    const created = createdNanos(image);
    return (
      (before === undefined || created < before) &&
      (since === undefined || created > since) &&
      (until === undefined || created < until) &&
      matchesLabels(filters, image.config.config?.Labels)
    );
  };
}

function countContainers(parts: ImageParts): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { imageId } of parts.containers()) counts.set(imageId, (counts.get(imageId) ?? 0) + 1);
  return counts;
}

function namesByImage(parts: ImageParts): Map<string, string[]> {
  const names = new Map<string, string[]>();
  for (const { image, reference } of parts.images.references()) {
    const own = names.get(image);
    if (own) own.push(reference);
    else names.set(image, [reference]);
  }
  return names;
}

/** A layer is shared when more than one of the images stands on it. */
function addSharedSizes(parts: ImageParts, listed: readonly ListedImage[]): void {
  const users = new Map<string, number>();
  for (const image of parts.images.list()) {
    for (const chain of chainsOf(image.config)) users.set(chain, (users.get(chain) ?? 0) + 1);
  }
  for (const { image, summary } of listed) {
    summary.SharedSize = chainsOf(image.config)
      .filter((chain) => users.get(chain)! > 1)
      .reduce((sum, chain) => sum + (parts.snapshotter.stat(chain)?.layer?.size ?? 0), 0);
  }
}
