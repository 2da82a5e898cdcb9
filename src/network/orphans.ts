import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import type { Link, RouteNetlink } from '../linux/netlink-route.ts';

/** Bridges of an engine that is gone for good. */
export interface Orphans {
  readonly dataRoot: string;
  readonly bridges: readonly string[];
}

/** What engines make on hosts: bridges, and links that macvlan and ipvlan networks are beside. */
const KINDS: ReadonlySet<string> = new Set(['bridge', 'dummy', 'vlan']);
const MARK = 'gantry network of ';
/** IFALIASZ, with the terminating zero. */
const MAX_ALIAS = 255;

/** The alias by which a bridge says whose it is; undefined when the path is too long for one. */
export function ownerAlias(dataRoot: string): string | undefined {
  const alias = `${MARK}${dataRoot}`;
  return Buffer.byteLength(alias) <= MAX_ALIAS ? alias : undefined;
}

/**
 * What engines left whose data root does not exist any more: nobody will ever come back for it. An engine that is alive all
 * the same (its lock is open somewhere), or whose containers still run (a bridge has ports), keeps everything. Of this
 * engine's own, the bridges of no network it knows: its data root was emptied.
 */
export function findOrphans(
  links: RouteNetlink,
  own: { readonly dataRoot: string; readonly bridges: ReadonlySet<string> },
): Orphans[] {
  const all = links.links();
  const byRoot = new Map<string, Link[]>();
  for (const link of all) {
    const dataRoot = KINDS.has(link.kind) && link.alias.startsWith(MARK) ? link.alias.slice(MARK.length) : '';
    const isKept = dataRoot === own.dataRoot ? own.bridges.has(link.name) : existsSync(dataRoot);
    if (!dataRoot.startsWith('/') || isKept) continue;
    byRoot.set(dataRoot, [...(byRoot.get(dataRoot) ?? []), link]);
  }
  return [...byRoot]
    .filter(([, bridges]) => !bridges.some(({ index }) => all.some(({ master }) => master === index)))
    .filter(([dataRoot]) => dataRoot === own.dataRoot || !isLocked(dataRoot))
    .map(([dataRoot, bridges]) => ({ dataRoot, bridges: bridges.map(({ name }) => name) }));
}

/** Host ends of containers' links, on bridges of this engine, that no container of it is known to have: what a dead engine was making or taking away. */
export function findStrayPorts(links: RouteNetlink, dataRoot: string, known: ReadonlySet<string>): string[] {
  const all = links.links();
  const alias = ownerAlias(dataRoot);
  const bridges = new Set(
    all.filter((link) => link.kind === 'bridge' && link.alias === alias).map((link) => link.index),
  );
  return all
    .filter(({ kind, name, master }) => kind === 'veth' && bridges.has(master) && /^veth[0-9a-f]{7}$/.test(name))
    .map(({ name }) => name)
    .filter((name) => !known.has(name));
}

/** Whether a process has the root's lock open. It reads the descriptors of every process: only for what looks abandoned. */
function isLocked(dataRoot: string): boolean {
  const lock = `${dataRoot}/lock`;
  return list('/proc').some(
    (pid) =>
      /^\d+$/.test(pid) &&
      list(`/proc/${pid}/fd`).some((fd) => [lock, `${lock} (deleted)`].includes(target(`/proc/${pid}/fd/${fd}`))),
  );
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function target(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
