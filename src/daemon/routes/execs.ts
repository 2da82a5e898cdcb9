import { EngineError, errorMessage } from '../../base/errors.ts';
import type { AttachSession, EngineServices } from '../../engine/engine.ts';
import type { Exchange } from '../exchange.ts';
import { endWithMessage, joinSession, streamType } from '../hijack.ts';
import { execCreate, execStart } from '../json/requests.ts';
import type { Route } from '../router.ts';
import { upgradeExec } from '../versions.ts';
import { terminalSize } from '../terminal-size.ts';

/** `/containers/{id}/exec` and `/exec`. */
export function execRoutes(engine: EngineServices): Route[] {
  const { execs } = engine;
  return [
    {
      method: 'POST',
      path: '/containers/{id}/exec',
      handle: async (exchange) => {
        const request = upgradeExec(await exchange.body(execCreate), exchange.version);
        if (!request.Cmd?.length) throw new EngineError('invalid-argument', 'No exec command specified');
        exchange.json(await execs.create(exchange.param('id'), request), 201);
      },
    },
    { method: 'POST', path: '/exec/{id}/start', hijacks: true, handle: (exchange) => start(engine, exchange) },
    {
      method: 'POST',
      path: '/exec/{id}/resize',
      handle: async (exchange) => {
        await execs.resize(exchange.param('id'), terminalSize(exchange.query));
        exchange.empty(200);
      },
    },
    {
      method: 'GET',
      path: '/exec/{id}/json',
      handle: async (exchange) => exchange.json(await execs.inspect(exchange.param('id'))),
    },
  ];
}

async function start(engine: EngineServices, exchange: Exchange): Promise<void> {
  const id = exchange.param('id');
  const request = upgradeExec(await exchange.body(execStart, { optional: true }), exchange.version);
  const { OpenStdin } = await engine.execs.inspect(id);
  if (request.Detach) {
    await engine.execs.startDetached(id);
    exchange.empty(200);
    return;
  }
  const tty = request.Tty ?? false;
  const size = request.ConsoleSize;
  // The connection is the client's before anything runs: what goes wrong from here on is said in the stream.
  const connection = await exchange.hijack(streamType(tty, exchange.version));
  let session: AttachSession;
  try {
    session = await engine.execs.start(id, {
      tty,
      consoleSize: size ? { rows: size[0], columns: size[1] } : undefined,
      signal: exchange.signal,
    });
  } catch (error) {
    await endWithMessage(connection.socket, errorMessage(error), !tty);
    return;
  }
  await joinSession(connection, session, { multiplexed: !tty, stdin: OpenStdin, signal: exchange.signal });
}
