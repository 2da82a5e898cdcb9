import { processesBeside } from '../../linux/process.ts';
import { totalmem } from 'node:os';
import type { BlkioStatEntry, ContainerStats, NetworkStats } from '../../api/container.ts';
import { type BlockCounter, readCgroupStats, readInterfaces, readSystemCpu } from '../../linux/cgroup-stats.ts';
import type { ContainerRecord } from '../../state/containers.ts';

/** The kernel's counters for a running container, as the Engine API shows them. */
export async function readContainerSample(record: ContainerRecord, pid: number): Promise<Partial<ContainerStats>> {
  const shared = record.hostConfig.NetworkMode === 'host';
  const [group, system, interfaces] = await Promise.all([
    readCgroupStats(pid, record.id),
    readSystemCpu(),
    shared ? undefined : readInterfaces(pid),
  ]);
  const { cpu, throttling, memory, pids, io } = group;
  const networks = interfaces && Object.keys(interfaces).length > 0 ? networkStats(interfaces) : undefined;
  return {
    pids_stats: {
      // without a cgroup they are counted
      current: pids.current ?? processesBeside(pid).length,
      ...(pids.limit !== undefined && { limit: pids.limit }),
    },
    blkio_stats: {
      io_service_bytes_recursive: entries(io.bytes),
      io_serviced_recursive: entries(io.operations),
      io_queue_recursive: null,
      io_service_time_recursive: null,
      io_wait_time_recursive: null,
      io_merged_recursive: null,
      io_time_recursive: null,
      sectors_recursive: null,
    },
    cpu_stats: {
      cpu_usage: {
        total_usage: cpu.total,
        ...(cpu.perCpu && { percpu_usage: cpu.perCpu.slice(0, system.online) }),
        usage_in_kernelmode: cpu.kernel,
        usage_in_usermode: cpu.user,
      },
      system_cpu_usage: system.nanos,
      online_cpus: system.online,
      throttling_data: {
        periods: throttling.periods,
        throttled_periods: throttling.throttled,
        throttled_time: throttling.nanos,
      },
    },
    memory_stats: {
      ...(memory.usage !== undefined && { usage: memory.usage }),
      ...(memory.max !== undefined && { max_usage: memory.max }),
      stats: { ...memory.stats },
      ...(memory.failures ? { failcnt: memory.failures } : {}),
      // a group without a limit has what the host has
      limit: Math.min(memory.limit ?? Infinity, totalmem()),
    },
    ...(networks && { networks }),
  };
}

function entries(counters: readonly BlockCounter[]): BlkioStatEntry[] {
  return counters.map((counter) => ({ ...counter }));
}

function networkStats(interfaces: Readonly<Record<string, number[]>>): Record<string, NetworkStats> {
  return Object.fromEntries(
    Object.entries(interfaces).map(([name, counters]) => {
      const at = (index: number): number => counters[index] ?? 0;
      const stats: NetworkStats = {
        rx_bytes: at(0),
        rx_packets: at(1),
        rx_errors: at(2),
        rx_dropped: at(3),
        tx_bytes: at(8),
        tx_packets: at(9),
        tx_errors: at(10),
        tx_dropped: at(11),
      };
      return [name, stats];
    }),
  );
}
