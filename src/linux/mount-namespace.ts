import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmdirSync,
  symlinkSync,
} from 'node:fs';
import { bind, check } from './libc.ts';
import { isBelow, mountOf, readMounts } from './mountinfo.ts';
import { makeNodeAt } from './files.ts';
import { bindMount, mount, setPropagation, unmount } from './mount.ts';
import { isAlive, type ProcessIdentity } from './process.ts';
import { inUserNamespace } from './user-namespace-ids.ts';

export interface MountNamespaceRequest {
  readonly dataRoot: string;
  readonly execRoot: string;
  /** Monitors of an earlier engine with this exec root: when one lives, its namespace is joined, since the containers' mounts are there. */
  readonly monitors: Iterable<ProcessIdentity>;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Set in the environment of the process that comes out of `enterEngineMountNamespace`, to its namespace and exec root. */
const MARKER = 'GANTRY_MOUNT_NAMESPACE';

/**
 * Moves this process into the engine's own mount namespace. The first thing that the daemon does: it replaces the
 * process (same pid, same command line), so everything done before is done again, and open descriptors are closed.
 * Returns only when there is nothing more to do, with the reason.
 *
 * Inside, data root and exec root are private mounts, so overlay mounts of containers are nobody else's; `/sys/fs/cgroup`
 * is private, without the second hierarchy of hybrid hosts. All other mounts spread between host and engine as they did,
 * with one exception: on the filesystems that hold the two roots, new mounts come from the host but do not go to it.
 */
export function enterEngineMountNamespace(request: MountNamespaceRequest): { entered: boolean; reason: string } {
  if (process.geteuid?.() !== 0)
    return { entered: false, reason: 'not root: mounts stay in the namespace of the caller' };
  const execve = process.execve?.bind(process);
  if (!execve)
    return { entered: false, reason: `Node ${process.version} has no process.execve: mounts stay on the host` };
  mkdirSync(request.dataRoot, { recursive: true, mode: 0o711 }); // steps of builds with ids of their own pass it
  mkdirSync(request.execRoot, { recursive: true, mode: 0o711 });
  const roots = [realpathSync(request.dataRoot), realpathSync(request.execRoot)];
  if (request.env[MARKER] === marker(roots)) return { entered: true, reason: 'in the engine’s mount namespace' };

  const monitor = Iterator.from(request.monitors).find(isAlive);
  if (monitor) {
    join(monitor.pid);
  } else {
    check(unshare(CLONE_NEWNS), 'unshare', 'mount namespace');
    prepare(roots);
  }
  const env: Record<string, string> = { [MARKER]: marker(roots) };
  for (const [name, value] of Object.entries(request.env)) {
    if (value !== undefined && name !== MARKER) env[name] = value;
  }
  return execve(process.execPath, commandLine(), env);
}

function marker(roots: readonly string[]): string {
  return [readlinkSync('/proc/thread-self/ns/mnt'), ...roots].join(' ');
}

/** Our own arguments, Node's options included, as the kernel has them: a relative script path stays right, since the directory stays. */
function commandLine(): string[] {
  return readFileSync('/proc/self/cmdline', 'utf8').split('\0').slice(0, -1);
}

function join(pid: number): void {
  const namespace = openSync(`/proc/${pid}/ns/mnt`, 'r');
  try {
    // A thread that shares its root and working directory with others may not change its mount namespace.
    const directory = process.cwd();
    check(unshare(CLONE_FS), 'unshare', 'working directory');
    check(setns(namespace, CLONE_NEWNS), 'setns', 'mount namespace');
    // Not process.chdir: only this thread is inside, and Node's would look at its cache.
    check(chdir(directory), 'chdir', directory);
  } finally {
    closeSync(namespace);
  }
}

function prepare(roots: readonly string[]): void {
  if (seesHybridCgroups()) {
    if (inUserNamespace()) hideCgroups();
    else hideSecondHierarchy();
  }
  for (const root of roots) {
    const parent = mountOf(readMounts(), root);
    // Already below a private mount of ours: the exec root inside the data root, or the other way round.
    if (parent && roots.some((other) => other === parent.mountPoint && isBelow(root, other))) continue;
    if (parent?.propagation.some((mark) => mark.startsWith('shared:'))) {
      setPropagation(parent.mountPoint, 'slave');
      setPropagation(parent.mountPoint, 'shared');
    }
    bindMount(root, root, { recursive: true });
    setPropagation(root, 'private', { recursive: true });
  }
  // in a user namespace there are no devices to be made, nor can crun take the host's for a container's user
  if (!inUserNamespace()) takeOwnNullDevice(roots[1]!);
}

/**
 * A /dev/null that is the engine's alone: crun makes a container's standard streams its user's own, and one that is not used
 * is /dev/null, which would be the host's.
 */
function takeOwnNullDevice(execRoot: string): void {
  const parent = mountOf(readMounts(), NULL_DEVICE);
  if (!parent) return;
  if (parent.propagation.some((mark) => mark.startsWith('shared:'))) {
    setPropagation(parent.mountPoint, 'slave');
    setPropagation(parent.mountPoint, 'shared');
  }
  const place = `${execRoot}/null`;
  mkdirSync(place, { recursive: true, mode: 0o700 });
  mount({ type: 'tmpfs', source: 'null', options: ['nosuid', 'noexec', 'size=4096', 'mode=755'] }, place);
  const directory = openSync(place, 'r');
  try {
    makeNodeAt(directory, 'null', 'character-device', 0o666, { major: 1, minor: 3 });
    chmodSync(`${place}/null`, 0o666); // the mask took some of it
    bindMount(`${place}/null`, NULL_DEVICE);
  } finally {
    closeSync(directory);
    unmount(place, { detach: true });
    rmdirSync(place);
  }
}

/**
 * A `/sys/fs/cgroup` of our own with the v1 hierarchies, and without the empty v2 one beside them: crun refuses hosts
 * that have both, and where `unified` is an empty directory it leaves files of its own there.
 */
function hideSecondHierarchy(): void {
  setPropagation(CGROUP_ROOT, 'private', { recursive: true });
  const names = readdirSync(CGROUP_ROOT, { withFileTypes: true }).filter((entry) => entry.name !== 'unified');
  const hierarchies = names.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  const links = names
    .filter((entry) => entry.isSymbolicLink())
    .map((entry) => ({ name: entry.name, target: readlinkSync(`${CGROUP_ROOT}/${entry.name}`) }));
  const opened = hierarchies.map((name) => openSync(`${CGROUP_ROOT}/${name}`, 'r'));
  try {
    mount({ type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev', 'noexec', 'mode=755'] }, CGROUP_ROOT);
    hierarchies.forEach((name, index) => {
      mkdirSync(`${CGROUP_ROOT}/${name}`);
      bindMount(`/proc/thread-self/fd/${opened[index]}`, `${CGROUP_ROOT}/${name}`);
    });
    for (const link of links) symlinkSync(link.target, `${CGROUP_ROOT}/${link.name}`);
  } finally {
    for (const fd of opened) closeSync(fd);
  }
}

/** In a user namespace the hierarchies of v1 are nobody's to use. */
function hideCgroups(): void {
  setPropagation(CGROUP_ROOT, 'private', { recursive: true });
  mount({ type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev', 'noexec', 'mode=755'] }, CGROUP_ROOT);
}

/** Whether this process sees cgroup v1 controllers together with the v2 hierarchy, as crun refuses it. */
export function seesHybridCgroups(): boolean {
  return existsSync(`${HYBRID_ROOT}/cgroup.procs`);
}

const NULL_DEVICE = '/dev/null';
const CGROUP_ROOT = '/sys/fs/cgroup';
const HYBRID_ROOT = '/sys/fs/cgroup/unified';
const CLONE_FS = 0x200;
const CLONE_NEWNS = 0x20000;
const unshare = bind<(flags: number) => number>('int unshare(int flags)');
const setns = bind<(fd: number, type: number) => number>('int setns(int fd, int type)');
const chdir = bind<(path: string) => number>('int chdir(const char *path)');
