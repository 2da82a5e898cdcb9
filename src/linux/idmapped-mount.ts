import { closeSync, openSync, writeFileSync } from 'node:fs';
import { bind, check } from './libc.ts';
import { pipe, readEnd } from './pipe.ts';
import { spawnProcess, type SpawnedProcess } from './spawn.ts';
import { TOOL_PATH } from './tool.ts';

/** Two ids that change places: what has the one on the disk is seen with the other, and made with it. */
export type Swap = readonly [number, number];

/**
 * Mounts the directory or file `source` at `target` too (Linux 5.12), with owners and groups that changed places. Throws
 * SystemCallError: `EINVAL` where the filesystem cannot, `ENOSYS` where the kernel cannot.
 */
export async function mountIdmapped(source: string, target: string, ids: { uid: Swap; gid: Swap }): Promise<void> {
  const namespace = await userNamespace(swapMap(ids.uid), swapMap(ids.gid));
  try {
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
  } finally {
    closeSync(namespace);
  }
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

/** Only a process can make one, and a process with threads cannot: a shell does, and ends. */
async function userNamespace(uidMap: string, gidMap: string): Promise<number> {
  const [input, output] = [pipe(), pipe()];
  const nothing = openSync('/dev/null', 'r+');
  const stdout = readEnd(output.read);
  try {
    const child = startShell([input.read, output.write, nothing]);
    let made = false;
    for await (const _ of stdout) {
      made = true;
      break;
    }
    if (!made) throw new Error('this host allows no user namespaces');
    writeFileSync(`/proc/${child.pid}/uid_map`, uidMap);
    writeFileSync(`/proc/${child.pid}/gid_map`, gidMap);
    return openSync(`/proc/${child.pid}/ns/user`, 'r');
  } finally {
    // the end of its input is the shell's end
    closeSync(input.write);
    stdout.destroy();
  }
}

/** Takes the descriptors. */
function startShell(fds: readonly number[]): SpawnedProcess {
  try {
    return spawnProcess({
      path: '/usr/bin/unshare',
      argv: ['unshare', '--user', 'sh', '-c', 'echo; read line'],
      env: [TOOL_PATH],
      fds,
    });
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}

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
