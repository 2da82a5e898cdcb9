import { CAPABILITY_NAMES, type HostFacts } from '../../linux/host-facts.ts';

/** A host for unit tests: root on a recent kernel with cgroup v2. */
export function testHost(changes: Partial<HostFacts> = {}): HostFacts {
  return {
    architecture: 'amd64',
    kernel: { major: 6, minor: 12 },
    raisesLimits: true,
    groups: undefined,
    cgroup: {
      driver: 'cgroupfs',
      base: '',
      version: 2,
      memory: true,
      memorySwap: true,
      memoryReservation: true,
      memorySwappiness: false,
      oomKillDisable: false,
      cpuShares: true,
      cpuQuota: true,
      cpuRealtime: false,
      cpuset: true,
      cpusetCpus: '0-3',
      cpusetMems: '0',
      pids: true,
      blkioWeight: true,
      blkioWeightDevice: true,
      blkioThrottle: true,
    },
    capabilities: new Set(CAPABILITY_NAMES),
    rlimits: new Map([['nofile', { soft: 1024, hard: 524288 }]]),
    oomScoreAdj: 0,
    cpus: 4,
    memory: 8 * 2 ** 30,
    apparmor: 'no',
    selinux: false,
    seccomp: true,
    cgroupNamespaces: true,
    recursiveReadOnly: true,
    ...changes,
  };
}
