import { readFileSync } from 'node:fs';
import { hostname, release } from 'node:os';
import type { SystemInfo } from '../../api/system.ts';
import { now } from '../../base/time.ts';
import { VERSION } from '../../base/version.ts';
import { type HostFacts, ipForwarding } from '../../linux/host-facts.ts';
import { mountOf, readMounts } from '../../linux/mountinfo.ts';
import { NO_PARSER } from '../../runtime/spec/security.ts';
import { LOG_DRIVERS } from '../../logging/drivers.ts';
import type { ContainerStore } from '../../state/containers.ts';
import type { EngineConfig } from '../config.ts';
import { countsAsRunning } from '../containers/state.ts';

export interface InfoParts {
  /** Of this data root, for ever. */
  readonly id: string;
  readonly config: EngineConfig;
  readonly host: HostFacts;
  readonly containers: Pick<ContainerStore, 'list'>;
  readonly imageCount: () => number;
  readonly listenerCount: () => number;
  readonly runtimes: Readonly<Record<string, { readonly path: string; readonly args: readonly string[] }>>;
}

/** What this engine is and what its host can do; the fields are Docker's. */
export function systemInfo(parts: InfoParts): SystemInfo {
  const { config, host } = parts;
  const { cgroup } = host;
  const containers = parts.containers.list();
  const paused = containers.filter(({ state }) => state.status === 'paused').length;
  const running = containers.filter(({ state }) => countsAsRunning(state)).length - paused;
  const os = osRelease();
  return {
    ID: parts.id,
    Containers: containers.length,
    ContainersRunning: running,
    ContainersPaused: paused,
    ContainersStopped: containers.length - running - paused,
    Images: parts.imageCount(),
    Driver: 'overlay2',
    DriverStatus: [
      ['Backing Filesystem', backingFilesystem(config.dataRoot)],
      ['Supports d_type', 'true'],
      ['Using metacopy', 'false'],
      ['Native Overlay Diff', 'true'],
      ['userxattr', String(host.groups !== undefined)],
    ],
    Plugins: {
      Volume: ['local'],
      Network: ['bridge', 'host', 'null'],
      Authorization: null,
      Log: ['json-file', 'local', 'none', ...LOG_DRIVERS.keys()].toSorted(),
    },
    MemoryLimit: cgroup.memory,
    SwapLimit: cgroup.memorySwap,
    CpuCfsPeriod: cgroup.cpuQuota,
    CpuCfsQuota: cgroup.cpuQuota,
    CPUShares: cgroup.cpuShares,
    CPUSet: cgroup.cpuset,
    PidsLimit: cgroup.pids,
    IPv4Forwarding: ipForwarding(),
    Debug: config.debug,
    NFd: 0,
    OomKillDisable: cgroup.oomKillDisable,
    NGoroutines: 0,
    SystemTime: now(),
    LoggingDriver: config.logDriver,
    CgroupDriver: cgroup.driver,
    CgroupVersion: String(cgroup.version),
    NEventsListener: parts.listenerCount(),
    KernelVersion: release(),
    OperatingSystem: os.name,
    OSVersion: os.version,
    OSType: 'linux',
    Architecture: MACHINES[host.architecture] ?? host.architecture,
    IndexServerAddress: 'https://index.docker.io/v1/',
    RegistryConfig: registryConfig(config),
    NCPU: host.cpus,
    MemTotal: host.memory,
    GenericResources: null,
    DockerRootDir: config.dataRoot,
    HttpProxy: '',
    HttpsProxy: '',
    NoProxy: '',
    Name: hostname(),
    Labels: [...config.labels],
    ExperimentalBuild: false,
    ServerVersion: VERSION,
    Runtimes: Object.fromEntries(
      Object.entries(parts.runtimes).map(([name, { path, args }]) => [
        name,
        { path, ...(args.length > 0 && { runtimeArgs: [...args] }) },
      ]),
    ),
    DefaultRuntime: config.defaultRuntime,
    Swarm: {
      NodeID: '',
      NodeAddr: '',
      LocalNodeState: 'inactive',
      ControlAvailable: false,
      Error: '',
      RemoteManagers: null,
    },
    LiveRestoreEnabled: true,
    Isolation: '',
    InitBinary: config.initPath ?? 'docker-init',
    ContainerdCommit: { ID: '' },
    RuncCommit: { ID: '' },
    InitCommit: { ID: '' },
    SecurityOptions: [
      ...securityOptions(host),
      ...(host.groups === undefined ? [] : ['name=rootless']),
      ...(config.usernsRemap === undefined ? [] : ['name=userns']),
    ],
    FirewallBackend: { Driver: 'nftables' },
    CDISpecDirs: [],
    Warnings: warnings(host),
  };
}

