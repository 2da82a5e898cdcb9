import type { WaitResponse } from '../../api/container.ts';
import { containerPortsPath } from '../../api/gantry.ts';
import { containerWhyPath } from '../../api/why.ts';
import { EngineError } from '../../base/errors.ts';
import type { AttachOptions, AttachSession, EngineServices } from '../../engine/engine.ts';
import type { Exchange } from '../exchange.ts';
import { frameHeader, joinSession, streamType } from '../hijack.ts';
import { containerCreate, containerUpdate, portChange } from '../json/container.ts';
import type { Route } from '../router.ts';
import { terminalSize } from '../terminal-size.ts';
import { containerInspect, containerSummary, upgradeContainerCreate, upgradeContainerUpdate } from '../versions.ts';
import { websocketConnection } from '../websocket.ts';

/** `/containers`, without archives and execs. */
export function containerRoutes(engine: EngineServices): Route[] {
  const { containers } = engine;
  const id = (exchange: Exchange): string => exchange.param('id');
  return [
    {
      method: 'GET',
      path: '/containers/json',
      handle: async (exchange) => {
        const { query, version } = exchange;
        const found = await containers.list({
          all: query.flag('all'),
          size: query.flag('size'),
          filters: query.filters(),
          ...(query.has('limit') ? { limit: query.integer('limit') ?? 0 } : {}),
        });
        exchange.json(found.map((container) => containerSummary(container, version)));
      },
    },
    { method: 'POST', path: '/containers/create', handle: (exchange) => create(engine, exchange) },
    {
      method: 'POST',
      path: '/containers/prune',
      handle: async (exchange) => exchange.json(await containers.prune(exchange.query.filters())),
    },
    {
      method: 'GET',
      path: '/containers/{id}/json',
      handle: async (exchange) => {
        const document = await containers.inspect(id(exchange), { size: exchange.query.flag('size') });
        exchange.json(containerInspect(document, exchange.version));
      },
    },
    {
      method: 'GET',
      path: '/containers/{id}/top',
      handle: async (exchange) => exchange.json(await containers.top(id(exchange), exchange.query.text('ps_args'))),
    },
    {
      method: 'GET',
      path: containerWhyPath('{id}'),
      handle: async (exchange) => exchange.json(await containers.why(id(exchange))),
    },
    { method: 'GET', path: '/containers/{id}/logs', handle: (exchange) => logs(engine, exchange) },
    {
      method: 'GET',
      path: '/containers/{id}/changes',
      handle: async (exchange) => {
        const changes = await containers.changes(id(exchange));
        exchange.json(changes.length === 0 ? null : changes);
      },
    },
    {
      method: 'GET',
      path: '/containers/{id}/export',
      handle: async (exchange) =>
        exchange.stream('application/octet-stream', await containers.export(id(exchange), { signal: exchange.signal })),
    },
    { method: 'GET', path: '/containers/{id}/stats', handle: (exchange) => stats(engine, exchange) },
    {
      method: 'POST',
      path: '/containers/{id}/resize',
      handle: async (exchange) => {
        await containers.resize(id(exchange), terminalSize(exchange.query));
        exchange.empty(200);
      },
    },
    {
      method: 'POST',
      path: '/containers/{id}/start',
      handle: async (exchange) => {
        await refuseBody(exchange);
        checkDetachKeys(exchange.query.text('detachKeys'));
        await containers.start(id(exchange));
        exchange.empty(204);
      },
    },
    {
      method: 'POST',
      path: '/containers/{id}/stop',
      handle: async (exchange) => {
        await containers.stop(id(exchange), stopOptions(exchange));
        exchange.empty(204);
      },
    },
    {
      method: 'POST',
      path: '/containers/{id}/restart',
      handle: async (exchange) => {
        await containers.restart(id(exchange), stopOptions(exchange));
        exchange.empty(204);
      },
    },
    {
      method: 'POST',
      path: '/containers/{id}/kill',
      handle: async (exchange) => {
        await containers.kill(id(exchange), exchange.query.text('signal'));
        exchange.empty(204);
      },
    },
    {
      method: 'POST',
      path: '/containers/{id}/update',
      handle: async (exchange) => {
        const request = await exchange.body(containerUpdate, { optional: true });
        upgradeContainerUpdate(request, exchange.version);
        const { Warnings } = await containers.update(id(exchange), request);
        exchange.json({ Warnings: Warnings.length === 0 ? null : Warnings });
      },
    },
    {
      method: 'POST',
      path: containerPortsPath('{id}'),
      handle: async (exchange) =>
        exchange.json(await containers.changePorts(id(exchange), await exchange.body(portChange))),
    },
    {
      method: 'POST',
      path: '/containers/{id}/rename',
      handle: async (exchange) => {
        const name = exchange.query.text('name');
        if (name === undefined) throw new EngineError('invalid-argument', 'Neither old nor new names may be empty');
        await containers.rename(id(exchange), name);
        exchange.empty(204);
      },
    },
    {
      method: 'POST',
      path: '/containers/{id}/pause',
      handle: async (exchange) => {
        await containers.pause(id(exchange));
        exchange.empty(204);
      },
    },
    {
      method: 'POST',
      path: '/containers/{id}/unpause',
      handle: async (exchange) => {
        await containers.unpause(id(exchange));
        exchange.empty(204);
      },
    },
    { method: 'POST', path: '/containers/{id}/attach', hijacks: true, handle: (exchange) => attach(engine, exchange) },
    {
      method: 'GET',
      path: '/containers/{id}/attach/ws',
      hijacks: true,
      handle: (exchange) => attachWebsocket(engine, exchange),
    },
    { method: 'POST', path: '/containers/{id}/wait', handle: (exchange) => wait(engine, exchange) },
    {
      method: 'DELETE',
      path: '/containers/{id}',
      handle: async (exchange) => {
        const { query } = exchange;
        await containers.remove(id(exchange), {
          force: query.flag('force'),
          volumes: query.flag('v'),
          link: query.flag('link'),
        });
        exchange.empty(204);
      },
    },
  ];
}

