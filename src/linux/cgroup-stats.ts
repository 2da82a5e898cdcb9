import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Counters of the control groups that a process is in; what the host does not count is undefined. */
export interface CgroupStats {
  /** Nanoseconds. */
  readonly cpu: { readonly total: number; readonly user: number; readonly kernel: number; readonly perCpu?: number[] };
  readonly throttling: { readonly periods: number; readonly throttled: number; readonly nanos: number };
  /** Bytes. */
  readonly memory: {
    readonly usage: number | undefined;
    readonly max?: number;
    readonly limit: number | undefined;
    readonly failures?: number;
    readonly stats: Readonly<Record<string, number>>;
  };
  readonly pids: { readonly current: number | undefined; readonly limit: number | undefined };
  readonly io: { readonly bytes: readonly BlockCounter[]; readonly operations: readonly BlockCounter[] };
}

export interface BlockCounter {
  readonly major: number;
  readonly minor: number;
  readonly op: string;
  readonly value: number;
}

const ROOT = '/sys/fs/cgroup';

/**
 * Reads the groups of `pid` below `root`, version 1, hybrid or 2; of version 2 the one called `own` that it is in, or below:
 * a container's systemd makes groups in its own. Throws ENOENT when the process is gone.
 */
export async function readCgroupStats(pid: number, own: string, root = ROOT, proc = '/proc'): Promise<CgroupStats> {
  const groups = parseProcCgroup(await readFile(`${proc}/${pid}/cgroup`, 'utf8'));
  return groups.controllers.size > 0
    ? await readVersion1(groups, root)
    : await readVersion2(join(root, upTo(own, groups.unified ?? '/')));
}

/**
 * Whether the processes of `pid`'s group, found as for the counters, are frozen. Read at once: two short files, of every
 * container when the engine starts.
 */
export async function isFrozen(pid: number, own: string, root = ROOT, proc = '/proc'): Promise<boolean> {
  const groups = parseProcCgroup(readFileSync(`${proc}/${pid}/cgroup`, 'utf8'));
  const freezer = groups.controllers.get('freezer');
  if (freezer === undefined) return stateIn(join(root, upTo(own, groups.unified ?? '/'), 'cgroup.freeze')) === '1';
  return ['FROZEN', 'FREEZING'].includes(stateIn(join(root, 'freezer', freezer, 'freezer.state')));
}

/** Empty when it is not there. */
function stateIn(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}

/** The path as far as the part `own`. One that has none is of whoever started it: a place that is not there is given. */
function upTo(own: string, path: string): string {
  const parts = path.split('/');
  const at = parts.lastIndexOf(own);
  return at < 0 ? `/${own}` : parts.slice(0, at + 1).join('/');
}

/** Lines of /proc/<pid>/cgroup: `4:memory:/path`, `0::/path` for version 2. */
export function parseProcCgroup(lines: string): {
  controllers: ReadonlyMap<string, string>;
  unified: string | undefined;
} {
  const controllers = new Map<string, string>();
  let unified: string | undefined;
  for (const line of lines.split('\n')) {
    const match = /^\d+:([^:]*):(.*)$/.exec(line);
    if (!match) continue;
    if (match[1] === '') unified = match[2];
    else for (const name of match[1]!.split(',')) controllers.set(name, match[2]!);
  }
  return { controllers, unified };
}

async function readVersion1(groups: { controllers: ReadonlyMap<string, string> }, root: string): Promise<CgroupStats> {
  const read = (controller: string, file: string): Promise<string> =>
    groups.controllers.has(controller)
      ? text(join(root, controller, groups.controllers.get(controller)!, file))
      : Promise.resolve('');
  const [usage, stat, perCpu, throttle, memory, max, limit, failures, memoryStat, pids, pidsMax, bytes, operations] =
    await Promise.all([
      read('cpuacct', 'cpuacct.usage'),
      read('cpuacct', 'cpuacct.stat'),
      read('cpuacct', 'cpuacct.usage_percpu'),
      read('cpu', 'cpu.stat'),
      read('memory', 'memory.usage_in_bytes'),
      read('memory', 'memory.max_usage_in_bytes'),
      read('memory', 'memory.limit_in_bytes'),
      read('memory', 'memory.failcnt'),
      read('memory', 'memory.stat'),
      read('pids', 'pids.current'),
      read('pids', 'pids.max'),
      read('blkio', 'blkio.throttle.io_service_bytes_recursive'),
      read('blkio', 'blkio.throttle.io_serviced_recursive'),
    ]);
  const cpu = pairs(stat);
  const throttled = pairs(throttle);
  const tick = 10_000_000; // USER_HZ is 100 wherever we run
  return {
    cpu: {
      total: Number(usage) || 0,
      user: (cpu['user'] ?? 0) * tick,
      kernel: (cpu['system'] ?? 0) * tick,
      perCpu: perCpu.trim() === '' ? [] : perCpu.trim().split(/\s+/).map(Number),
    },
    throttling: {
      periods: throttled['nr_periods'] ?? 0,
      throttled: throttled['nr_throttled'] ?? 0,
      nanos: throttled['throttled_time'] ?? 0,
    },
    memory: {
      usage: number(memory),
      max: number(max) ?? 0,
      limit: number(limit),
      failures: number(failures) ?? 0,
      stats: pairs(memoryStat),
    },
    pids: { current: number(pids), limit: number(pidsMax) },
    io: { bytes: blockLines(bytes), operations: blockLines(operations) },
  };
}

