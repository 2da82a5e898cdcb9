import { EngineError } from '../../base/errors.ts';
import type { EngineServices } from '../../engine/engine.ts';
import { secretRotate, secretScan, secretSpec } from '../json/secret.ts';
import type { Route } from '../router.ts';

/** `/secrets` */
export function secretRoutes({ secrets }: EngineServices): Route[] {
  return [
    {
      method: 'GET',
      path: '/secrets',
      handle: async (exchange) => exchange.json(await secrets.list(exchange.query.filters())),
    },
    {
      method: 'POST',
      path: '/secrets/create',
      handle: async (exchange) => exchange.json(await secrets.create(await exchange.body(secretSpec)), 201),
    },
    {
      method: 'POST',
      path: '/secrets/{id}/update',
      handle: async (exchange) => {
        const version = exchange.query.text('version') ?? '';
        if (!/^\d+$/.test(version)) {
          throw new EngineError('invalid-argument', `invalid secret version '${version}'`);
        }
        await secrets.update(exchange.param('id'), Number(version), await exchange.body(secretSpec));
        exchange.empty(200);
      },
    },
    {
      method: 'GET',
      path: '/secrets/{id}',
      handle: async (exchange) => exchange.json(await secrets.inspect(exchange.param('id'))),
    },
    {
      method: 'DELETE',
      path: '/secrets/{id}',
      handle: async (exchange) => {
        await secrets.remove(exchange.param('id'));
        exchange.empty(204);
      },
    },
    // what Docker has not; the list is there for clients that must know whether containers can have secrets
    {
      method: 'GET',
      path: '/gantry/secrets',
      handle: async (exchange) => exchange.json(await secrets.list(exchange.query.filters())),
    },
    {
      method: 'POST',
      path: '/gantry/secrets/ensure',
      handle: async (exchange) => exchange.json(await secrets.ensure(await exchange.body(secretSpec))),
    },
    {
      method: 'POST',
      path: '/gantry/secrets/rotate-key',
      handle: async (exchange) => exchange.json(await secrets.rotateKey()),
    },
    {
      method: 'POST',
      path: '/gantry/secrets/scan',
      handle: async (exchange) => {
        const { Container, Image } = await exchange.body(secretScan);
        exchange.json(await secrets.scan({ ...(Container && { Container }), ...(Image && { Image }) }));
      },
    },
    {
      method: 'POST',
      path: '/gantry/secrets/{id}/rotate',
      handle: async (exchange) =>
        exchange.json(await secrets.rotate(exchange.param('id'), await exchange.body(secretRotate))),
    },
  ];
}
