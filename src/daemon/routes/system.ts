import { DISK_PATH } from '../../api/gantry.ts';
import type { EngineServices } from '../../engine/engine.ts';
import { EngineError } from '../../base/errors.ts';
import type { Exchange } from '../exchange.ts';
import { authConfig } from '../json/requests.ts';
import type { Route } from '../router.ts';
import { diskUsage, eventLine, systemInfo } from '../versions.ts';

/** `/_ping`, `/version`, `/info`, `/events`, `/system/df`, `/auth` */
export function systemRoutes(engine: EngineServices): Route[] {
  return [
    { method: 'GET', path: '/_ping', handle: ping },
    { method: 'HEAD', path: '/_ping', handle: ping },
    { method: 'GET', path: '/version', handle: async (exchange) => exchange.json(await engine.system.version()) },
    {
      method: 'GET',
      path: DISK_PATH,
      handle: async (exchange) => exchange.json(await engine.system.onDisk(exchange.signal)),
    },
    {
      method: 'GET',
      path: '/info',
      handle: async (exchange) => exchange.json(systemInfo(await engine.system.info(), exchange.version)),
    },
    { method: 'GET', path: '/events', handle: (exchange) => events(engine, exchange) },
    { method: 'GET', path: '/system/df', handle: (exchange) => df(engine, exchange) },
    {
      method: 'POST',
      path: '/auth',
      handle: async (exchange) => exchange.json(await engine.system.auth(await exchange.body(authConfig))),
    },
  ];
}

async function ping(exchange: Exchange): Promise<void> {
  // BuildKit, by its own protocol on this socket; the classic way to build stays.
  exchange.header('Builder-Version', '2');
  exchange.header('Swarm', 'inactive');
  exchange.header('Cache-Control', 'no-cache, no-store, must-revalidate');
  exchange.header('Pragma', 'no-cache');
  exchange.text('OK');
}

async function events(engine: EngineServices, exchange: Exchange): Promise<void> {
  const since = exchange.query.time('since');
  const until = exchange.query.time('until');
  if (since !== undefined && until !== undefined && since > until) {
    const [from, to] = [exchange.query.text('since'), exchange.query.text('until')];
    throw new EngineError('invalid-argument', `\`since\` time (${from}) cannot be after \`until\` time (${to})`);
  }
  const feed = engine.events.subscribe({
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
    filters: exchange.query.filters(),
    signal: exchange.signal,
  });
  exchange.begin('application/json');
  try {
    for await (const event of feed) await exchange.write(eventLine(event));
  } catch (error) {
    if (!exchange.signal.aborted) throw error;
  }
  exchange.end();
}

const USAGE_TYPES: readonly string[] = ['container', 'image', 'volume', 'build-cache'];

async function df(engine: EngineServices, exchange: Exchange): Promise<void> {
  // Chosen by type since 1.42.
  const types = exchange.version < 42 ? [] : exchange.query.all('type');
  const unknown = types.find((type) => !USAGE_TYPES.includes(type));
  if (unknown !== undefined) throw new EngineError('invalid-argument', `unknown object type: ${unknown}`);
  const usage = await engine.system.diskUsage({ ...(types.length > 0 ? { types } : {}), signal: exchange.signal });
  exchange.json(diskUsage(usage, exchange.version));
}
