import { closeSync, readlinkSync } from 'node:fs';
import { EngineError } from '../../base/errors.ts';
import { openParentInRoot } from '../../linux/rooted.ts';
import type { OciMount } from '../../runtime/spec/oci-spec.ts';

/** As many as the most patient runtime follows. */
const MAX_LINKS = 255;

export interface PlacedMount {
  readonly mount: OciMount;
  /** Absolute, as seen from inside, without links, `.` and `..`. */
  readonly place: string;
}

/**
 * Where a runtime comes to with each mount: links are those of the root, and of what the mounts before it put there.
 * `mounts` are in the order in which they are made. Throws `invalid-argument` for links without end.
 */
export function placesOf(rootfs: string, mounts: readonly OciMount[]): readonly PlacedMount[] {
  const placed: PlacedMount[] = [];
  for (const mount of mounts) placed.push({ mount, place: placeOf(rootfs, mount.destination, placed) });
  return placed;
}

function placeOf(rootfs: string, path: string, earlier: readonly PlacedMount[]): string {
  const rest = split(path);
  let names: string[] = [];
  let links = 0;
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    if (name === '..') {
      names.pop();
      continue;
    }
    const target = linkAt(rootfs, `/${[...names, name].join('/')}`, earlier);
    if (target === undefined) {
      names.push(name);
      continue;
    }
    if (++links > MAX_LINKS) throw new EngineError('invalid-argument', `${path}: too many levels of symbolic links`);
    if (target.startsWith('/')) names = [];
    rest.unshift(...split(target));
  }
  return `/${names.join('/')}`;
}

/** Where the link at `place`, whose parents are none, leads; undefined when there is no link. */
function linkAt(rootfs: string, place: string, earlier: readonly PlacedMount[]): string | undefined {
  const around = earlier.findLast((one) => place === one.place || place.startsWith(`${one.place}/`));
  if (around?.place === place) return undefined;
  const below = around ? place.slice(around.place.length) : place;
  const root = around ? sourceOf(around.mount) : rootfs;
  return root === undefined ? undefined : readLink(root, below);
}

/** What is mounted anew has no links that leave it. */
function sourceOf({ type, source }: OciMount): string | undefined {
  return type === 'bind' ? source : undefined;
}

function readLink(root: string, path: string): string | undefined {
  try {
    const { fd, name } = openParentInRoot(root, path);
    try {
      return readlinkSync(`/proc/self/fd/${fd}/${name}`);
    } finally {
      closeSync(fd);
    }
  } catch {
    return undefined; // nothing there, or no link
  }
}

function split(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}
