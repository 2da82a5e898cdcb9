import { closeSync } from 'node:fs';
import { bind, bindAside, check, lastErrno } from './libc.ts';

/** As `mount(8)` takes it; `options` has one entry each, flags and filesystem options mixed. */
export interface FilesystemMount {
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

/**
 * Mounts at `target`, which exists. Overlays with more lower directories than one page of options can name go through
 * the newer mount calls (Linux 6.5). `ro` of a bind takes effect too. Throws SystemCallError; then nothing is mounted.
 */
export function mount(request: FilesystemMount, target: string): void {
  const { flags, data } = splitOptions(request.options);
  if (request.type === 'bind' || (flags & MS_BIND) !== 0) {
    bindMount(request.source, target, { recursive: (flags & MS_REC) !== 0, flags: flags & ~(MS_BIND | MS_REC) });
  } else if (request.type === 'overlay' && Buffer.byteLength(data.join(',')) > MAX_OPTION_BYTES) {
    mountByDescriptor(request.type, request.source, data, flags, target);
  } else {
    mountCall(request.source, target, request.type, flags, data.join(','));
  }
}

/** Makes the tree at `source` (or just that filesystem) visible at `target` as well; `flags` (MS_RDONLY, …) concern the top mount. */
export function bindMount(
  source: string,
  target: string,
  options: { readonly recursive?: boolean; readonly flags?: number } = {},
): void {
  mountCall(source, target, null, MS_BIND | (options.recursive ? MS_REC : 0), null);
  const flags = options.flags ?? 0;
  if (flags === 0) return;
  try {
    remountBind(target, flags);
  } catch (error) {
    unmount(target, { detach: true });
    throw error;
  }
}

/** Changes the flags (MS_RDONLY, …) of the mount at `target`, not of its filesystem. */
export function remountBind(target: string, flags: number): void {
  mountCall(null, target, null, MS_REMOUNT | MS_BIND | flags, null);
}

export type Propagation = 'private' | 'slave' | 'shared' | 'unbindable';

/** Changes how mounts below `target`, a mount point, spread to copies of it. */
export function setPropagation(target: string, propagation: Propagation, options: { recursive?: boolean } = {}): void {
  mountCall(null, target, null, PROPAGATION[propagation] | (options.recursive ? MS_REC : 0), null);
}

/**
 * Unmounts the top mount at `target`, following no symlink in its last part; false when nothing is mounted there.
 * `detach` takes it away at once with everything below, however busy.
 */
export function unmount(target: string, options: { readonly detach?: boolean } = {}): boolean {
  const result = umount2(target, UMOUNT_NOFOLLOW | (options.detach ? MNT_DETACH : 0));
  if (result < 0 && (lastErrno() === EINVAL || lastErrno() === ENOENT)) return false;
  check(result, 'umount', target);
  return true;
}

/**
 * As `unmount` with `detach`, without holding up this thread: the last unmount of an overlay writes out all that is to be
 * written of the filesystem below it, whoever's it is. On a busy disk that takes many seconds, so that two threads of the
 * pool wait for it, and the others go on.
 */
export async function unmountAside(target: string): Promise<boolean> {
  const lane = nextLane++ % lanes.length;
  const mine = lanes[lane]!.then(() => umount2Aside(target, UMOUNT_NOFOLLOW | MNT_DETACH));
  lanes[lane] = mine.catch(() => undefined);
  const result = await mine;
  // the reason stayed with the other thread: this call has it again
  return result >= 0 || unmount(target, { detach: true });
}

const lanes: Promise<unknown>[] = [Promise.resolve(), Promise.resolve()];
let nextLane = 0;

export const MS_RDONLY = 0x1;
export const MS_NOSUID = 0x2;
export const MS_NODEV = 0x4;
export const MS_NOEXEC = 0x8;
const MS_REMOUNT = 0x20;
const MS_BIND = 0x1000;
const MS_REC = 0x4000;
const PROPAGATION: Readonly<Record<Propagation, number>> = {
  unbindable: 1 << 17,
  private: 1 << 18,
  slave: 1 << 19,
  shared: 1 << 20,
};
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
const EINVAL = 22;
const ENOENT = 2;
/** mount(2) copies one page, its end included. */
const MAX_OPTION_BYTES = 4095;

const FLAGS: Readonly<Record<string, number>> = {
  defaults: 0,
  rw: 0,
  ro: MS_RDONLY,
  nosuid: MS_NOSUID,
  nodev: MS_NODEV,
  noexec: MS_NOEXEC,
  sync: 0x10,
  mand: 0x40,
  dirsync: 0x80,
  noatime: 0x400,
  nodiratime: 0x800,
  bind: MS_BIND,
  rbind: MS_BIND | MS_REC,
  relatime: 1 << 21,
  strictatime: 1 << 24,
};

/** Flags of mount(2), and what is left for the filesystem. */
export function splitOptions(options: readonly string[]): { flags: number; data: string[] } {
  let flags = 0;
  const data: string[] = [];
  for (const option of options) {
    if (Object.hasOwn(FLAGS, option)) flags |= FLAGS[option]!;
    else data.push(option);
  }
  return { flags, data };
}

function mountCall(
  source: string | null,
  target: string,
  type: string | null,
  flags: number,
  data: string | null,
): void {
  check(mount2(source, target, type, flags, data), 'mount', target);
}

/** fsopen, fsconfig for each option, fsmount, move_mount: there is no limit to the number of options. */
function mountByDescriptor(type: string, source: string, data: readonly string[], flags: number, target: string): void {
  const context = check(Number(fsopen(SYS_FSOPEN, type, FSOPEN_CLOEXEC)), 'fsopen', type);
  try {
    const set = (key: string, value: string | null): void => {
      const command = value === null ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING;
      check(Number(fsconfig(SYS_FSCONFIG, context, command, key, value, 0)), 'fsconfig', `${type} ${key}`);
    };
    set('source', source);
    for (const option of data) {
      const equals = option.indexOf('=');
      const key = equals < 0 ? option : option.slice(0, equals);
      const value = equals < 0 ? null : option.slice(equals + 1);
      // `lowerdir` would be bound to 256 bytes here; `lowerdir+` adds one directory a time.
      if (key === 'lowerdir' && value !== null) for (const lower of splitLower(value)) set('lowerdir+', lower);
      else set(key, value);
    }
    check(Number(fsconfig(SYS_FSCONFIG, context, FSCONFIG_CMD_CREATE, null, null, 0)), 'fsconfig', `${type} create`);
    const attributes = flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC); // MOUNT_ATTR_* has the same bits for these
    const mounted = check(Number(fsmount(SYS_FSMOUNT, context, FSMOUNT_CLOEXEC, attributes)), 'fsmount', type);
    try {
      const moved = moveMount(SYS_MOVE_MOUNT, mounted, '', AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH);
      check(Number(moved), 'move_mount', target);
    } finally {
      closeSync(mounted);
    }
  } finally {
    closeSync(context);
  }
}

