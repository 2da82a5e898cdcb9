import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { availableParallelism, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { type AppArmorSupport, appArmorSupport } from './apparmor.ts';
import { scopeOf } from './user-scope.ts';
import { idsFromZero, inUserNamespace, readIdMap } from './user-namespace-ids.ts';

/** What this host and this process can do: read once at start, and given to what decides by it. */
export interface HostFacts {
  /** As Go and OCI name it: `amd64`, `arm64`, … */
  readonly architecture: string;
  readonly kernel: { readonly major: number; readonly minor: number };
  readonly cgroup: CgroupFacts;
  /** `CAP_…` that this process has effectively; nothing it starts can have more. */
  readonly capabilities: ReadonlySet<string>;
  /** Whether it can go above its own limits, and below its own oom score: only root of the whole machine can. */
  readonly raisesLimits: boolean;
  /** Set in a user namespace: how many group ids there are from 0 on. */
  readonly groups: number | undefined;
  /** By name in lower case as `--ulimit` has it (`nofile`); `Infinity` is unlimited. */
  readonly rlimits: ReadonlyMap<string, { readonly soft: number; readonly hard: number }>;
  readonly oomScoreAdj: number;
  readonly cpus: number;
  /** Bytes. */
  readonly memory: number;
  readonly apparmor: AppArmorSupport;
  readonly selinux: boolean;
  readonly seccomp: boolean;
  /** The kernel has cgroup namespaces. */
  readonly cgroupNamespaces: boolean;
  /** The kernel can make bind mounts read-only with everything below them (`mount_setattr`, 5.12). */
  readonly recursiveReadOnly: boolean;
}

/** Which limits the kernel's cgroups offer. */
export interface CgroupFacts {
  /** Hybrid hosts count as 1: their controllers are there. */
  readonly version: 1 | 2;
  /** Below which all groups are that this process makes: empty, or the part of the hierarchy that a user was given. */
  readonly base: string;
  /** `none`: this process may make no groups, so containers have none, and no limits. */
  readonly driver: 'cgroupfs' | 'none';
  readonly memory: boolean;
  readonly memorySwap: boolean;
  readonly memoryReservation: boolean;
  readonly memorySwappiness: boolean;
  readonly oomKillDisable: boolean;
  readonly cpuShares: boolean;
  readonly cpuQuota: boolean;
  readonly cpuRealtime: boolean;
  readonly cpuset: boolean;
  /** Lists in the kernel's form: `0-3,8`. */
  readonly cpusetCpus: string;
  readonly cpusetMems: string;
  readonly pids: boolean;
  readonly blkioWeight: boolean;
  readonly blkioWeightDevice: boolean;
  readonly blkioThrottle: boolean;
}

/** Names by bit, capability.h. */
export const CAPABILITY_NAMES: readonly string[] = (
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE ' +
  'NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN ' +
  'SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE ' +
  'MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE'
)
  .split(' ')
  .map((name) => `CAP_${name}`);

export function readHostFacts(): HostFacts {
  const version = /^(\d+)\.(\d+)/.exec(release());
  const kernel = { major: Number(version?.[1] ?? 0), minor: Number(version?.[2] ?? 0) };
  const capabilities = parseCapabilities(text('/proc/self/status'));
  return {
    architecture: GO_ARCHITECTURES[process.arch] ?? process.arch,
    kernel,
    cgroup: cgroupFacts(),
    capabilities,
    raisesLimits: capabilities.has('CAP_SYS_RESOURCE') && !inUserNamespace(),
    groups: inUserNamespace() ? idsFromZero(readIdMap('gid_map')) : undefined,
    rlimits: parseLimits(text('/proc/self/limits')),
    oomScoreAdj: Number(text('/proc/self/oom_score_adj')) || 0,
    cpus: availableParallelism(),
    memory: totalmem(),
    apparmor: appArmorSupport(),
    selinux: existsSync('/sys/fs/selinux/enforce'),
    seccomp: existsSync('/proc/sys/kernel/seccomp/actions_avail') || /^Seccomp:/m.test(text('/proc/self/status')),
    cgroupNamespaces: existsSync('/proc/self/ns/cgroup'),
    recursiveReadOnly: kernel.major > 5 || (kernel.major === 5 && kernel.minor >= 12),
  };
}

/** Whether the kernel forwards IPv4 now: no fact of the host but a switch that the engine's first bridge turns on. */
export function ipForwarding(): boolean {
  return text('/proc/sys/net/ipv4/ip_forward').trim() === '1';
}

const GO_ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: '386',
  arm64: 'arm64',
  arm: 'arm',
  ppc64: 'ppc64le',
  s390x: 's390x',
  riscv64: 'riscv64',
  loong64: 'loong64',
};

