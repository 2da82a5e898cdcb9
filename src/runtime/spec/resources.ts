import type { HostConfig, Resources, ThrottleDevice } from '../../api/container.ts';
import { EngineError } from '../../base/errors.ts';
import { deviceAt } from '../../linux/devices.ts';
import type { CgroupFacts } from '../../linux/host-facts.ts';
import type { LinuxResources, ThrottleRate } from './oci-spec.ts';

/** Microseconds: what `--cpus` is a share of. */
const CPU_PERIOD = 100_000;

/**
 * Limits as the runtime takes them, in cgroup v1 terms (runtimes convert for v2). What this host's cgroups do not
 * have is left out: `validateResources` warned of it. Throws `invalid-argument` for a device that is not there.
 */
export function linuxResources(resources: Resources, cgroup: CgroupFacts): LinuxResources {
  const result: LinuxResources = {};
  const memory = memoryLimits(resources, cgroup);
  if (memory) result.memory = memory;
  const cpu = cpuLimits(resources, cgroup);
  if (cpu) result.cpu = cpu;
  const pids = resources.PidsLimit;
  // 0 and below are both 'no limit' to Docker; update needs to say it
  if (pids != null && cgroup.pids) result.pids = { limit: pids > 0 ? pids : -1 };
  const blockIO = blockLimits(resources, cgroup);
  if (blockIO) result.blockIO = blockIO;
  return result;
}

/** Memory plus swap: twice the memory unless it was said; 0 is no limit of its own. */
export function effectiveMemorySwap(resources: Pick<Resources, 'Memory' | 'MemorySwap'>): number {
  if (resources.MemorySwap) return resources.MemorySwap;
  return resources.Memory ? resources.Memory * 2 : 0;
}

function memoryLimits(resources: Resources, cgroup: CgroupFacts): LinuxResources['memory'] | undefined {
  if (!cgroup.memory) return undefined;
  const memory: NonNullable<LinuxResources['memory']> = {};
  if (resources.Memory) memory.limit = resources.Memory;
  if (resources.MemoryReservation && cgroup.memoryReservation) memory.reservation = resources.MemoryReservation;
  const swap = effectiveMemorySwap(resources);
  if (swap !== 0 && cgroup.memorySwap) memory.swap = swap;
  const swappiness = resources.MemorySwappiness;
  if (swappiness != null && swappiness >= 0 && cgroup.memorySwappiness) memory.swappiness = swappiness;
  if (resources.OomKillDisable === true && cgroup.oomKillDisable) memory.disableOOMKiller = true;
  return Object.keys(memory).length > 0 ? memory : undefined;
}

function cpuLimits(resources: Resources, cgroup: CgroupFacts): LinuxResources['cpu'] | undefined {
  const cpu: NonNullable<LinuxResources['cpu']> = {};
  if (resources.CpuShares && cgroup.cpuShares) cpu.shares = Math.max(2, resources.CpuShares);
  if (resources.NanoCpus && cgroup.cpuQuota) {
    cpu.period = CPU_PERIOD;
    cpu.quota = Math.floor((resources.NanoCpus * CPU_PERIOD) / 1e9);
  }
  if (resources.CpuPeriod && cgroup.cpuQuota) cpu.period = resources.CpuPeriod;
  if (resources.CpuQuota && cgroup.cpuQuota) cpu.quota = resources.CpuQuota;
  if (resources.CpuRealtimePeriod && cgroup.cpuRealtime) cpu.realtimePeriod = resources.CpuRealtimePeriod;
  if (resources.CpuRealtimeRuntime && cgroup.cpuRealtime) cpu.realtimeRuntime = resources.CpuRealtimeRuntime;
  if (resources.CpusetCpus && cgroup.cpuset) cpu.cpus = resources.CpusetCpus;
  if (resources.CpusetMems && cgroup.cpuset) cpu.mems = resources.CpusetMems;
  return Object.keys(cpu).length > 0 ? cpu : undefined;
}

function blockLimits(resources: Resources, cgroup: CgroupFacts): LinuxResources['blockIO'] | undefined {
  const io: NonNullable<LinuxResources['blockIO']> = {};
  if (resources.BlkioWeight && cgroup.blkioWeight) io.weight = resources.BlkioWeight;
  if (resources.BlkioWeightDevice?.length && cgroup.blkioWeightDevice) {
    io.weightDevice = resources.BlkioWeightDevice.map(({ Path, Weight }) => ({
      ...deviceNumber(Path),
      weight: Weight,
    }));
  }
  if (cgroup.blkioThrottle) {
    const throttles = {
      throttleReadBpsDevice: throttle(resources.BlkioDeviceReadBps),
      throttleWriteBpsDevice: throttle(resources.BlkioDeviceWriteBps),
      throttleReadIOPSDevice: throttle(resources.BlkioDeviceReadIOps),
      throttleWriteIOPSDevice: throttle(resources.BlkioDeviceWriteIOps),
    };
    for (const [key, value] of Object.entries(throttles)) {
      if (value.length > 0) io[key as keyof typeof throttles] = value;
    }
  }
  return Object.keys(io).length > 0 ? io : undefined;
}

function throttle(devices: readonly ThrottleDevice[] | null | undefined): ThrottleRate[] {
  return (devices ?? []).map(({ Path, Rate }) => ({ ...deviceNumber(Path), rate: Rate }));
}

function deviceNumber(path: string): { major: number; minor: number } {
  let node;
  try {
    node = deviceAt(path);
  } catch (error) {
    throw new EngineError('invalid-argument', `stat ${path}: no such file or directory`, { cause: error });
  }
  if (!node) throw new EngineError('invalid-argument', `${path} is not a device`);
  return { major: node.major, minor: node.minor };
}

/** Where the container's cgroup is, below each hierarchy's root, or below the part of it that the engine's user was given: `<parent>/<id>`. */
export function cgroupsPath(
  id: string,
  hostConfig: Pick<HostConfig, 'CgroupParent'>,
  defaultParent: string,
  base: string,
): string {
  const parent = hostConfig.CgroupParent || defaultParent;
  return `${base}/${parent}/${id}`.replace(/\/{2,}/g, '/');
}
