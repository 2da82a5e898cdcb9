import type { ContainerStats, CpuStats } from '../../api/container.ts';
import { now, ZERO_TIME } from '../../base/time.ts';
import type { ContainerRecord } from '../../state/containers.ts';
import { type ContainerContext, findContainer } from './context.ts';
import { hasProcess } from './state.ts';

const PERIOD_MS = 1000;

export interface StatsOptions {
  readonly stream: boolean;
  /** Without the sample before, which takes a second. */
  readonly oneShot?: boolean;
  readonly signal?: AbortSignal;
}

/** One sample, or one a second until the signal aborts or the container is gone. */
export async function containerStats(
  context: ContainerContext,
  nameOrId: string,
  options: StatsOptions,
): Promise<AsyncIterable<ContainerStats>> {
  const record = findContainer(context, nameOrId);
  return samples(context, record.id, options);
}

async function* samples(context: ContainerContext, id: string, options: StatsOptions): AsyncGenerator<ContainerStats> {
  let before: ContainerStats | undefined;
  for (;;) {
    const record = context.store.get(id);
    if (!record || options.signal?.aborted) return;
    const sample = await sampleOf(context, record);
    const stopped = sample.read === ZERO_TIME;
    // the first of a pair is not shown: a share of the processor is a difference
    const shown = options.stream || options.oneShot || stopped || before !== undefined;
    if (shown) yield before ? { ...sample, preread: before.read, precpu_stats: before.cpu_stats } : sample;
    if (shown && !options.stream) return;
    before = stopped ? undefined : sample;
    if (!(await pause(options.signal))) return;
  }
}

async function sampleOf(context: ContainerContext, record: ContainerRecord): Promise<ContainerStats> {
  const { id, name, state } = record;
  const own = { name: `/${name}`, id };
  const { task } = context.live.of(id);
  if (!task || !hasProcess(state)) return { ...EMPTY, ...own };
  try {
    const sample = await context.readStats(record, state.pid);
    return { ...EMPTY, ...sample, ...own, read: now() };
  } catch (error) {
    if (context.live.of(id).task === task) throw error;
    return { ...EMPTY, ...own }; // it ended while we looked
  }
}

/** False when the signal came first. */
async function pause(signal: AbortSignal | undefined): Promise<boolean> {
  if (signal?.aborted) return false;
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(true), PERIOD_MS);
  const abort = (): void => resolve(false);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}

const NO_CPU: CpuStats = {
  cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 },
  throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
};

const EMPTY: Omit<ContainerStats, 'name' | 'id'> = {
  read: ZERO_TIME,
  preread: ZERO_TIME,
  num_procs: 0,
  pids_stats: {},
  blkio_stats: {
    io_service_bytes_recursive: null,
    io_serviced_recursive: null,
    io_queue_recursive: null,
    io_service_time_recursive: null,
    io_wait_time_recursive: null,
    io_merged_recursive: null,
    io_time_recursive: null,
    sectors_recursive: null,
  },
  storage_stats: {},
  cpu_stats: NO_CPU,
  precpu_stats: NO_CPU,
  memory_stats: {},
};
