import type { ContainerSummary } from '../../api/container.ts';
import { type Filters, NO_FILTERS } from '../../api/filters.ts';
import type { ContainerRecord } from '../../state/containers.ts';
import type { ContainerContext } from './context.ts';
import { containerFilter } from './list-filters.ts';
import { networkedContainer } from './networked.ts';
import { publishedPorts } from './ports.ts';
import { containerSizes } from './sizes.ts';
import { countsAsRunning } from './state.ts';
import { statusText } from './status-text.ts';

export interface ListOptions {
  readonly all?: boolean;
  /** The last so many created, running or not. */
  readonly limit?: number;
  readonly size?: boolean;
  readonly filters?: Filters;
}

/** Newest first; running ones only, unless `all`, `limit` or a filter on the state asks for others. */
export async function listContainers(
  context: ContainerContext,
  options: ListOptions = {},
): Promise<ContainerSummary[]> {
  const filters = options.filters ?? NO_FILTERS;
  const wanted = await containerFilter(context, filters);
  const all = options.all === true || (options.limit ?? 0) > 0 || asksForState(filters);
  let records = context.store
    .list()
    .filter((record) => (all || countsAsRunning(record.state)) && wanted(record))
    .toSorted(newestFirst);
  if (options.limit !== undefined && options.limit > 0) records = records.slice(0, options.limit);
  const nowMs = Date.now();
  const summaries = records.map((record) => summary(context, record, nowMs));
  if (!options.size) return summaries;
  return await Promise.all(
    summaries.map(async (item, index) => ({ ...item, ...(await sizesIfThere(context, records[index]!)) })),
  );
}

function asksForState(filters: Filters): boolean {
  return ['status', 'exited', 'before', 'since'].some((key) => (filters.get(key) ?? []).length > 0);
}

function newestFirst(a: ContainerRecord, b: ContainerRecord): number {
  const [left, right] = [Date.parse(a.createdAt), Date.parse(b.createdAt)];
  return right - left || (a.createdAt < b.createdAt ? 1 : a.createdAt > b.createdAt ? -1 : 0);
}

function summary(context: ContainerContext, record: ContainerRecord, nowMs: number): ContainerSummary {
  const { id, config, hostConfig, state } = record;
  const settings = context.networking.settings(networkedContainer(context, record), record.attachment, state.pid);
  return {
    Id: id,
    Names: [`/${record.name}`],
    Image: config.Image || record.imageId,
    ImageID: record.imageId,
    Command: commandLine(record),
    Created: Math.floor(Date.parse(record.createdAt) / 1000),
    Ports: publishedPorts(record),
    Labels: config.Labels ?? {},
    State: state.status,
    Status: statusText(state, nowMs),
    HostConfig: {
      NetworkMode: hostConfig.NetworkMode!,
      ...(hostConfig.Annotations && { Annotations: hostConfig.Annotations }),
    },
    NetworkSettings: { Networks: settings.Networks },
    Mounts: record.mounts.map((mount) => mount.point),
    ...(record.imageDescriptor && { ImageManifestDescriptor: record.imageDescriptor }),
  };
}

/** As Docker prints it: words with spaces in single quotes. */
function commandLine({ config }: ContainerRecord): string {
  const [path = '', ...args] = [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
  return [path, ...args.map((word) => (word.includes(' ') ? `'${word}'` : word))].join(' ');
}

/** Nothing for a container that is removed while it is measured. */
async function sizesIfThere(
  context: ContainerContext,
  record: ContainerRecord,
): Promise<{ SizeRw?: number; SizeRootFs?: number }> {
  try {
    return await containerSizes(context, record);
  } catch (error) {
    if (context.store.get(record.id)) throw error;
    return {};
  }
}