/** From the `CapEff:` line of /proc/<pid>/status. */
export function parseCapabilities(status: string): ReadonlySet<string> {
  const bits = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`);
  return new Set(CAPABILITY_NAMES.filter((_, bit) => (bits & (1n << BigInt(bit))) !== 0n));
}

/** The words of /proc/<pid>/limits for the names of `ulimit`. */
const LIMIT_NAMES: Readonly<Record<string, string>> = {
  'Max cpu time': 'cpu',
  'Max file size': 'fsize',
  'Max data size': 'data',
  'Max stack size': 'stack',
  'Max core file size': 'core',
  'Max resident set': 'rss',
  'Max processes': 'nproc',
  'Max open files': 'nofile',
  'Max locked memory': 'memlock',
  'Max address space': 'as',
  'Max file locks': 'locks',
  'Max pending signals': 'sigpending',
  'Max msgqueue size': 'msgqueue',
  'Max nice priority': 'nice',
  'Max realtime priority': 'rtprio',
  'Max realtime timeout': 'rttime',
};

export function parseLimits(limits: string): ReadonlyMap<string, { soft: number; hard: number }> {
  const found = new Map<string, { soft: number; hard: number }>();
  for (const line of limits.split('\n').slice(1)) {
    const match = /^(Max [a-z ]+?)\s{2,}(\S+)\s+(\S+)/.exec(line);
    const name = match && LIMIT_NAMES[match[1]!];
    if (match && name !== undefined && name !== null)
      found.set(name, { soft: limit(match[2]!), hard: limit(match[3]!) });
  }
  return found;
}

function limit(word: string): number {
  return word === 'unlimited' ? Infinity : Number(word);
}

function cgroupFacts(): CgroupFacts {
  const unified = existsSync('/sys/fs/cgroup/cgroup.controllers');
  if (!inUserNamespace()) return unified ? unifiedFacts('') : legacyFacts();
  const scope = unified ? scopeOf('self') : undefined;
  return scope === undefined ? { ...NO_CGROUPS, version: unified ? 2 : 1 } : unifiedFacts(scope);
}

const NO_CGROUPS: Omit<CgroupFacts, 'version'> = {
  driver: 'none',
  base: '',
  memory: false,
  memorySwap: false,
  memoryReservation: false,
  memorySwappiness: false,
  oomKillDisable: false,
  cpuShares: false,
  cpuQuota: false,
  cpuRealtime: false,
  cpuset: false,
  cpusetCpus: '',
  cpusetMems: '',
  pids: false,
  blkioWeight: false,
  blkioWeightDevice: false,
  blkioThrottle: false,
};

/** What groups below this one can have. */
function unifiedFacts(base: string): CgroupFacts {
  const root = `/sys/fs/cgroup${base}`;
  // of a part, what it passes on; the root group passes on all that it has
  const controllers = new Set(
    text(`${root}/${base === '' ? 'cgroup.controllers' : 'cgroup.subtree_control'}`)
      .trim()
      .split(' '),
  );
  const memory = controllers.has('memory');
  const io = controllers.has('io');
  return {
    version: 2,
    driver: 'cgroupfs',
    base,
    memory,
    // the root group has no limits of its own: a child's files tell what the kernel was built with
    memorySwap: memory && childHas(root, 'memory.swap.max'),
    memoryReservation: memory,
    memorySwappiness: false,
    oomKillDisable: false,
    cpuShares: controllers.has('cpu'),
    cpuQuota: controllers.has('cpu'),
    cpuRealtime: false,
    cpuset: controllers.has('cpuset'),
    cpusetCpus: text(`${root}/cpuset.cpus.effective`).trim(),
    cpusetMems: text(`${root}/cpuset.mems.effective`).trim(),
    pids: controllers.has('pids'),
    blkioWeight: io && childHas(root, 'io.weight'),
    blkioWeightDevice: io && childHas(root, 'io.weight'),
    blkioThrottle: io,
  };
}

function childHas(root: string, file: string): boolean {
  try {
    return readdirSync(root, { withFileTypes: true }).some(
      (entry) => entry.isDirectory() && existsSync(join(root, entry.name, file)),
    );
  } catch {
    return false;
  }
}

function legacyFacts(): CgroupFacts {
  const mounts = legacyMounts(text('/proc/self/mountinfo'));
  const has = (controller: string, file: string): boolean => {
    const mount = mounts.get(controller);
    return mount !== undefined && existsSync(join(mount, file));
  };
  const cpuset = mounts.get('cpuset');
  return {
    version: 1,
    driver: 'cgroupfs',
    base: '',
    memory: mounts.has('memory'),
    memorySwap: has('memory', 'memory.memsw.limit_in_bytes'),
    memoryReservation: has('memory', 'memory.soft_limit_in_bytes'),
    memorySwappiness: has('memory', 'memory.swappiness'),
    oomKillDisable: has('memory', 'memory.oom_control'),
    cpuShares: has('cpu', 'cpu.shares'),
    cpuQuota: has('cpu', 'cpu.cfs_quota_us'),
    cpuRealtime: has('cpu', 'cpu.rt_period_us'),
    cpuset: cpuset !== undefined,
    cpusetCpus: cpuset === undefined ? '' : text(join(cpuset, 'cpuset.cpus')).trim(),
    cpusetMems: cpuset === undefined ? '' : text(join(cpuset, 'cpuset.mems')).trim(),
    pids: mounts.has('pids'),
    blkioWeight: has('blkio', 'blkio.weight'),
    blkioWeightDevice: has('blkio', 'blkio.weight_device'),
    blkioThrottle: has('blkio', 'blkio.throttle.read_bps_device'),
  };
}

/** Mount point by controller, from /proc/self/mountinfo. */
export function legacyMounts(mountinfo: string): ReadonlyMap<string, string> {
  const mounts = new Map<string, string>();
  for (const line of mountinfo.split('\n')) {
    const [before, after] = line.split(' - ');
    if (after === undefined || !after.startsWith('cgroup ')) continue;
    const mountPoint = before!.split(' ')[4]!;
    for (const option of after.split(' ')[2]!.split(',')) {
      if (option !== 'rw' && option !== 'ro') mounts.set(option, mountPoint);
    }
  }
  return mounts;
}

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
