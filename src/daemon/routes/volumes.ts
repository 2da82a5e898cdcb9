import type { Filters } from '../../api/filters.ts';
import type { VolumeCopyRequest } from '../../api/gantry.ts';
import type { EngineServices } from '../../engine/engine.ts';
import type { Exchange } from '../exchange.ts';
import { volumeCreate } from '../json/requests.ts';
import { bool, map, string, struct } from '../json/shape.ts';
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
    ...gantryRoutes(engine),
  ];
}

/** What Docker has not. */
function gantryRoutes({ volumes }: EngineServices): Route[] {
  const name = (exchange: Exchange): string => exchange.param('name');
  return [
    {
      method: 'POST',
      path: '/gantry/volumes/{name}/rename',
      handle: async (exchange) =>
        exchange.json(await volumes.rename(name(exchange), exchange.query.text('name') ?? '')),
    },
    {
      method: 'POST',
      path: '/gantry/volumes/{name}/clone',
      handle: async (exchange) => {
        const request = await exchange.body(volumeCopy);
        exchange.json(await volumes.clone(name(exchange), request, { signal: exchange.signal }), 201);
      },
    },
    {
      method: 'POST',
      path: '/gantry/volumes/{name}/snapshot',
      handle: async (exchange) => {
        const request = await exchange.body(volumeCopy, { optional: true });
        exchange.json(await volumes.snapshot(name(exchange), request, { signal: exchange.signal }), 201);
      },
    },
    {
      method: 'GET',
      path: '/gantry/volumes/{name}/files',
      handle: async (exchange) => exchange.json(await volumes.files(name(exchange), exchange.query.text('path') ?? '')),
    },
    {
      method: 'GET',
      path: '/gantry/volumes/{name}/file',
      handle: async (exchange) => {
        const { content } = await volumes.readFile(name(exchange), exchange.query.text('path') ?? '');
        await exchange.stream('application/octet-stream', content);
      },
    },
    {
      method: 'GET',
      path: '/gantry/volumes/{name}/archive',
      handle: async (exchange) =>
        exchange.stream('application/x-tar', await volumes.export(name(exchange), { signal: exchange.signal })),
    },
    {
      method: 'PUT',
      path: '/gantry/volumes/{name}/archive',
      handle: async (exchange) =>
        exchange.json(await volumes.import(name(exchange), exchange.upload(), { signal: exchange.signal }), 201),
    },
  ];
}

const volumeCopy = struct<VolumeCopyRequest>('gantry.VolumeCopyRequest', {
  Name: string,
  Labels: map(string),
  Live: bool,
});

/** Before 1.42 named volumes were pruned too. */
function pruneFilters(exchange: Exchange): Filters {
  const filters = exchange.query.filters();
  return exchange.version >= 42 || filters.has('all') ? filters : new Map([...filters, ['all', ['true']]]);
}