async function readVersion2(group: string): Promise<CgroupStats> {
  const read = (file: string): Promise<string> => text(join(group, file));
  const [cpuStat, memory, limit, memoryStat, events, pids, pidsMax, io] = await Promise.all([
    read('cpu.stat'),
    read('memory.current'),
    read('memory.max'),
    read('memory.stat'),
    read('memory.events'),
    read('pids.current'),
    read('pids.max'),
    read('io.stat'),
  ]);
  const cpu = pairs(cpuStat);
  const micro = (key: string): number => (cpu[key] ?? 0) * 1000;
  const failures = pairs(events)['max'];
  return {
    cpu: { total: micro('usage_usec'), user: micro('user_usec'), kernel: micro('system_usec') },
    throttling: {
      periods: cpu['nr_periods'] ?? 0,
      throttled: cpu['nr_throttled'] ?? 0,
      nanos: micro('throttled_usec'),
    },
    memory: {
      usage: number(memory),
      limit: number(limit),
      ...(failures !== undefined && { failures }),
      stats: pairs(memoryStat),
    },
    pids: { current: number(pids), limit: number(pidsMax) },
    io: ioLines(io),
  };
}

/** `8:0 Read 4096`; the line of totals has no device. */
export function blockLines(lines: string): BlockCounter[] {
  return [...lines.matchAll(/^(\d+):(\d+) (\w+) (\d+)$/gm)].map(([, major, minor, op, value]) => ({
    major: Number(major),
    minor: Number(minor),
    op: op!.toLowerCase(),
    value: Number(value),
  }));
}

/** `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …` */
export function ioLines(lines: string): { bytes: BlockCounter[]; operations: BlockCounter[] } {
  const bytes: BlockCounter[] = [];
  const operations: BlockCounter[] = [];
  for (const [, major, minor, rest] of lines.matchAll(/^(\d+):(\d+) (.*)$/gm)) {
    const device = { major: Number(major), minor: Number(minor) };
    const counters = new Map(rest!.split(' ').map((pair) => pair.split('=', 2) as [string, string]));
    const add = (list: BlockCounter[], op: string, key: string): void => {
      if (counters.has(key)) list.push({ ...device, op, value: Number(counters.get(key)) });
    };
    add(bytes, 'read', 'rbytes');
    add(bytes, 'write', 'wbytes');
    add(operations, 'read', 'rios');
    add(operations, 'write', 'wios');
  }
  return { bytes, operations };
}

/** Empty when the host has no such file. */
async function text(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    return '';
  }
}

function pairs(lines: string): Record<string, number> {
  return Object.fromEntries([...lines.matchAll(/^(\S+) (\d+)$/gm)].map(([, key, value]) => [key!, Number(value)]));
}

/** `max`, and the number that version 1 has for it, are no limit. */
function number(value: string): number | undefined {
  const digits = value.trim();
  return /^\d+$/.test(digits) ? Number(digits) : undefined;
}

/** Interface counters as /proc/<pid>/net/dev has them, loopback left out. */
export async function readInterfaces(pid: number): Promise<Record<string, number[]>> {
  const lines = (await readFile(`/proc/${pid}/net/dev`, 'utf8')).split('\n').slice(2);
  return Object.fromEntries(
    lines
      .map((line) => line.split(':', 2))
      .filter((parts): parts is [string, string] => parts.length === 2 && parts[0]!.trim() !== 'lo')
      .map(([name, counters]) => [name.trim(), counters.trim().split(/\s+/).map(Number)]),
  );
}

/** Number of processors, and nanoseconds that all of them together have had since boot. */
export async function readSystemCpu(): Promise<{ nanos: number; online: number }> {
  const [all = '', ...rest] = (await readFile('/proc/stat', 'utf8')).split('\n');
  const ticks = all
    .trim()
    .split(/\s+/)
    .slice(1, 9)
    .reduce((sum, value) => sum + Number(value), 0);
  return { nanos: ticks * 10_000_000, online: rest.filter((line) => /^cpu\d/.test(line)).length };
}
