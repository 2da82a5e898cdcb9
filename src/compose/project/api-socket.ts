import { posix } from 'node:path';
import { asDict, asList, dict } from '../model/value.ts';
import type { Project, Service } from './project.ts';

/** Where Docker's clients look for the engine. */
const SOCKET = '/var/run/docker.sock';
const CONFIG_DIRECTORY = '/run/secrets/docker';
/** No name of a file's own can begin like this. */
const CONFIG = '#apisocket';

export function usesApiSocket(project: Project): boolean {
  return [...project.services.values()].some(asksForSocket);
}

/**
 * The project with `use_api_socket` carried out as Docker's Compose does it: the engine's socket is bound into the
 * containers, and the registries' credentials are a file of theirs, where a client finds both. Who is in such a container
 * can do all that the socket's owner can, and be those accounts.
 *
 * @param engine.socket the socket's path on the engine's host
 * @param engine.credentials the text of a Docker client's `config.json`
 */
export function withApiSocket(
  project: Project,
  engine: { readonly socket: string; readonly credentials: string },
): Project {
  const services = new Map(
    [...project.services].map(([name, service]) => [
      name,
      asksForSocket(service) ? withSocket(service, engine.socket) : service,
    ]),
  );
  const configs = dict([
    ...Object.entries(asDict(project.model['configs'])),
    [CONFIG, dict([['content', engine.credentials]])],
  ]);
  return { ...project, services, model: dict([...Object.entries(project.model), ['configs', configs]]) };
}

function asksForSocket(service: Service): boolean {
  return service.model['use_api_socket'] === true;
}

function withSocket(service: Service, socket: string): Service {
  const environment = asDict(service.model['environment']);
  // Not made where it is missing: that would be a directory.
  const mount = dict([
    ['type', 'bind'],
    ['source', socket],
    ['target', SOCKET],
  ]);
  const config = dict([
    ['source', CONFIG],
    ['target', posix.join(CONFIG_DIRECTORY, 'config.json')],
  ]);
  return {
    ...service,
    model: dict([
      ...Object.entries(service.model),
      ['volumes', [...asList(service.model['volumes']), mount]],
      ['environment', dict([['DOCKER_CONFIG', CONFIG_DIRECTORY], ...Object.entries(environment)])],
      ['configs', [...asList(service.model['configs']), config]],
    ]),
  };
}
