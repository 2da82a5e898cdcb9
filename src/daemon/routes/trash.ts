import { TRASH_PATH } from '../../api/trash.ts';
import type { EngineServices } from '../../engine/engine.ts';
import { trashRestore } from '../json/requests.ts';
import type { Route } from '../router.ts';

/** `/gantry/trash` */
export function trashRoutes({ trash }: EngineServices): Route[] {
  return [
    { method: 'GET', path: TRASH_PATH, handle: async (exchange) => exchange.json(await trash.list()) },
    {
      method: 'POST',
      path: `${TRASH_PATH}/restore`,
      handle: async (exchange) =>
        exchange.json(await trash.restore(await exchange.body(trashRestore, { optional: true }))),
    },
    {
      method: 'DELETE',
      path: TRASH_PATH,
      handle: async (exchange) => exchange.json(await trash.empty(exchange.query.all('id'))),
    },
  ];
}
