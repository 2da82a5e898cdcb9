import { existsSync, readdirSync, readFileSync } from 'node:fs';
import type { HostConfig } from '../../api/container.ts';
import { EngineError } from '../../base/errors.ts';
import { INIT_PATH, initMount } from './init.ts';
import type { OciMount } from './oci-spec.ts';

/** A mount of the container's user, its source on the host settled. */
export type UserMount = UserBind | UserTmpfs;

export interface UserBind {
  readonly type: 'bind';
  /** Absolute and clean, as seen from inside. */
  readonly destination: string;
  /** Absolute path on the host. */
  readonly source: string;
  readonly readOnly: boolean;
  /** With what is mounted below the source. */
  readonly recursive: boolean;
  /** Whether what is mounted below is read-only as well: `force` refuses where the kernel cannot. */
  readonly readOnlyRecursion: 'best-effort' | 'off' | 'force';
  /** `rprivate`, `rslave`, `shared`, …; empty is `rprivate`. */
  readonly propagation: string;
}

export interface UserTmpfs {
  readonly type: 'tmpfs';
  readonly destination: string;
  /** As given, without the defaults. */
  readonly options: readonly string[];
}

export interface MountOptions {
  readonly hostConfig: HostConfig;
  readonly mounts: readonly UserMount[];
  /** Files the engine keeps for the container: /etc/hosts and its like. */
  readonly files: readonly { readonly destination: string; readonly source: string }[];
  /** Host path of the init to put into the container. */
  readonly init: string | undefined;
  /** A directory on the host to be /dev/shm, when it is shared with other containers. */
  readonly shm?: string | undefined;
  /** Whether containers have cgroups. */
  readonly cgroups?: boolean;
  /**
   * The host's cgroup v2 hierarchy in the host's own cgroup namespace. There a new mount of it changes the options of all
   * of its mounts, the host's included: `nsdelegate` and `memory_recursiveprot` would be gone. So it is bound.
   */
  readonly bindsCgroups?: boolean;
  /** The engine is in a user namespace: what belongs to the host's namespaces can be bound, and not mounted anew. */
  readonly bindsHost?: boolean;
  readonly writableCgroups: boolean;
  readonly recursiveReadOnly: boolean;
}

/** The mounts in the order they are made: parents before children, as the destinations' depth tells. */
export function containerMounts(options: MountOptions): OciMount[] {
  const { hostConfig } = options;
  const user = [
    ...Object.entries(hostConfig.Tmpfs ?? {}).map(([destination, given]) => tmpfsMount(destination, given.split(','))),
    ...options.mounts.map((mount) =>
      mount.type === 'tmpfs'
        ? tmpfsMount(mount.destination, mount.options)
        : bindMount(mount, options.recursiveReadOnly),
    ),
  ];
  const taken = new Set(user.map((mount) => mount.destination));
  if (options.init !== undefined && !taken.has(INIT_PATH)) user.push(initMount(options.init));
  for (const { destination, source } of options.files) {
    if (taken.has(destination)) continue;
    const readOnly = hostConfig.ReadonlyRootfs === true;
    user.push(
      bindMount(
        {
          type: 'bind',
          destination,
          source,
          readOnly,
          recursive: true,
          // a file has nothing below it, and some runtimes want a directory for the recursive kind
          readOnlyRecursion: 'off',
          propagation: '',
        },
        options.recursiveReadOnly,
      ),
    );
  }
  user.sort((a, b) => depth(a.destination) - depth(b.destination));
  const system = systemMounts(options).filter(
    ({ destination }) =>
      (destination !== CGROUPS || options.cgroups !== false) &&
      !taken.has(destination) &&
      !(taken.has('/dev') && destination.startsWith('/dev/')),
  );
  return [...system, ...user];
}

