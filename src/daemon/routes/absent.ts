import { EngineError } from '../../base/errors.ts';
import type { Exchange } from '../exchange.ts';
import type { Method, Route } from '../router.ts';

/** What Docker has and we have not: each answers with words that say so, in Docker's own where clients act on them. */
export function absentRoutes(): Route[] {
  return [
    { method: 'GET', path: '/plugins', handle: async (exchange) => exchange.json([]) },
    { method: 'GET', path: '/plugins/{name}/json', handle: pluginNotFound },
    { method: 'DELETE', path: '/plugins/{name}', handle: pluginNotFound },
    { method: 'POST', path: '/plugins/{name}/enable', handle: pluginNotFound },
    { method: 'POST', path: '/plugins/{name}/disable', handle: pluginNotFound },
    { method: 'POST', path: '/plugins/{name}/set', handle: pluginNotFound },
    ...refuse('unimplemented', 'managed plugins are not supported by this engine', [
      ['GET', '/plugins/privileges'],
      ['POST', '/plugins/pull'],
      ['POST', '/plugins/create'],
      ['POST', '/plugins/{name}/upgrade'],
      ['POST', '/plugins/{name}/push'],
    ]),
    ...refuse('unavailable', 'This node is not part of a swarm', [['POST', '/swarm/leave']]),
    ...refuse('unimplemented', 'swarm mode is not supported by this engine', [
      ['POST', '/swarm/init'],
      ['POST', '/swarm/join'],
    ]),
    ...refuse(
      'unavailable',
      'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.',
      SWARM,
    ),
    ...refuse('unavailable', 'volume update only valid for cluster volumes, but swarm is unavailable', [
      ['PUT', '/volumes/{name}'],
    ]),
    ...refuse('unimplemented', 'checkpoints are not supported by this engine', [
      ['GET', '/containers/{id}/checkpoints'],
      ['POST', '/containers/{id}/checkpoints'],
      ['DELETE', '/containers/{id}/checkpoints/{checkpoint}'],
    ]),
  ];
}

const SWARM: readonly (readonly [Method, string])[] = [
  ['GET', '/swarm'],
  ['GET', '/swarm/unlockkey'],
  ['POST', '/swarm/update'],
  ['POST', '/swarm/unlock'],
  ...['nodes', 'services', 'tasks', 'configs'].flatMap((kind): [Method, string][] => [
    ['GET', `/${kind}`],
    ['POST', `/${kind}/create`],
    ['GET', `/${kind}/{id}/logs`],
    ['GET', `/${kind}/{id}`],
    ['DELETE', `/${kind}/{id}`],
    ['POST', `/${kind}/{id}/update`],
  ]),
];

function refuse(
  code: 'unimplemented' | 'unavailable',
  message: string,
  paths: readonly (readonly [Method, string])[],
): Route[] {
  const handle = async (): Promise<void> => {
    throw new EngineError(code, message);
  };
  return paths.map(([method, path]) => ({ method, path, handle }));
}

async function pluginNotFound(exchange: Exchange): Promise<void> {
  throw new EngineError('not-found', `plugin "${exchange.param('name')}" not found`);
}
