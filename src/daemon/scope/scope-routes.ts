import { containerPortsPath } from '../../api/gantry.ts';
import type { Scope } from '../../api/scope.ts';
import { containerWhyPath } from '../../api/why.ts';
import { EngineError } from '../../base/errors.ts';
import type { Route } from '../router.ts';

/** What a scope that only looks may ask for. */
export const LOOKING: ReadonlySet<string> = new Set([
  'GET /_ping',
  'HEAD /_ping',
  'GET /version',
  'GET /info',
  'GET /events',
  'GET /containers/json',
  'GET /containers/{id}/json',
  'GET /containers/{id}/top',
  'GET /containers/{id}/logs',
  'GET /containers/{id}/changes',
  'GET /containers/{id}/stats',
  `GET ${containerWhyPath('{id}')}`,
  'POST /containers/{id}/wait',
  'GET /exec/{id}/json',
  'GET /images/json',
  'GET /images/{name}/json',
  'GET /images/{name}/history',
  'GET /networks',
  'GET /networks/',
  'GET /networks/{id}',
  'GET /volumes',
  'GET /volumes/{name}',
]);

/** What others may do beside that. Builds, images as files, pushes, tags, secrets, registries and scopes are the whole socket's. */
export const CHANGING: ReadonlySet<string> = new Set([
  'POST /containers/create',
  'POST /containers/prune',
  'POST /containers/{id}/resize',
  'POST /containers/{id}/start',
  'POST /containers/{id}/stop',
  'POST /containers/{id}/restart',
  'POST /containers/{id}/kill',
  'POST /containers/{id}/update',
  'POST /containers/{id}/rename',
  'POST /containers/{id}/pause',
  'POST /containers/{id}/unpause',
  'POST /containers/{id}/attach',
  'GET /containers/{id}/attach/ws',
  'DELETE /containers/{id}',
  'GET /containers/{id}/export',
  'HEAD /containers/{id}/archive',
  'GET /containers/{id}/archive',
  'PUT /containers/{id}/archive',
  `POST ${containerPortsPath('{id}')}`,
  'POST /containers/{id}/exec',
  'POST /exec/{id}/start',
  'POST /exec/{id}/resize',
  'POST /images/create',
  'POST /networks/create',
  'POST /networks/prune',
  'POST /networks/{id}/connect',
  'POST /networks/{id}/disconnect',
  'DELETE /networks/{id}',
  'POST /volumes/create',
  'POST /volumes/prune',
  'DELETE /volumes/{name}',
  'GET /gantry/volumes/{name}/files',
  'GET /gantry/volumes/{name}/file',
  'GET /gantry/volumes/{name}/archive',
  'PUT /gantry/volumes/{name}/archive',
]);

/** The same table for a scope: a route that is not in the lists above refuses, also one that nobody has thought of yet. */
export function scopedRoutes(scope: Pick<Scope, 'Name' | 'ReadOnly'>, routes: readonly Route[]): Route[] {
  return routes.map((route) => {
    const name = `${route.method} ${route.path}`;
    if (LOOKING.has(name) || (!scope.ReadOnly && CHANGING.has(name))) return route;
    const { method, path } = route;
    const handle = async (): Promise<void> => {
      throw new EngineError('forbidden', `${name} is not for the scope ${scope.Name}${adviceFor(name)}`);
    };
    return { method, path, handle };
  });
}

const BUILDS =
  ": builds are the whole socket's: build there, and run the image here (`gantry scope create --image NAME` allows it)";

/** To the refusal of an image: buildx, when builds are refused, goes for a container of BuildKit's. */
export function imageAdvice(name: string): string {
  return /(?:^|\/)moby\/buildkit(?:[:@]|$)/.test(name) ? BUILDS : '';
}

/** What to do instead, where people take the whole socket for given. */
function adviceFor(name: string): string {
  if (!/^POST .*\/(?:build|session|grpc)$/.test(name)) return '';
  return BUILDS;
}
