import type { Filters } from '../../api/filters.ts';
import type { EngineServices } from '../../engine/engine.ts';
import type { Exchange } from '../exchange.ts';
import { volumeCreate } from '../json/requests.ts';
import type { Route } from '../router.ts';

/** `/volumes` */
export function volumeRoutes(engine: EngineServices): Route[] {
  const { volumes } = engine;
  return [
    {
      method: 'GET',
      path: '/volumes',
      handle: async (exchange) => exchange.json(await volumes.list(exchange.query.filters())),
    },
    {
      method: 'POST',
      path: '/volumes/create',
      handle: async (exchange) =>
        exchange.json(await volumes.create(await exchange.body(volumeCreate, { optional: true })), 201),
    },
    {
      method: 'POST',
      path: '/volumes/prune',
      handle: async (exchange) => exchange.json(await volumes.prune(pruneFilters(exchange))),
    },
    {
      method: 'GET',
      path: '/volumes/{name}',
      handle: async (exchange) => exchange.json(await volumes.inspect(exchange.param('name'))),
    },
    {
      method: 'DELETE',
      path: '/volumes/{name}',
      handle: async (exchange) => {
        await volumes.remove(exchange.param('name'), { force: exchange.query.flag('force') });
        exchange.empty(204);
      },
    },
  ];
}

/** Before 1.42 named volumes were pruned too. */
function pruneFilters(exchange: Exchange): Filters {
  const filters = exchange.query.filters();
  return exchange.version >= 42 || filters.has('all') ? filters : new Map([...filters, ['all', ['true']]]);
}