/** What the root's propagation must be for the mounts inside to pass theirs on. */
export function rootPropagation(mounts: readonly UserMount[]): string | undefined {
  const modes = mounts.map((mount) => (mount.type === 'bind' ? mount.propagation : ''));
  if (modes.some((mode) => mode === 'shared' || mode === 'rshared')) return 'shared';
  if (modes.some((mode) => mode === 'slave' || mode === 'rslave')) return 'rslave';
  return undefined;
}

const CGROUPS = '/sys/fs/cgroup';

function systemMounts(options: MountOptions): OciMount[] {
  const { hostConfig } = options;
  const privileged = hostConfig.Privileged === true;
  const mounts: OciMount[] = [
    options.bindsHost === true && hostConfig.PidMode === 'host'
      ? hostMount('/proc')
      : { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    },
    {
      destination: '/sys',
      type: 'sysfs',
      source: 'sysfs',
      options: ['nosuid', 'noexec', 'nodev', ...(privileged ? [] : ['ro'])],
    },
    {
      destination: CGROUPS,
      ...(options.bindsCgroups === true ? { type: 'bind', source: CGROUPS } : { type: 'cgroup', source: 'cgroup' }),
      options: [
        ...(options.bindsCgroups === true ? ['rbind', 'rprivate'] : []),
        ...(privileged || options.writableCgroups ? [] : ['ro']),
        'nosuid',
        'noexec',
        'nodev',
      ],
    },
  ];
  if (options.bindsHost === true && hostConfig.IpcMode === 'host') {
    if (existsSync('/dev/mqueue')) mounts.push(hostMount('/dev/mqueue'));
  } else {
    mounts.push({
      destination: '/dev/mqueue',
      type: 'mqueue',
      source: 'mqueue',
      options: ['nosuid', 'noexec', 'nodev'],
    });
  }
  const shm = shmMount(options);
  if (shm) mounts.push(shm);
  return mounts;
}

function hostMount(path: string): OciMount {
  return { destination: path, type: 'bind', source: path, options: ['rbind', 'nosuid', 'noexec', 'nodev'] };
}

export const DEFAULT_SHM_SIZE = 64 * 1024 * 1024;

function shmMount(options: MountOptions): OciMount | undefined {
  const { IpcMode, ShmSize } = options.hostConfig;
  const destination = '/dev/shm';
  if (IpcMode === 'none') return undefined;
  if (IpcMode === 'host') {
    return { destination, type: 'bind', source: '/dev/shm', options: ['rbind', 'rprivate'] };
  }
  if (options.shm !== undefined) {
    return { destination, type: 'bind', source: options.shm, options: ['rbind', 'rprivate'] };
  }
  return {
    destination,
    type: 'tmpfs',
    source: 'shm',
    options: ['nosuid', 'noexec', 'nodev', 'mode=1777', `size=${ShmSize || DEFAULT_SHM_SIZE}`],
  };
}

function bindMount(mount: UserBind, recursiveReadOnly: boolean): OciMount {
  const options = [mount.recursive ? 'rbind' : 'bind'];
  if (mount.readOnly) options.push(readOnlyOption(mount, recursiveReadOnly));
  options.push(mount.propagation || 'rprivate');
  return { destination: mount.destination, type: 'bind', source: mount.source, options };
}

function readOnlyOption(mount: UserBind, recursiveReadOnly: boolean): string {
  if (!mount.recursive || mount.readOnlyRecursion === 'off') return 'ro';
  if (recursiveReadOnly) return 'rro';
  if (mount.readOnlyRecursion === 'force') {
    throw new EngineError('invalid-argument', 'recursive read-only mounts need Linux 5.12 or newer');
  }
  return 'ro';
}

