import type { Reference } from '../../oci/reference.ts';
import { OFFICIAL_NAMES } from './official-names.ts';

const OFFICIAL = 'library/';
/** In shorter names another letter is as often another word: base and bash, nose and node. */
const MIN_LENGTH_TO_REPLACE = 5;
const MIN_LENGTH = 4;

/**
 * The official image that was probably meant by a name on Docker Hub which is none: one letter more, less, or another one,
 * or two that changed places. Undefined for official names, names with a user before them, and other registries.
 */
export function meantName({ domain, path }: Pick<Reference, 'domain' | 'path'>): string | undefined {
  if (domain !== 'docker.io' || !path.startsWith(OFFICIAL)) return undefined;
  const name = path.slice(OFFICIAL.length);
  if (OFFICIAL_NAMES.has(name) || name.length < MIN_LENGTH) return undefined;
  let meant: string | undefined;
  for (const official of OFFICIAL_NAMES) {
    const edit = singleEdit(name, official);
    if (edit === undefined) continue;
    if (edit === 'swapped') return official;
    if (edit === 'replaced' && name.length < MIN_LENGTH_TO_REPLACE) continue;
    if (official.length < MIN_LENGTH) continue;
    meant ??= official;
  }
  return meant;
}

/** The one edit that makes `to` of `from`; undefined when it takes none or more. */
export function singleEdit(from: string, to: string): 'swapped' | 'replaced' | 'added' | 'left out' | undefined {
  if (from === to || Math.abs(from.length - to.length) > 1) return undefined;
  let start = 0;
  while (start < from.length && from[start] === to[start]) start++;
  if (from.length === to.length) {
    if (from.slice(start + 1) === to.slice(start + 1)) return 'replaced';
    const swapped = from[start] === to[start + 1] && from[start + 1] === to[start];
    return swapped && from.slice(start + 2) === to.slice(start + 2) ? 'swapped' : undefined;
  }
  if (from.length > to.length) return from.slice(start + 1) === to.slice(start) ? 'added' : undefined;
  return from.slice(start) === to.slice(start + 1) ? 'left out' : undefined;
}
