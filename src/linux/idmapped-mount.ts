import { closeSync } from 'node:fs';
import { bind, check } from './libc.ts';
import { newUserNamespace } from './user-namespace.ts';

/** Two ids that change places: what has the one on the disk is seen with the other, and made with it. */
export type Swap = readonly [number, number];

/**
 * Mounts the directory or file `source` at `target` too (Linux 5.12), with owners and groups that changed places. Throws
 * SystemCallError: `EINVAL` where the filesystem cannot, `ENOSYS` where the kernel cannot.
 */
export async function mountIdmapped(source: string, target: string, ids: { uid: Swap; gid: Swap }): Promise<void> {
  await mountWithMaps(source, target, { uid: swapMap(ids.uid), gid: swapMap(ids.gid) });
}

/** The same with any maps, as user_namespaces(7) writes them: of ids on the disk to ids as they are seen. */
export async function mountWithMaps(
  source: string,
  target: string,
  maps: { readonly uid: string; readonly gid: string },
): Promise<void> {
  using namespaces = await newUserNamespace(maps);
  const namespace = namespaces.user;
  const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
  const tree = check(Number(openTree(SYS_OPEN_TREE, AT_FDCWD, source, flags)), 'open_tree', source);
  try {
    const attributes = Buffer.alloc(32);
    attributes.writeBigUInt64LE(MOUNT_ATTR_IDMAP, 0);
    attributes.writeBigUInt64LE(BigInt(namespace), 24);
    const set = mountSetattr(SYS_MOUNT_SETATTR, tree, '', AT_EMPTY_PATH, attributes, attributes.length);
    check(Number(set), 'mount_setattr', source);
    const moved = moveMount(SYS_MOVE_MOUNT, tree, '', AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH);
    check(Number(moved), 'move_mount', target);
  } finally {
    closeSync(tree);
  }
}

/** Every id from 0 on for `size` ids and those from `base` on in each other's place; the others stay. `size` is at most `base`. */
export function shiftMap({ base, size }: IdRange): string {
  const extents = [
    [0, base, size],
    [size, size, base - size],
    [base, 0, size],
    [base + size, base + size, ALL_IDS - base - size],
  ] as const;
  return extents
    .filter(([, , count]) => count > 0)
    .map((extent) => `${extent.join(' ')}\n`)
    .join('');
}

/** Ids of the host that stand for those from 0 on. */
export interface IdRange {
  readonly base: number;
  readonly size: number;
}

/** A map of user_namespaces(7) over all ids: each is itself, but for two. */
export function swapMap([a, b]: Swap): string {
  const [low, high] = a < b ? [a, b] : [b, a];
  if (low === high) return `0 0 ${ALL_IDS}\n`;
  const extents = [
    [0, 0, low],
    [low, high, 1],
    [low + 1, low + 1, high - low - 1],
    [high, low, 1],
    [high + 1, high + 1, ALL_IDS - high - 1],
  ] as const;
  return extents
    .filter(([, , count]) => count > 0)
    .map((extent) => `${extent.join(' ')}\n`)
    .join('');
}

/** Every id but the last, which stands for none. */
const ALL_IDS = 0xffff_ffff;

const SYS_OPEN_TREE = 428;
const SYS_MOVE_MOUNT = 429;
const SYS_MOUNT_SETATTR = 442;
const OPEN_TREE_CLONE = 1;
const OPEN_TREE_CLOEXEC = 0o2000000;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const MOUNT_ATTR_IDMAP = 0x0010_0000n;
const AT_EMPTY_PATH = 0x1000;
const AT_FDCWD = -100;

const openTree = bind<(number: number, dir: number, path: string, flags: number) => number | bigint>(
  'long syscall(long number, int dir, const char *path, unsigned int flags)',
);
const mountSetattr = bind<
  (number: number, dir: number, path: string, flags: number, attributes: Buffer, size: number) => number | bigint
>('long syscall(long number, int dir, const char *path, unsigned int flags, void *attributes, size_t size)');
const moveMount = bind<
  (number: number, from: number, fromPath: string, to: number, toPath: string, flags: number) => number | bigint
>('long syscall(long number, int from, const char *from_path, int to, const char *to_path, unsigned int flags)');
