import { EngineError, errorCode } from '../../base/errors.ts';
import type { Client } from '../../client/client.ts';
import { asDict, asList, asText, asTexts, dict, type Dict, textOf } from '../model/value.ts';
import type { Service } from './project.ts';

/** One `pre_start` step: a command in a container of its own, with what the service's container has. */
export interface InitStep {
  readonly index: number;
  readonly image: string;
  readonly perReplica: boolean;
  /** The service as this one container of it: made like any other. */
  readonly service: Service;
}

/** What only the container that serves has. */
const NOT_FOR_STEPS = `container_name deploy depends_on develop entrypoint expose healthcheck ports post_start pre_start
  pre_stop restart scale stdin_open tty x-on-unhealthy`.split(/\s+/);

export function initSteps(service: Service): InitStep[] {
  return asList(service.model['pre_start']).map((item, index) => {
    const given = asDict(item);
    const image = asText(given['image']) ?? service.image;
    const model: Dict = dict(Object.entries(service.model).filter(([key]) => !NOT_FOR_STEPS.includes(key)));
    if (image === service.image && service.model['entrypoint'] !== undefined)
      model['entrypoint'] = service.model['entrypoint'];
    model['command'] = asTexts(given['command']);
    for (const key of ['user', 'privileged', 'working_dir']) if (given[key] !== undefined) model[key] = given[key];
    model['environment'] = dict([
      ...Object.entries(asDict(service.model['environment'])),
      ...Object.entries(asDict(given['environment'])),
    ]);
    return {
      index,
      image,
      perReplica: given['per_replica'] === true,
      service: { ...service, model, image, builds: false, replicas: 1 },
    };
  });
}

/** Runs a step's container to its end, and removes it; one that failed stays, to be looked at. Throws when it fails. */
export async function runInitStep(client: Client, id: string, name: string): Promise<void> {
  const { outcome } = await client.containers.wait(id, 'next-exit');
  await client.containers.start(id);
  const { StatusCode: code } = await outcome;
  if (code !== 0)
    throw new EngineError(
      'conflict',
      `pre_start step ${name} exited with status code ${code}: its container stays, see its logs`,
    );
  await client.containers.remove(id, { force: true, volumes: true }).catch((error: unknown) => {
    if (errorCode(error) !== 'not-found') throw error;
  });
}

/** The images of services' steps that are not the services' own. */
export function initImages(services: Iterable<Service>): Map<string, Service> {
  const found = new Map<string, Service>();
  for (const service of services)
    for (const step of initSteps(service))
      if (step.image !== service.image)
        found.set(`${service.name} (pre_start ${step.index + 1})`, {
          ...step.service,
          name: `${service.name} (pre_start ${step.index + 1})`,
          model: dict([['image', textOf(step.image)]]),
        });
  return found;
}
