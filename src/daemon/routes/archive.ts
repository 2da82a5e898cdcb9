import type { PathStat } from '../../api/container.ts';
import { EngineError } from '../../base/errors.ts';
import type { EngineServices } from '../../engine/engine.ts';
import type { Exchange } from '../exchange.ts';
import type { Route } from '../router.ts';

/** `/containers/{id}/archive`: files in and out, as tar. */
export function archiveRoutes(engine: EngineServices): Route[] {
  const { containers } = engine;
  return [
    {
      method: 'HEAD',
      path: '/containers/{id}/archive',
      handle: async (exchange) => {
        sendStat(exchange, await containers.archiveStat(exchange.param('id'), path(exchange)));
        exchange.empty(200);
      },
    },
    {
      method: 'GET',
      path: '/containers/{id}/archive',
      handle: async (exchange) => {
        const { stat, tar } = await containers.archiveGet(exchange.param('id'), path(exchange), {
          signal: exchange.signal,
        });
        sendStat(exchange, stat);
        await exchange.stream('application/x-tar', tar);
      },
    },
    {
      method: 'PUT',
      path: '/containers/{id}/archive',
      handle: async (exchange) => {
        const { query } = exchange;
        await containers.archivePut(exchange.param('id'), path(exchange), exchange.upload(), {
          noOverwriteDirNonDir: query.flag('noOverwriteDirNonDir'),
          copyUidGid: query.flag('copyUIDGID'),
          signal: exchange.signal,
        });
        exchange.empty(200);
      },
    },
  ];
}

function path(exchange: Exchange): string {
  const path = exchange.query.text('path');
  if (path === undefined) throw new EngineError('invalid-argument', "bad parameter: 'path' cannot be empty");
  return path;
}

function sendStat(exchange: Exchange, stat: PathStat): void {
  exchange.header('X-Docker-Container-Path-Stat', Buffer.from(JSON.stringify(stat)).toString('base64'));
}
