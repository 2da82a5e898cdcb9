import type { ContainerRecord } from '../state/containers.ts';

/** Another container that a container's labels say it needs. */
export interface BootDependency {
  readonly id: string;
  readonly healthy: boolean;
}

export interface BootStep {
  readonly record: ContainerRecord;
  /** Only of those that come earlier: a circle is cut open. */
  readonly after: readonly BootDependency[];
}

const PROJECT = 'com.docker.compose.project';
const SERVICE = 'com.docker.compose.service';
const DEPENDS_ON = 'com.docker.compose.depends_on';

/**
 * The order in which containers start that start with the engine: what Compose wrote on them as labels (its own, and
 * Docker's) is as true after a boot as it was at `up`; who shares another's namespaces comes after that one. `all` are those that may be needed, whether they start or run.
 */
export function bootOrder(starting: readonly ContainerRecord[], all: readonly ContainerRecord[]): BootStep[] {
  const byService = Map.groupBy(all, keyOf);
  const byName = new Map(all.flatMap((record) => [[record.id, record] as const, [record.name, record] as const]));
  const waiting = new Map(starting.map((record) => [record.id, record]));
  const steps: BootStep[] = [];
  const placed = new Set<string>();
  const place = (record: ContainerRecord): void => {
    waiting.delete(record.id);
    const needed = [
      ...needsOf(record).flatMap(({ service, healthy }) =>
        (byService.get(`${project(record)}/${service}`) ?? []).map(({ id }) => ({ id, healthy })),
      ),
      ...joinedBy(record).flatMap((name) => {
        const other = byName.get(name);
        return other ? [{ id: other.id, healthy: false }] : [];
      }),
    ];
    for (const { id } of needed) {
      const other = waiting.get(id);
      if (other) place(other);
    }
    steps.push({
      record,
      after: needed.filter(({ id }) => placed.has(id) || !starting.some((one) => one.id === id)),
    });
    placed.add(record.id);
  };
  for (const record of starting) if (waiting.has(record.id)) place(record);
  return steps;
}

/** Ids and names of those whose namespaces it shares: they are there only while they run. */
function joinedBy({ hostConfig }: ContainerRecord): string[] {
  const modes = [hostConfig.NetworkMode, hostConfig.IpcMode, hostConfig.PidMode];
  return [
    ...new Set(
      modes.flatMap((mode) => (mode?.startsWith('container:') === true ? [mode.slice('container:'.length)] : [])),
    ),
  ];
}

function project(record: ContainerRecord): string {
  return record.config.Labels?.[PROJECT] ?? '';
}

function keyOf(record: ContainerRecord): string {
  return `${project(record)}/${record.config.Labels?.[SERVICE] ?? ''}`;
}

/** Those that must run before it does. */
function needsOf(record: ContainerRecord): { service: string; healthy: boolean }[] {
  return dependenciesOf(record)
    .filter(({ condition }) => condition !== 'service_completed_successfully')
    .map(({ service, condition }) => ({ service, healthy: condition === 'service_healthy' }));
}

/** What its label says of other services: `db:service_healthy:false,job:service_completed_successfully:false` */
export function dependenciesOf(record: ContainerRecord): { service: string; condition: string }[] {
  return (record.config.Labels?.[DEPENDS_ON] ?? '')
    .split(',')
    .map((item) => item.split(':'))
    .filter(([service]) => service !== '')
    .map(([service, condition]) => ({ service: service!, condition: condition || 'service_started' }));
}

/** Whose container it is; undefined when not Compose's. */
export function composeService(record: ContainerRecord): { project: string; service: string } | undefined {
  const service = record.config.Labels?.[SERVICE];
  return project(record) === '' || service === undefined ? undefined : { project: project(record), service };
}
