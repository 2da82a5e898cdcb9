import { EngineError } from '../../base/errors.ts';
import type { LoadedProject } from '../model/load.ts';
import { asDict, asList, asText, type Dict } from '../model/value.ts';

/** A service of a loaded project, in normal form. */
export interface Service {
  readonly name: string;
  readonly model: Dict;
  readonly replicas: number;
  readonly dependencies: ReadonlyMap<string, Dependency>;
  /** What its containers are made of: `image:`, or the name its build gets. */
  readonly image: string;
  readonly builds: boolean;
}

export interface Dependency {
  readonly condition: 'service_started' | 'service_healthy' | 'service_completed_successfully';
  readonly restart: boolean;
  readonly required: boolean;
}

export interface Project {
  readonly name: string;
  readonly directory: string;
  readonly files: readonly string[];
  readonly services: ReadonlyMap<string, Service>;
  readonly model: Dict;
  readonly environment: ReadonlyMap<string, string>;
}

/** `scale` overrides the model's counts. */
export function projectOf(loaded: LoadedProject, scale: ReadonlyMap<string, number> = new Map()): Project {
  const all = asDict(loaded.model['services']);
  const services = new Map<string, Service>();
  for (const name of Object.keys(all)) {
    const model = asDict(all[name]);
    // What a provider makes has no containers.
    const replicas =
      model['provider'] === undefined
        ? (scale.get(name) ?? Number(model['scale'] ?? asDict(model['deploy'])['replicas'] ?? 1))
        : 0;
    if (scale.has(name) && replicas > 1 && model['container_name'] !== undefined)
      throw new EngineError(
        'invalid-argument',
        `services.${name}: can't set container_name and scale as container name must be unique`,
      );
    services.set(name, {
      name,
      model,
      replicas,
      dependencies: dependenciesOf(model, all),
      image: asText(model['image']) ?? `${loaded.name}-${name}`,
      builds: model['build'] !== undefined,
    });
  }
  for (const name of scale.keys())
    if (!services.has(name)) throw new EngineError('not-found', `no such service: ${name}`);
  return {
    name: loaded.name,
    directory: loaded.directory,
    files: loaded.files,
    services,
    model: loaded.model,
    environment: loaded.environment,
  };
}

/** Of what profiles leave: an optional dependency that is off is none. */
function dependenciesOf(model: Dict, services: Dict): Map<string, Dependency> {
  return new Map(
    Object.entries(asDict(model['depends_on']))
      .filter(([name, item]) => name in services || asDict(item)['required'] !== false)
      .map(([name, item]) => {
        const given = asDict(item);
        return [
          name,
          {
            condition: (asText(given['condition']) ?? 'service_started') as Dependency['condition'],
            restart: given['restart'] === true,
            required: given['required'] !== false,
          },
        ];
      }),
  );
}

/** The services named, with what they depend on unless `alone`; all when none is named. Throws `not-found`. */
export function selectServices(project: Project, names: readonly string[], alone = false): Map<string, Service> {
  if (names.length === 0) return new Map(project.services);
  const wanted = new Set<string>();
  const add = (name: string, required: boolean): void => {
    const service = project.services.get(name);
    if (!service) {
      if (required) throw new EngineError('not-found', `no such service: ${name}`);
      return;
    }
    if (wanted.has(name)) return;
    wanted.add(name);
    if (!alone) for (const [other, how] of service.dependencies) add(other, how.required);
  };
  for (const name of names) add(name, true);
  return new Map([...project.services].filter(([name]) => wanted.has(name)));
}

/** The resource of a kind by its key in the file; throws for what the model does not have. */
export function resource(project: Project, kind: string, key: string): Dict {
  return asDict(asDict(project.model[kind])[key]);
}

/** The service whose namespaces or volumes a service shares. */
export function sharedServices(service: Service): string[] {
  const modes = ['network_mode', 'ipc', 'pid', 'uts', 'cgroup'].map((key) => asText(service.model[key]) ?? '');
  return [
    ...modes.filter((mode) => mode.startsWith('service:')).map((mode) => mode.slice('service:'.length)),
    ...asList(service.model['volumes_from'])
      .map(String)
      .filter((text) => !text.startsWith('container:'))
      .map((text) => text.split(':')[0]!),
  ];
}
