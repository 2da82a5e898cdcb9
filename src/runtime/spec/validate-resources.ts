import type { Resources } from '../../api/container.ts';
import { EngineError } from '../../base/errors.ts';
import type { HostFacts } from '../../linux/host-facts.ts';

const MIN_MEMORY = 6 * 1024 * 1024;

export interface ResourceCheckOptions {
  /** Of `update`: what is not said stays as it was. */
  readonly update: boolean;
}

/** Checks limits, and tells what this host's cgroups will not honour (`linuxResources` leaves it out). Throws `invalid-argument` in Docker's words. */
export function validateResources(
  resources: Resources,
  host: Pick<HostFacts, 'cgroup' | 'cpus'>,
  options: ResourceCheckOptions,
): string[] {
  return [
    ...checkMemory(resources, host, options),
    ...checkProcesses(resources, host),
    ...checkCpu(resources, host),
    ...checkCpuset(resources, host),
    ...checkBlockIO(resources, host),
  ];
}

type Host = Pick<HostFacts, 'cgroup' | 'cpus'>;

function checkMemory(resources: Resources, { cgroup }: Host, options: ResourceCheckOptions): string[] {
  const warnings: string[] = [];
  const { Memory = 0, MemorySwap = 0, MemoryReservation = 0, MemorySwappiness, OomKillDisable } = resources;
  if (Memory !== 0 && Memory < MIN_MEMORY) throw invalid('Minimum memory limit allowed is 6MB');
  if (Memory > 0 && !cgroup.memory) warnings.push(discarded('memory limit capabilities', 'Limitation'));
  if (Memory > 0 && MemorySwap !== -1 && cgroup.memory && !cgroup.memorySwap) {
    warnings.push(
      'Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.',
    );
  }
  if (Memory > 0 && MemorySwap > 0 && MemorySwap < Memory) {
    throw invalid('Minimum memoryswap limit should be larger than memory limit, see usage');
  }
  if (Memory === 0 && MemorySwap > 0 && !options.update) {
    throw invalid('You should always set the Memory limit when using Memoryswap limit, see usage');
  }
  if (MemorySwappiness != null && MemorySwappiness !== -1) {
    if (!cgroup.memorySwappiness) warnings.push(discarded('memory swappiness capabilities', 'Memory swappiness'));
    else if (MemorySwappiness < 0 || MemorySwappiness > 100) {
      throw invalid(`Invalid value: ${MemorySwappiness}, valid memory swappiness range is 0-100`);
    }
  }
  if (MemoryReservation > 0) {
    if (!cgroup.memoryReservation) warnings.push(discarded('memory soft limit capabilities', 'Limitation'));
    if (MemoryReservation < MIN_MEMORY) throw invalid('Minimum memory reservation allowed is 6MB');
    if (Memory > 0 && Memory < MemoryReservation) {
      throw invalid('Minimum memory limit can not be less than memory reservation limit, see usage');
    }
  }
  // gone from the API, and from newer kernels; older clients may still send it
  if ((resources.KernelMemory ?? 0) > 0) warnings.push(discarded('kernel memory limit capabilities', 'Limitation'));
  if ((resources.KernelMemoryTCP ?? 0) > 0)
    warnings.push(discarded('kernel memory TCP limit capabilities', 'Limitation'));
  if (OomKillDisable === true) {
    if (!cgroup.oomKillDisable) warnings.push('Your kernel does not support OomKillDisable. OomKillDisable discarded.');
    else if (Memory === 0) {
      warnings.push(
        'OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.',
      );
    }
  }
  return warnings;
}

function checkProcesses(resources: Resources, { cgroup }: Host): string[] {
  if ((resources.PidsLimit ?? 0) <= 0 || cgroup.pids) return [];
  return [discarded('PIDs limit capabilities', 'PIDs limit')];
}

