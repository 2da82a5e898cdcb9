import { SCOPES_PATH, type ScopeCreateRequest } from '../../api/scope.ts';
import { bool, list, string, struct } from '../json/shape.ts';
import type { Route } from '../router.ts';
import type { ScopeDoors } from '../scope/scope-doors.ts';

const scopeCreate = struct<ScopeCreateRequest>('gantry.ScopeCreateRequest', {
  Name: string,
  ReadOnly: bool,
  Label: string,
  Images: list(string),
  Token: bool,
  Ensure: bool,
});

/** `/gantry/scopes` */
export function scopeRoutes(doors: ScopeDoors): Route[] {
  return [
    { method: 'GET', path: SCOPES_PATH, handle: async (exchange) => exchange.json(doors.list()) },
    {
      method: 'POST',
      path: SCOPES_PATH,
      handle: async (exchange) => exchange.json(await doors.create(await exchange.body(scopeCreate)), 201),
    },
    {
      method: 'DELETE',
      path: `${SCOPES_PATH}/{name}`,
      handle: async (exchange) => {
        doors.remove(exchange.param('name'));
        exchange.empty(204);
      },
    },
  ];
}
