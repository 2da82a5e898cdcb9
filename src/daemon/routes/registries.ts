import { REGISTRIES_PATH, type RegistryMessage } from '../../api/gantry.ts';
import type { EngineServices } from '../../engine/engine.ts';
import type { Exchange } from '../exchange.ts';
import { anything } from '../json/shape.ts';
import type { Route } from '../router.ts';

/** Lines that wait for a client that does not read are dropped beyond this; the engine's own log has them. */
const MAX_WAITING_BYTES = 1 << 20;

/** `/gantry/registries`: the engine's images, served to others. */
export function registryRoutes({ registry }: EngineServices): Route[] {
  return [
    { method: 'GET', path: REGISTRIES_PATH, handle: async (exchange) => exchange.json(registry.list()) },
    { method: 'POST', path: REGISTRIES_PATH, handle: (exchange) => open(registry, exchange) },
    {
      method: 'DELETE',
      path: `${REGISTRIES_PATH}/{address}`,
      handle: async (exchange) => {
        await registry.stop(exchange.param('address'));
        exchange.empty(204);
      },
    },
  ];
}

async function open(registry: EngineServices['registry'], exchange: Exchange): Promise<void> {
  const settings = registry.check(await exchange.body(anything));
  if (exchange.query.flag('detach')) {
    const { address } = await registry.open(settings, { keep: true });
    return exchange.json({ Address: address }, 201);
  }
  let begun = false;
  let dropped = 0;
  let waiting = 0;
  const say = (message: RegistryMessage): void => {
    if (waiting > MAX_WAITING_BYTES) dropped++;
    else {
      waiting = exchange.push(`${JSON.stringify({ ...message, ...(dropped > 0 && { Dropped: dropped }) })}\n`);
      dropped = 0;
    }
  };
  const listener = await registry.open(settings, { audit: (line) => begun && say({ Audit: line }) });
  try {
    exchange.begin('application/json');
    say({ Address: listener.address });
    begun = true;
    // It is the client's: without the client there is none.
    const { promise: gone, resolve } = Promise.withResolvers<void>();
    exchange.signal.addEventListener('abort', () => resolve(), { once: true });
    if (exchange.signal.aborted) resolve();
    await Promise.race([gone, listener.ended]);
  } finally {
    await listener.close(exchange.signal.aborted ? { graceMs: 0 } : {});
  }
  exchange.end();
}
