import { EngineError } from '../../base/errors.ts';
import { asDict, asList, asText, type Dict, dict, sortedKeys, textOf } from '../model/value.ts';
import { inDependencyOrder } from './parallel.ts';
import type { OnProgress } from './progress.ts';
import type { Project, Service } from './project.ts';

/** Runs a provider's program; each line that it prints is given as it comes. Gives its exit code; throws `not-found`. */
export type RunProvider = (type: string, args: readonly string[], onLine: (line: string) => void) => Promise<number>;

export function isProvided(service: Service): boolean {
  return service.model['provider'] !== undefined;
}

/**
 * Has services made by their providers, dependencies first, and gives what those say to the environment of the services
 * that depend on them: `NAME_KEY` for what is set as `KEY`. Changes the models of the project's services. Idempotent as
 * far as the providers are.
 */
export async function makeProvided(
  project: Project,
  services: ReadonlyMap<string, Service>,
  run: RunProvider,
  onProgress: OnProgress,
): Promise<void> {
  const provided = new Map([...services].filter(([, service]) => isProvided(service)));
  await inDependencyOrder(provided, async (service) => {
    onProgress({ kind: 'Service', name: service.name, status: 'Creating' });
    const variables = await call(project, service, 'up', run, onProgress);
    onProgress({ kind: 'Service', name: service.name, status: 'Created' });
    for (const other of project.services.values())
      if (other.dependencies.has(service.name) && variables.size > 0)
        other.model['environment'] = dict([...Object.entries(asDict(other.model['environment'])), ...variables]);
  });
}

/** Has them taken away, dependents first. */
export async function removeProvided(
  project: Pick<Project, 'name'>,
  services: ReadonlyMap<string, Service>,
  run: RunProvider,
  onProgress: OnProgress,
): Promise<void> {
  const provided = new Map([...services].filter(([, service]) => isProvided(service)));
  await inDependencyOrder(
    provided,
    async (service) => {
      onProgress({ kind: 'Service', name: service.name, status: 'Removing' });
      await call(project, service, 'down', run, onProgress);
      onProgress({ kind: 'Service', name: service.name, status: 'Removed' });
    },
    { reverse: true },
  );
}

/** One call, in the protocol of Compose's provider services; gives the variables that it sets. */
async function call(
  project: Pick<Project, 'name'>,
  service: Service,
  verb: 'up' | 'down',
  run: RunProvider,
  onProgress: OnProgress,
): Promise<Map<string, string>> {
  const provider = asDict(service.model['provider']);
  const type = textOf(provider['type']);
  const fail = (reason: string): never => {
    throw new EngineError('unavailable', `service ${service.name}: provider ${type}: ${reason}`);
  };
  const options = optionWords(asDict(provider['options']), await parametersOf(type, verb, run), fail);
  const variables = new Map<string, string>();
  let said: string | undefined;
  const code = await run(
    type,
    ['compose', `--project-name=${project.name}`, verb, ...options, service.name],
    (line) => {
      if (line.trim() === '') return;
      const { kind, message } = messageOf(line) ?? fail(`it printed what is no message: ${line.slice(0, 200)}`);
      if (kind === 'info') onProgress({ kind: 'Service', name: service.name, status: message });
      else if (kind === 'error') said = message;
      else if (kind === 'setenv' || kind === 'rawsetenv') {
        const cut = message.indexOf('=');
        if (cut < 1) fail(`it sets no variable with ${JSON.stringify(message)}`);
        const key = message.slice(0, cut);
        const prefix = `${service.name.toUpperCase().replace(/[^A-Z0-9_]/g, '_')}_`;
        variables.set(kind === 'setenv' ? `${prefix}${key}` : key, message.slice(cut + 1));
      } else if (kind !== 'debug') fail(`it printed a message of an unknown type: ${JSON.stringify(kind)}`);
    },
  );
  if (said !== undefined || code !== 0) fail(said ?? `it ended with code ${code}`);
  return variables;
}

function messageOf(line: string): { kind: string; message: string } | undefined {
  try {
    const { type, message } = JSON.parse(line) as { type?: unknown; message?: unknown };
    return typeof type === 'string' && typeof message === 'string' ? { kind: type, message } : undefined;
  } catch {
    return undefined;
  }
}

interface Parameter {
  readonly name: string;
  readonly required: boolean;
}

/** The options that it knows for a verb; undefined for a provider that does not tell. */
async function parametersOf(type: string, verb: 'up' | 'down', run: RunProvider): Promise<Parameter[] | undefined> {
  const lines: string[] = [];
  const code = await run(type, ['compose', 'metadata'], (line) => lines.push(line));
  if (code !== 0) return undefined;
  try {
    const document = JSON.parse(lines.join('\n')) as Record<string, { parameters?: unknown } | undefined>;
    const given = document[verb]?.parameters;
    if (!Array.isArray(given)) return undefined;
    return (given as { name?: unknown; required?: unknown }[]).flatMap(({ name, required }) =>
      typeof name === 'string' ? [{ name, required: required === true || required === 'true' }] : [],
    );
  } catch {
    return undefined;
  }
}

function optionWords(options: Dict, known: Parameter[] | undefined, fail: (reason: string) => never): string[] {
  for (const { name, required } of known ?? [])
    if (required && options[name] === undefined) fail(`it needs the option ${JSON.stringify(name)}`);
  return sortedKeys(options)
    .filter((key) => known === undefined || known.some(({ name }) => name === key))
    .flatMap((key) => {
      const value = options[key];
      return (Array.isArray(value) ? asList(value) : [value]).map((item) => `--${key}=${asText(item) ?? ''}`);
    });
}
