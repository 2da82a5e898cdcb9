import type { ContainerStats } from '../../api/container.ts';
import type { Row, RowFormat } from './rows.ts';
import { binarySize, humanSize } from './units.ts';

export const STATS_FORMAT: RowFormat = {
  columns: ['ID', 'Name', 'CPUPerc', 'MemUsage', 'MemPerc', 'NetIO', 'BlockIO', 'PIDs'],
  headers: {
    ID: 'CONTAINER ID',
    CPUPerc: 'CPU %',
    MemUsage: 'MEM USAGE / LIMIT',
    MemPerc: 'MEM %',
    NetIO: 'NET I/O',
    BlockIO: 'BLOCK I/O',
  },
  typeName: '*container.statsContext',
  spare: ['ID', 'MemPerc', 'BlockIO', 'NetIO'],
};

/** A line of `stats`. */
export function statsRow(container: string, sample: ContainerStats, options: { truncate: boolean }): Row {
  const used = memoryUsed(sample);
  const limit = sample.memory_stats.limit ?? 0;
  const networks = Object.values(sample.networks ?? {});
  const received = networks.reduce((sum, item) => sum + item.rx_bytes, 0);
  const sent = networks.reduce((sum, item) => sum + item.tx_bytes, 0);
  const blocks = sample.blkio_stats.io_service_bytes_recursive ?? [];
  const sum = (op: string): number =>
    blocks.filter((item) => item.op.toLowerCase() === op).reduce((total, item) => total + item.value, 0);
  return {
    Container: container,
    ID: options.truncate ? sample.id.slice(0, 12) : sample.id,
    Name: sample.name.replace(/^\//, ''),
    CPUPerc: `${cpuPercent(sample).toFixed(2)}%`,
    MemUsage: `${binarySize(used)} / ${binarySize(limit)}`,
    MemPerc: `${(limit === 0 ? 0 : (used / limit) * 100).toFixed(2)}%`,
    NetIO: `${humanSize(received, 3)} / ${humanSize(sent, 3)}`,
    BlockIO: `${humanSize(sum('read'), 3)} / ${humanSize(sum('write'), 3)}`,
    PIDs: String(sample.pids_stats.current ?? 0),
  };
}

/** A container that has not told anything yet, or does not run. */
export function emptyStatsRow(container: string): Row {
  return {
    Container: container,
    ID: container.slice(0, 12),
    Name: '--',
    CPUPerc: '--',
    MemUsage: '-- / --',
    MemPerc: '--',
    NetIO: '--',
    BlockIO: '--',
    PIDs: '--',
  };
}

/** Page cache that can be had back at once is not counted, as in docker. */
function memoryUsed(sample: ContainerStats): number {
  const { usage = 0, stats = {} } = sample.memory_stats;
  const idle = stats['total_inactive_file'] ?? stats['inactive_file'] ?? 0;
  return idle < usage ? usage - idle : usage;
}

function cpuPercent({ cpu_stats: now, precpu_stats: before }: ContainerStats): number {
  const used = now.cpu_usage.total_usage - before.cpu_usage.total_usage;
  const passed = (now.system_cpu_usage ?? 0) - (before.system_cpu_usage ?? 0);
  const cpus = now.online_cpus || now.cpu_usage.percpu_usage?.length || 1;
  return used > 0 && passed > 0 ? (used / passed) * cpus * 100 : 0;
}