function checkCpu(resources: Resources, { cgroup, cpus }: Host): string[] {
  const warnings: string[] = [];
  const { NanoCpus = 0, CpuPeriod = 0, CpuQuota = 0, CpuShares = 0 } = resources;
  const { CpuRealtimePeriod = 0, CpuRealtimeRuntime = 0 } = resources;
  if (NanoCpus > 0 && CpuPeriod > 0) {
    throw invalid('Conflicting options: Nano CPUs and CPU Period cannot both be set');
  }
  if (NanoCpus > 0 && CpuQuota > 0) throw invalid('Conflicting options: Nano CPUs and CPU Quota cannot both be set');
  if (NanoCpus > 0 && !cgroup.cpuQuota) {
    throw invalid(
      'NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted',
    );
  }
  if (NanoCpus < 0 || NanoCpus > cpus * 1e9) {
    throw invalid(`range of CPUs is from 0.01 to ${cpus}.00, as there are only ${cpus} CPUs available`);
  }
  if (CpuShares < 0) throw invalid(`invalid CPU shares (${CpuShares}): value must be a positive integer`);
  if (CpuShares > 0 && !cgroup.cpuShares) {
    warnings.push('Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.');
  }
  if ((CpuPeriod !== 0 || CpuQuota !== 0) && !cgroup.cpuQuota) {
    warnings.push('Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.');
  }
  if (CpuPeriod !== 0 && (CpuPeriod < 1000 || CpuPeriod > 1_000_000)) {
    throw invalid('CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)');
  }
  if (CpuQuota > 0 && CpuQuota < 1000) throw invalid('CPU cfs quota can not be less than 1ms (i.e. 1000)');
  if (CpuRealtimeRuntime > CpuRealtimePeriod && CpuRealtimePeriod !== 0) {
    throw invalid('cpu real-time runtime cannot be higher than cpu real-time period');
  }
  if ((CpuRealtimePeriod !== 0 || CpuRealtimeRuntime !== 0) && !cgroup.cpuRealtime) {
    throw invalid('kernel does not support CPU real-time scheduler');
  }
  if ((resources.CpuPercent ?? 0) > 0) warnings.push('linux does not support CPU percent. Percent discarded.');
  if ((resources.IOMaximumIOps ?? 0) !== 0) {
    throw invalid('invalid option: QoS maximum IOPs configuration is not supported on linux');
  }
  if ((resources.IOMaximumBandwidth ?? 0) !== 0) {
    throw invalid('invalid option: QoS maximum bandwidth configuration is not supported on linux');
  }
  return warnings;
}

function checkCpuset(resources: Resources, { cgroup }: Host): string[] {
  const { CpusetCpus = '', CpusetMems = '' } = resources;
  if (CpusetCpus === '' && CpusetMems === '') return [];
  if (!cgroup.cpuset) {
    return ['Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.'];
  }
  checkList(CpusetCpus, cgroup.cpusetCpus, 'cpus', 'CPUs');
  checkList(CpusetMems, cgroup.cpusetMems, 'mems', 'memory nodes');
  return [];
}

function checkList(wanted: string, available: string, name: string, what: string): void {
  const numbers = parseNumberList(wanted);
  if (!numbers) {
    const bad = wanted.split(',').find((part) => !parseNumberList(part)) ?? wanted;
    throw invalid(`Invalid value ${wanted} for cpuset ${name}: invalid format: ${bad}`);
  }
  const there = new Set(parseNumberList(available) ?? []);
  if (numbers.some((number) => !there.has(number))) {
    throw invalid(`Requested ${what} are not available - requested ${wanted}, available: ${available}`);
  }
}

/** The kernel's list format, `0-3,8`; undefined when it is not in it, or names more than 8192 (no machine has those). */
export function parseNumberList(text: string): number[] | undefined {
  const numbers: number[] = [];
  if (text === '') return numbers;
  for (const part of text.split(',')) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (!match) return undefined;
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    if (last < first || last > 8192) return undefined;
    for (let number = first; number <= last; number++) numbers.push(number);
  }
  return numbers;
}

function checkBlockIO(resources: Resources, { cgroup }: Host): string[] {
  const warnings: string[] = [];
  const unsupported = (what: string, discard: string): string =>
    `Your kernel does not support ${what} or the cgroup is not mounted. ${discard} discarded.`;
  const { BlkioWeight = 0 } = resources;
  if (BlkioWeight > 0 && !cgroup.blkioWeight) warnings.push(unsupported('Block I/O weight', 'Weight'));
  else if (BlkioWeight !== 0 && (BlkioWeight < 10 || BlkioWeight > 1000)) {
    throw invalid('Range of blkio weight is from 10 to 1000');
  }
  if (resources.BlkioWeightDevice?.length && !cgroup.blkioWeightDevice) {
    warnings.push(unsupported('Block I/O weight_device', 'Weight-device'));
  }
  if (!cgroup.blkioThrottle) {
    if (resources.BlkioDeviceReadBps?.length) {
      warnings.push(unsupported('BPS Block I/O read limit', 'Block I/O BPS read limit'));
    }
    if (resources.BlkioDeviceWriteBps?.length) {
      warnings.push(unsupported('BPS Block I/O write limit', 'Block I/O BPS write limit'));
    }
    if (resources.BlkioDeviceReadIOps?.length) {
      warnings.push(unsupported('IOPS Block read limit', 'Block I/O IOPS read limit'));
    }
    if (resources.BlkioDeviceWriteIOps?.length) {
      warnings.push(unsupported('IOPS Block write limit', 'Block I/O IOPS write limit'));
    }
  }
  return warnings;
}

function discarded(feature: string, what: string): string {
  return `Your kernel does not support ${feature} or the cgroup is not mounted. ${what} discarded.`;
}

function invalid(message: string): EngineError {
  return new EngineError('invalid-argument', message);
}