/** Directories of a `lowerdir=` value; a colon inside a name is escaped there, and plain with `lowerdir+`. */
function splitLower(value: string): string[] {
  return value.split(/(?<!\\):/).map((lower) => lower.replace(/\\([:\\])/g, '$1'));
}

const mount2 = bind<
  (source: string | null, target: string, type: string | null, flags: number, data: string | null) => number
>('int mount(const char *source, const char *target, const char *type, ulong flags, const char *data)');
const umount2Aside = bindAside<[target: string, flags: number]>('int umount2(const char *target, int flags)');
const umount2 = bind<(target: string, flags: number) => number>('int umount2(const char *target, int flags)');

// The same on every architecture since Linux 5.2.
const SYS_MOVE_MOUNT = 429;
const SYS_FSOPEN = 430;
const SYS_FSCONFIG = 431;
const SYS_FSMOUNT = 432;
const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const AT_FDCWD = -100;

const fsopen = bind<(number: number, type: string, flags: number) => number | bigint>(
  'long syscall(long number, const char *type, unsigned int flags)',
);
const fsconfig = bind<
  (
    number: number,
    fd: number,
    command: number,
    key: string | null,
    value: string | null,
    aux: number,
  ) => number | bigint
>('long syscall(long number, int fd, unsigned int command, const char *key, const char *value, int aux)');
const fsmount = bind<(number: number, fd: number, flags: number, attributes: number) => number | bigint>(
  'long syscall(long number, int fd, unsigned int flags, unsigned int attributes)',
);
const moveMount = bind<
  (number: number, from: number, fromPath: string, to: number, toPath: string, flags: number) => number | bigint
>('long syscall(long number, int from, const char *from_path, int to, const char *to_path, unsigned int flags)');
