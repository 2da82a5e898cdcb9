import { Expression } from '../base/expression.ts';
import { Template } from '../template/template.ts';
import type { DriverOptions, LogSource } from './log-sink.ts';

/** Options that choose what of a container goes with each line. */
export const ATTRIBUTE_OPTIONS = ['tag', 'labels', 'labels-regex', 'env', 'env-regex'] as const;

type Chosen = Pick<LogSource, 'labels' | 'env'>;

/** The labels and variables that the options name, or that their expressions match, sorted by name. A broken expression matches nothing, as with Docker. */
export function logAttributes(options: DriverOptions, source: Chosen): [name: string, value: string][] {
  const found = new Map<string, string>();
  const variables = new Map(
    source.env
      .filter((entry) => entry.includes('='))
      .map((entry) => {
        const cut = entry.indexOf('=');
        return [entry.slice(0, cut), entry.slice(cut + 1)];
      }),
  );
  for (const [key, values] of [
    ['labels', new Map(Object.entries(source.labels))],
    ['env', variables],
  ] as const) {
    const names = (options.get(key) ?? '').split(',');
    const expression = expressionOf(options.get(`${key}-regex`));
    for (const [name, value] of values)
      if (names.includes(name) || expression?.test(name) === true) found.set(name, value);
  }
  return [...found].toSorted(([a], [b]) => (a < b ? -1 : 1));
}

/** A tag is of the container's own choosing, and made where everybody else waits. */
const LIMITS = { steps: 2000, size: 64 * 1024 };

/** Throws an Error, in Go's words, of a template that cannot be read or names what is not there. */
export function logTag(options: DriverOptions, source: LogSource): string {
  const text = options.get('tag') ?? '';
  if (text === '') return source.id.slice(0, 12);
  try {
    if (text.length > LIMITS.size) throw new Error(`template: :1: more than ${LIMITS.size} characters`);
    return new Template(text, { typeName: '*logger.Info', limits: LIMITS }).execute({
      ID: source.id.slice(0, 12),
      FullID: source.id,
      Name: source.name,
      ImageID: source.imageId.slice(0, 12),
      ImageFullID: source.imageId,
      ImageName: source.imageName,
      Command: source.command.join(' '),
      Hostname: source.hostname,
      DaemonName: 'docker',
      ContainerID: source.id,
      ContainerName: `/${source.name}`,
      ContainerEntrypoint: source.command[0] ?? '',
      ContainerArgs: source.command.slice(1),
      ContainerImageID: source.imageId,
      ContainerImageName: source.imageName,
      ContainerCreated: source.createdAt,
      ContainerEnv: source.env,
      ContainerLabels: source.labels,
      Config: Object.fromEntries(options),
    });
  } catch (error) {
    // Go tells a template's name
    const why = (error as Error).message
      .replace(/^template: :/, 'template: log-tag:')
      .replace('executing ""', 'executing "log-tag"');
    throw new Error(why, { cause: error });
  }
}

function expressionOf(text: string | undefined): Expression | undefined {
  if (text === undefined || text === '') return undefined;
  try {
    return new Expression(text);
  } catch {
    return undefined;
  }
}
