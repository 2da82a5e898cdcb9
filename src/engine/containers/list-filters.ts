import { checkFilters, type Filters, matchesLabels } from '../../api/filters.ts';
import { EngineError } from '../../base/errors.ts';
import { Expression } from '../../base/expression.ts';
import type { ContainerRecord } from '../../state/containers.ts';
import { type ContainerContext, findContainer } from './context.ts';
import { portsOf } from './ports.ts';

type Wanted = (record: ContainerRecord) => boolean;

const KNOWN = [
  'ancestor',
  'before',
  'exited',
  'expose',
  'health',
  'id',
  'isolation',
  'is-task',
  'label',
  'name',
  'network',
  'publish',
  'since',
  'status',
  'volume',
];
const STATES = ['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead'];
const HEALTHS = ['none', 'starting', 'healthy', 'unhealthy'];

/**
 * Values of one key are alternatives, keys must all hold; every `label` must. Throws `invalid-argument`, and
 * `not-found` for a container of `before` or `since` that is not there.
 */
export async function containerFilter(
  context: Pick<ContainerContext, 'store' | 'images'>,
  filters: Filters,
): Promise<Wanted> {
  checkFilters(filters, KNOWN);
  const tests: Wanted[] = [(record) => matchesLabels(filters, record.config.Labels)];
  for (const [key, values] of filters) {
    if (values.length === 0 || key === 'label') continue;
    const test = key === 'ancestor' ? await ancestorTest(context, values) : testOf(context, key, values);
    tests.push(test);
  }
  return (record) => tests.every((test) => test(record));
}

async function ancestorTest(context: Pick<ContainerContext, 'images'>, values: readonly string[]): Promise<Wanted> {
  const images = new Set<string>();
  for (const value of values) for (const id of await context.images.descendants(value)) images.add(id);
  return (record) => images.has(record.imageId) || values.includes(record.config.Image ?? '');
}

function testOf(context: Pick<ContainerContext, 'store'>, key: string, values: readonly string[]): Wanted {
  const invalid = (value: string, why: string): never => {
    throw new EngineError('invalid-argument', `invalid filter '${key}=${value}'${why}`);
  };
  switch (key) {
    case 'id':
      return matcher(values, (record) => [record.id]);
    case 'name':
      return matcher(values, (record) => [record.name, `/${record.name}`]);
    case 'status':
      for (const value of values) {
        if (!STATES.includes(value))
          invalid(value, `: invalid value for state (${value}): must be one of ${STATES.join(', ')}`);
      }
      return (record) => values.includes(record.state.status);
    case 'health':
      for (const value of values) {
        if (!HEALTHS.includes(value))
          invalid(value, `: invalid value for health (${value}): must be one of ${HEALTHS.join(', ')}`);
      }
      return (record) => values.includes(record.state.health?.Status ?? 'none');
    case 'exited': {
      for (const value of values) {
        if (!/^[+-]?\d+$/.test(value))
          invalid(value, `: strconv.Atoi: parsing ${JSON.stringify(value)}: invalid syntax`);
      }
      const codes = new Set(values.map(Number));
      return (record) => codes.has(record.state.exitCode) && record.state.status === 'exited';
    }
    case 'is-task': {
      // no swarm: nothing is a task
      if (values.length !== 1 || !/^(true|false|1|0)$/i.test(values[0]!)) {
        throw new EngineError('invalid-argument', `invalid filter 'is-task=[${values.join(' ')}]'`);
      }
      const tasks = /^(true|1)$/i.test(values[0]!);
      return () => !tasks;
    }
    case 'before':
    case 'since':
      return relativeTo(
        key,
        values.map((value) => findContainer(context, value)),
      );
    case 'publish':
    case 'expose':
      return portTest(key, values);
    case 'volume':
      return (record) =>
        record.mounts.some(
          ({ point }) =>
            values.includes(point.Name ?? '') || values.includes(point.Source) || values.includes(point.Destination),
        );
    case 'network':
      return (record) =>
        values.some(
          (value) =>
            Object.hasOwn(record.networks, value) ||
            Object.entries(record.attachment?.endpoints ?? {}).some(
              ([name, endpoint]) => name === value || (endpoint.NetworkID ?? '').startsWith(value),
            ),
        );
    default:
      return () => true;
  }
}

/** A regular expression, as in Docker; what is none matches as plain text. */
function matcher(values: readonly string[], texts: (record: ContainerRecord) => string[]): Wanted {
  const patterns = values.map((value): ((text: string) => boolean) => {
    try {
      const expression = new Expression(value);
      return (text) => expression.test(text);
    } catch {
      return (text) => text.includes(value);
    }
  });
  return (record) => texts(record).some((text) => patterns.some((matches) => matches(text)));
}

function relativeTo(key: 'before' | 'since', others: readonly ContainerRecord[]): Wanted {
  const times = others.map((other) => other.createdAt);
  return (record) =>
    times.some((time) =>
      key === 'before' ? compareTimes(record.createdAt, time) < 0 : compareTimes(record.createdAt, time) > 0,
    );
}

/** RFC 3339 with any number of fractional digits. */
function compareTimes(a: string, b: string): number {
  const [left, right] = [a.slice(0, -1), b.slice(0, -1)];
  return left < right ? -1 : left > right ? 1 : 0;
}

function portTest(key: 'publish' | 'expose', values: readonly string[]): Wanted {
  const ports = values.map((value) => portsOf(key, value));
  const wanted = (port: string): boolean => ports.some((set) => set.has(port));
  if (key === 'expose')
    return (record) => Object.keys(record.config.ExposedPorts ?? {}).some((port) => wanted(withProtocol(port)));
  return (record) =>
    Object.values({ ...record.hostConfig.PortBindings, ...record.attachment?.ports }).length > 0 &&
    Object.entries({ ...record.hostConfig.PortBindings, ...record.attachment?.ports }).some(
      ([port, bindings]) =>
        wanted(withProtocol(port)) ||
        (bindings ?? []).some(({ HostPort }) => wanted(`${HostPort}/${withProtocol(port).split('/')[1]}`)),
    );
}

function withProtocol(port: string): string {
  return port.includes('/') ? port : `${port}/tcp`;
}