async function create(engine: EngineServices, exchange: Exchange): Promise<void> {
  const request = await exchange.body(containerCreate);
  if (Object.keys(request).every((field) => field === 'HostConfig' || field === 'NetworkingConfig')) {
    throw new EngineError('invalid-argument', 'config cannot be empty in order to create a container');
  }
  const warnings = upgradeContainerCreate(request, exchange.version);
  const name = exchange.query.text('name');
  const platform = exchange.version < 41 ? undefined : exchange.query.text('platform');
  const created = await engine.containers.create(request, {
    ...(name === undefined ? {} : { name }),
    ...(platform === undefined ? {} : { platform }),
  });
  exchange.json({ Id: created.Id, Warnings: [...warnings, ...created.Warnings] }, 201);
}

async function logs(engine: EngineServices, exchange: Exchange): Promise<void> {
  const { query } = exchange;
  const [stdout, stderr] = [query.flag('stdout'), query.flag('stderr')];
  if (!stdout && !stderr) {
    throw new EngineError('invalid-argument', 'Bad parameters: you must choose at least one stream');
  }
  const since = query.time('since');
  const until = query.time('until');
  const tail = Number(query.text('tail') ?? 'all');
  const { tty, output } = await engine.containers.logs(exchange.param('id'), {
    stdout,
    stderr,
    follow: query.flag('follow'),
    timestamps: query.flag('timestamps'),
    details: query.flag('details'),
    signal: exchange.signal,
    ...(since === undefined ? {} : { since }),
    // Zero is the clients' way to say 'no end'.
    ...(until === undefined || until === 0n ? {} : { until }),
    // Whatever is no number means all of them, as with Docker.
    ...(Number.isInteger(tail) && tail >= 0 ? { tail } : {}),
  });
  exchange.begin(streamType(tty, exchange.version));
  try {
    for await (const { stream, data } of output) {
      if (data.length === 0) continue;
      await exchange.write(tty ? data : Buffer.concat([frameHeader(stream, data.length), data]));
    }
  } catch (error) {
    if (!exchange.signal.aborted) throw error;
  }
  exchange.end();
}