const TMPFS_DEFAULTS = ['noexec', 'nosuid', 'nodev', 'rprivate'];
const OPPOSITES: Readonly<Record<string, string>> = { exec: 'noexec', suid: 'nosuid', dev: 'nodev' };
const PROPAGATIONS = new Set([
  'private',
  'rprivate',
  'slave',
  'rslave',
  'shared',
  'rshared',
  'unbindable',
  'runbindable',
]);
// Docker takes bind and remount, too: of a mount of the runtime's own, as of a read-only hierarchy of cgroups.
const FLAGS = new Set(
  (
    'ro rw exec noexec suid nosuid dev nodev sync async dirsync mand nomand atime noatime diratime nodiratime relatime ' +
    'norelatime strictatime nostrictatime defaults'
  ).split(' '),
);
const VALUES = new Set(['mode', 'uid', 'gid', 'size', 'nr_inodes', 'nr_blocks', 'mpol', 'huge']);

function tmpfsMount(destination: string, given: readonly string[]): OciMount {
  return { destination, type: 'tmpfs', source: 'tmpfs', options: tmpfsOptions(given) };
}

/** Given options over the safe defaults; of contradicting ones the later wins. Throws `invalid-argument`. */
export function tmpfsOptions(given: readonly string[]): string[] {
  const result = [...TMPFS_DEFAULTS];
  const remove = (option: string | undefined): void => {
    const at = option === undefined ? -1 : result.indexOf(option);
    if (at >= 0) result.splice(at, 1);
  };
  for (const option of given) {
    if (option === '' || option === 'defaults') continue;
    const cut = option.indexOf('=');
    const name = cut < 0 ? option : option.slice(0, cut);
    const known = cut < 0 ? FLAGS.has(name) || PROPAGATIONS.has(name) : VALUES.has(name);
    if (!known) throw new EngineError('invalid-argument', `invalid tmpfs option "${option}"`);
    if (cut >= 0) {
      for (const earlier of result.filter((item) => item.startsWith(`${name}=`))) remove(earlier);
    } else {
      remove(option);
      remove(OPPOSITES[option]);
      if (option.startsWith('no')) remove(option.slice(2));
      if (option === 'ro') remove('rw');
      if (option === 'rw') remove('ro');
      if (PROPAGATIONS.has(option)) for (const mode of PROPAGATIONS) remove(mode);
    }
    result.push(option);
  }
  return result;
}

function depth(path: string): number {
  return path.split('/').filter((part) => part !== '').length;
}

/** What leaks or changes the host through /proc and /sys: Docker's list of 2026, and what other engines mask besides. */
const MASKED_PATHS: readonly string[] = [
  '/proc/asound',
  '/proc/acpi',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
  '/sys/fs/selinux',
];

export const DEFAULT_READONLY_PATHS: readonly string[] = [
  '/proc/bus',
  '/proc/fs',
  '/proc/irq',
  '/proc/sys',
  '/proc/sysrq-trigger',
];

/** The masked paths of a container that says nothing of them, with this machine's thermal sensors. */
export function defaultMaskedPaths(sysCpu = '/sys/devices/system/cpu'): string[] {
  return [...MASKED_PATHS, ...thermalPaths(sysCpu)];
}

/** By the processors that there were: to look is to wait for those that change what /sys shows, like every new interface. */
let known: { readonly of: string; readonly paths: string[] } | undefined;

function thermalPaths(sysCpu: string): string[] {
  try {
    const of = `${sysCpu} ${readFileSync(`${sysCpu}/present`, 'latin1')}`;
    known = known?.of === of ? known : { of, paths: findThermal(sysCpu) };
    return known.paths;
  } catch {
    return [];
  }
}

function findThermal(sysCpu: string): string[] {
  return readdirSync(sysCpu)
    .filter((name) => /^cpu\d+$/.test(name))
    .filter((name) => readdirSync(`${sysCpu}/${name}`).includes('thermal_throttle'))
    .map((name) => `/sys/devices/system/cpu/${name}/thermal_throttle`)
    .sort();
}

/** A directory or file of the engine's own, without what is mounted below it. */
export function readOnlyBind(destination: string, source: string): UserMount {
  return {
    type: 'bind',
    destination,
    source,
    readOnly: true,
    recursive: false,
    readOnlyRecursion: 'off',
    propagation: '',
  };
}
