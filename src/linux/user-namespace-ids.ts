import { readFileSync } from 'node:fs';

/** Consecutive ids of a user namespace and what they are outside: a line of /proc/<pid>/uid_map. */
export interface IdExtent {
  readonly inside: number;
  readonly outside: number;
  readonly count: number;
}

/** What /proc/<pid>/uid_map or gid_map says. */
export function parseIdMap(text: string): readonly IdExtent[] {
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .filter((fields) => fields.length === 3)
    .map(([inside, outside, count]) => ({ inside: inside!, outside: outside!, count: count! }));
}

const ALL_IDS = 4_294_967_295;

/** Whether these are the machine's own ids, all of them. */
export function isInitialMap(map: readonly IdExtent[]): boolean {
  return map.length === 0 || (map.length === 1 && map[0]!.outside === 0 && map[0]!.count === ALL_IDS);
}

/** How many ids there are from 0 on without a gap. */
export function idsFromZero(map: readonly IdExtent[]): number {
  let next = 0;
  for (const extent of map.toSorted((a, b) => a.inside - b.inside)) {
    if (extent.inside !== next) break;
    next += extent.count;
  }
  return next;
}

/**
 * Whether this process is root of some of the machine's ids only. Then the kernel keeps from it what concerns the whole
 * machine, whatever its capabilities say: device nodes, extended attributes `trusted.*`, limits above its own.
 */
export function inUserNamespace(): boolean {
  return (inside ??= !isInitialMap(readIdMap('uid_map')));
}

/** Of this process. */
export function readIdMap(name: 'uid_map' | 'gid_map'): readonly IdExtent[] {
  try {
    return parseIdMap(readFileSync(`/proc/self/${name}`, 'latin1'));
  } catch {
    return []; // a kernel without user namespaces
  }
}

/** A process with threads stays in its user namespace for life. */
let inside: boolean | undefined;