async function stats(engine: EngineServices, exchange: Exchange): Promise<void> {
  const stream = exchange.query.flag('stream', true);
  const oneShot = exchange.version >= 41 && exchange.query.flag('one-shot');
  if (stream && oneShot) {
    throw new EngineError('invalid-argument', 'cannot have stream=true and one-shot=true');
  }
  const samples = await engine.containers.stats(exchange.param('id'), { stream, oneShot, signal: exchange.signal });
  if (!stream) {
    for await (const sample of samples) {
      exchange.json(sample);
      return;
    }
    throw new EngineError('internal', 'no sample was taken');
  }
  exchange.begin('application/json');
  try {
    for await (const sample of samples) await exchange.write(`${JSON.stringify(sample)}\n`);
  } catch (error) {
    if (!exchange.signal.aborted) throw error;
  }
  exchange.end();
}

const CONDITIONS = ['not-running', 'next-exit', 'removed'] as const;

async function wait(engine: EngineServices, exchange: Exchange): Promise<void> {
  const asked = exchange.query.text('condition') ?? 'not-running';
  const condition = CONDITIONS.find((name) => name === asked);
  if (!condition) throw new EngineError('invalid-argument', `invalid condition: "${asked}"`);
  const { outcome } = await engine.containers.wait(exchange.param('id'), condition, exchange.signal);
  // Seen by the client before the container can exit: it starts the container only now.
  if (exchange.version >= 30) exchange.begin('application/json');
  const { exitCode, error } = await outcome;
  const answer: WaitResponse = { StatusCode: exitCode, ...(error ? { Error: { Message: error } } : {}) };
  if (exchange.version < 30) exchange.json(answer);
  else {
    await exchange.write(`${JSON.stringify(answer)}\n`);
    exchange.end();
  }
}

async function attach(engine: EngineServices, exchange: Exchange): Promise<void> {
  const options = attachOptions(exchange);
  const session = await engine.containers.attach(exchange.param('id'), options);
  const connection = await closingOnError(session, () => exchange.hijack(streamType(session.tty, exchange.version)));
  await joinSession(connection, session, {
    multiplexed: !session.tty,
    stdin: options.stdin,
    signal: exchange.signal,
  });
}

async function attachWebsocket(engine: EngineServices, exchange: Exchange): Promise<void> {
  const options = attachOptions(exchange);
  const session = await engine.containers.attach(exchange.param('id'), options);
  const connection = await closingOnError(session, () => websocketConnection(exchange));
  await joinSession(connection, session, { multiplexed: false, stdin: options.stdin, signal: exchange.signal });
}

/** Nobody else knows of the session yet. */
async function closingOnError<T>(session: AttachSession, take: () => T | Promise<T>): Promise<T> {
  try {
    return await take();
  } catch (error) {
    session.close();
    throw error;
  }
}

function attachOptions(exchange: Exchange): AttachOptions {
  const { query } = exchange;
  const detachKeys = query.text('detachKeys');
  checkDetachKeys(detachKeys);
  return {
    stdin: query.flag('stdin'),
    stdout: query.flag('stdout'),
    stderr: query.flag('stderr'),
    logs: query.flag('logs'),
    stream: query.flag('stream'),
    detachKeys,
    signal: exchange.signal,
  };
}

/** One character, or `ctrl-` and one of `a`–`z`, `@`, `[`, `\`, `]`, `^`, `_`; several of them with commas. */
function checkDetachKeys(keys: string | undefined): void {
  if (keys === undefined) return;
  const valid = keys.split(',').every((key) => /^.$/su.test(key) || /^ctrl-[a-z@[\\\]^_]$/i.test(key));
  if (!valid) throw new EngineError('invalid-argument', `Invalid detach keys (${keys}) provided`);
}

function stopOptions({ query, version }: Exchange): { signal?: string; timeoutSeconds?: number } {
  const signal = version < 42 ? undefined : query.text('signal');
  const timeoutSeconds = query.integer('t');
  return {
    ...(signal === undefined ? {} : { signal }),
    ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
  };
}

/** Until 1.24 a start could carry a host configuration; one that is sent today would be ignored, so it is refused. */
async function refuseBody(exchange: Exchange): Promise<void> {
  if (!exchange.hasBody) return;
  const body = (await exchange.bytes()).toString().trim();
  if (body.length > 2) {
    throw new EngineError(
      'invalid-argument',
      'starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24',
    );
  }
}
