import { NAME_TRACE_PATH } from '../../api/gantry.ts';
import { EngineError } from '../../base/errors.ts';
import type { EngineServices } from '../../engine/engine.ts';
import type { Exchange } from '../exchange.ts';
import { networkConnect, networkCreate, networkDisconnect } from '../json/network.ts';
import type { Route } from '../router.ts';
import { upgradeNetworkCreate } from '../versions.ts';

/** `/networks` */
export function networkRoutes(engine: EngineServices): Route[] {
  const { networks } = engine;
  const list = async (exchange: Exchange): Promise<void> => {
    exchange.json(await networks.list(exchange.query.filters()));
  };
  return [
    { method: 'GET', path: '/networks', handle: list },
    { method: 'GET', path: '/networks/', handle: list },
    {
      method: 'POST',
      path: '/networks/create',
      handle: async (exchange) => {
        const request = await exchange.body(networkCreate, { optional: true });
        if (!request.Name) throw new EngineError('invalid-argument', 'invalid name: name is empty');
        upgradeNetworkCreate(request, exchange.version);
        exchange.json(await networks.create(request), 201);
      },
    },
    {
      method: 'GET',
      path: NAME_TRACE_PATH,
      handle: async (exchange) => {
        const name = exchange.query.text('name');
        if (!name) throw new EngineError('invalid-argument', 'a name to look up is needed');
        exchange.json(await networks.traceName(name, exchange.query.text('container') || undefined));
      },
    },
    {
      method: 'POST',
      path: '/networks/prune',
      handle: async (exchange) => exchange.json(await networks.prune(exchange.query.filters())),
    },
    {
      method: 'GET',
      path: '/networks/{id}',
      handle: async (exchange) => {
        const { query } = exchange;
        const scope = query.text('scope');
        exchange.json(
          await networks.inspect(exchange.param('id'), {
            verbose: query.flag('verbose'),
            ...(scope === undefined ? {} : { scope }),
          }),
        );
      },
    },
    {
      method: 'POST',
      path: '/networks/{id}/connect',
      handle: async (exchange) => {
        await networks.connect(exchange.param('id'), await exchange.body(networkConnect));
        exchange.empty(200);
      },
    },
    {
      method: 'POST',
      path: '/networks/{id}/disconnect',
      handle: async (exchange) => {
        await networks.disconnect(exchange.param('id'), await exchange.body(networkDisconnect));
        exchange.empty(200);
      },
    },
    {
      method: 'DELETE',
      path: '/networks/{id}',
      handle: async (exchange) => {
        await networks.remove(exchange.param('id'));
        exchange.empty(204);
      },
    },
  ];
}