/** As `uname -m` has them. */
const MACHINES: Readonly<Record<string, string>> = { amd64: 'x86_64', arm64: 'aarch64', arm: 'armv7l', '386': 'i686' };

function backingFilesystem(dataRoot: string): string {
  const type = mountOf(readMounts(), dataRoot)?.type ?? 'unknown';
  // Docker has one name for the three that share a magic number
  return /^ext[234]$/.test(type) ? 'extfs' : type;
}

function securityOptions(host: HostFacts): string[] {
  return [
    ...(host.apparmor === 'yes' ? ['name=apparmor'] : []),
    ...(host.seccomp ? ['name=seccomp,profile=builtin'] : []),
    ...(host.selinux ? ['name=selinux'] : []),
    ...(host.cgroup.version === 2 ? ['name=cgroupns'] : []),
  ];
}

/** What the host cannot do, in Docker's words. */
function warnings(host: HostFacts): string[] | null {
  const { cgroup } = host;
  if (cgroup.driver === 'none') {
    const remedy =
      cgroup.version === 2
        ? 'Systemd is required to enable cgroups in rootless-mode.'
        : 'To enable cgroups in rootless-mode, you need to boot the system in cgroup v2 mode.';
    return [`WARNING: Running in rootless-mode without cgroups. ${remedy}`];
  }
  const lacks: [boolean, string][] = [
    [cgroup.memory, 'WARNING: No memory limit support'],
    [cgroup.memorySwap, 'WARNING: No swap limit support'],
    [cgroup.cpuQuota, 'WARNING: No cpu cfs quota support'],
    [cgroup.cpuQuota, 'WARNING: No cpu cfs period support'],
    [cgroup.cpuShares, 'WARNING: No cpu shares support'],
    [cgroup.cpuset, 'WARNING: No cpuset support'],
    [cgroup.pids, 'WARNING: No pids limit support'],
    [ipForwarding(), 'WARNING: IPv4 forwarding is disabled'],
  ];
  const list = lacks.filter(([has]) => !has).map(([, words]) => words);
  if (host.apparmor === 'no-parser') list.push(`WARNING: ${NO_PARSER}`);
  return list.length > 0 ? list : null;
}

function registryConfig(config: EngineConfig): Record<string, unknown> {
  const mirrors = [...config.registryMirrors];
  const hosts = config.insecureRegistries.filter((entry) => !entry.includes('/'));
  const ranges = config.insecureRegistries.filter((entry) => entry.includes('/'));
  const indexes: [string, Record<string, unknown>][] = [
    ...hosts.map((Name): [string, Record<string, unknown>] => [
      Name,
      { Mirrors: [], Name, Official: false, Secure: false },
    ]),
    ['docker.io', { Mirrors: mirrors, Name: 'docker.io', Official: true, Secure: true }],
  ];
  return {
    IndexConfigs: Object.fromEntries(indexes),
    InsecureRegistryCIDRs: ['::1/128', '127.0.0.0/8', ...ranges],
    Mirrors: mirrors.length > 0 ? mirrors : null,
  };
}

function osRelease(): { name: string; version: string } {
  let text = '';
  try {
    text = readFileSync('/etc/os-release', 'utf8');
  } catch {
    // a host without one is called by its kernel
  }
  const field = (key: string): string => new RegExp(`^${key}="?([^"\n]*)"?$`, 'm').exec(text)?.[1] ?? '';
  return { name: field('PRETTY_NAME') || 'linux', version: field('VERSION_ID') };
}
