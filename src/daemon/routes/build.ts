import {
  BUILD_CHECK_PATH,
  BUILD_DESCRIBE_PATH,
  BUILD_PATH,
  buildAnswerPath,
  buildInputPath,
  buildOutputPath,
  CACHE_MOUNTS_PATH,
  RECENT_BUILDS_PATH,
  type BuildDirectoryDocument,
  type BuildDocument,
  type BuildEventDocument,
  type BuildMessage,
} from '../../api/gantry.ts';
import type { BuildEvent, BuildOptions, BuildRequest, EngineServices } from '../../engine/engine.ts';
import { EngineError } from '../../base/errors.ts';
import type { BuildkitService } from '../../buildkit/service.ts';
import { BuildDoor } from '../build-door.ts';
import { outputs, readUlimits } from '../build-query.ts';
import { terminalSize } from '../terminal-size.ts';
import type { Exchange } from '../exchange.ts';
import { authConfigs } from '../json/requests.ts';
import { bool, list, map, nullable, string, struct } from '../json/shape.ts';
import { InputTickets, OutputTickets } from '../build-tickets.ts';
import { answerWithProgress } from '../progress.ts';
import { SessionBuilds } from '../session-builds.ts';
import { decodeAuthHeader, parseInteger, type Query } from '../query.ts';
import type { Route } from '../router.ts';

/** `/build`, with the classic builder's wire format. */
export function buildRoutes(engine: EngineServices, buildkit?: () => Promise<BuildkitService>): Route[] {
  const tickets = { outputs: new OutputTickets(), inputs: new InputTickets() };
  const door = new BuildDoor();
  const sessionBuilds = buildkit && new SessionBuilds(buildkit);
  return [
    {
      method: 'POST',
      path: '/build',
      handle: async (exchange) => {
        // The same path has two builders behind it, and clients of some years that choose by its version.
        if (sessionBuilds && exchange.query.text('version') === '2') await sessionBuilds.handle(exchange);
        else await build({ engine, tickets }, exchange);
      },
    },
    { method: 'POST', path: BUILD_PATH, handle: (exchange) => buildAsking({ engine, tickets }, door, exchange) },
    {
      method: 'POST',
      path: buildAnswerPath('{token}', '{id}'),
      hijacks: true,
      handle: (exchange) => door.answer(exchange.param('token'), Number(exchange.param('id')), exchange),
    },
    {
      method: 'POST',
      path: `${buildAnswerPath('{token}', '{id}')}/resize`,
      handle: async (exchange) => {
        await door.resize(exchange.param('token'), Number(exchange.param('id')), terminalSize(exchange.query));
        exchange.empty(200);
      },
    },
    { method: 'GET', path: RECENT_BUILDS_PATH, handle: async (exchange) => exchange.json(engine.builder.recent()) },
    {
      method: 'GET',
      path: `${RECENT_BUILDS_PATH}/{id}`,
      handle: async (exchange) => exchange.json(engine.builder.recentBuild(exchange.param('id'))),
    },
    {
      method: 'GET',
      path: buildOutputPath('{ticket}'),
      handle: (exchange) =>
        tickets.outputs.redeem(exchange.param('ticket'), (bytes) => exchange.stream('application/x-tar', bytes)),
    },
    {
      method: 'PUT',
      path: buildInputPath('{ticket}'),
      handle: async (exchange) => {
        const bytes = exchange.query.flag('absent') ? undefined : exchange.upload();
        await tickets.inputs.answer(exchange.param('ticket'), bytes, exchange.signal);
        exchange.empty(200);
      },
    },
    {
      method: 'GET',
      path: CACHE_MOUNTS_PATH,
      handle: async (exchange) => exchange.json(await engine.builder.cacheMounts.list()),
    },
    {
      method: 'DELETE',
      path: CACHE_MOUNTS_PATH,
      handle: async (exchange) => exchange.json(await engine.builder.cacheMounts.remove(cacheId(exchange))),
    },
    {
      method: 'GET',
      path: `${CACHE_MOUNTS_PATH}/archive`,
      handle: async (exchange) => {
        const { signal } = exchange;
        await exchange.stream(
          'application/x-tar',
          await engine.builder.cacheMounts.export(cacheId(exchange), { signal }),
        );
      },
    },
    {
      method: 'PUT',
      path: `${CACHE_MOUNTS_PATH}/archive`,
      handle: async (exchange) => {
        const { signal } = exchange;
        exchange.json(await engine.builder.cacheMounts.import(cacheId(exchange), exchange.upload(), { signal }));
      },
    },
    {
      method: 'POST',
      path: '/build/cancel',
      handle: async (exchange) => {
        const id = exchange.query.text('id');
        if (id === undefined) throw new EngineError('invalid-argument', 'build ID not provided');
        await engine.builder.cancel(id);
        sessionBuilds?.cancel(id);
        exchange.empty(200);
      },
    },
    { method: 'POST', path: BUILD_CHECK_PATH, handle: (exchange) => check(engine, exchange) },
    { method: 'POST', path: BUILD_DESCRIBE_PATH, handle: (exchange) => describe(engine, exchange) },
    { method: 'POST', path: '/build/prune', handle: (exchange) => prune(engine, exchange) },
  ];
}

function cacheId(exchange: Exchange): string {
  const id = exchange.query.text('id');
  if (id === undefined) throw new EngineError('invalid-argument', 'the id of a cache is missing');
  return id;
}

async function check(engine: EngineServices, exchange: Exchange): Promise<void> {
  const dockerfile = exchange.query.text('dockerfile');
  const platform = exchange.query.text('platform');
  const buildArgs = exchange.query.json('buildargs', map(nullable(string))) ?? {};
  const request = {
    ...(dockerfile !== undefined && { dockerfile }),
    ...(platform !== undefined && { platform }),
    buildArgs,
    namesOnly: exchange.query.flag('names'),
  };
  exchange.json(await engine.builder.check(exchange.upload(), request, { signal: exchange.signal }));
}

async function describe(engine: EngineServices, exchange: Exchange): Promise<void> {
  const { query } = exchange;
  const [dockerfile, platform, target] = ['dockerfile', 'platform', 'target'].map((name) => query.text(name));
  const request = {
    ...(dockerfile !== undefined && { dockerfile }),
    ...(platform !== undefined && { platform }),
    ...(target !== undefined && { target }),
    buildArgs: query.json('buildargs', map(nullable(string))) ?? {},
  };
  exchange.json(await engine.builder.describe(exchange.upload(), request, { signal: exchange.signal }));
}

interface BuildRouteParts {
  readonly engine: EngineServices;
  readonly tickets: { readonly outputs: OutputTickets; readonly inputs: InputTickets };
}

async function build(parts: BuildRouteParts, exchange: Exchange): Promise<void> {
  const request = buildRequest(exchange);
  // With `remote` there is no body: what would be read as one is the end of the request.
  const context = request.remote ? undefined : exchange.upload();
  await answerWithProgress(exchange, async (options, send) => run(parts, { context, request, options, send }));
}

/** A build whose client is asked for what the build needs. */
async function buildAsking(parts: BuildRouteParts, door: BuildDoor, exchange: Exchange): Promise<void> {
  const document = await exchange.body(buildDocument);
  if (!/^[0-9a-f]{32}$/.test(document.Token)) throw new EngineError('invalid-argument', 'invalid build token');
  const request = {
    ...buildRequest(exchange),
    refuseOtherFrontends: true,
    ...(document.Dockerfile !== undefined && { dockerfileText: document.Dockerfile }),
    ...(document.Ignore && { ignore: document.Ignore }),
  };
  await answerWithProgress(exchange, async (options, send) => {
    using session = door.open(document, send, exchange.signal);
    const tell: (message: BuildMessage) => void = send;
    const events = exchange.query.flag('events')
      ? { eventsOnly: true, onEvent: (event: BuildEvent) => tell({ event: eventDocument(event) }) }
      : {};
    await run(parts, { context: undefined, request, options: { ...options, session, ...events }, send });
  });
}

function eventDocument(event: BuildEvent): BuildEventDocument {
  if (event.type === 'warning') return { Type: 'warning', Rule: event.rule, Message: event.message, Line: event.line };
  const { id, platform, text, stage, position, total, line } = event.vertex;
  return {
    Type: event.type,
    Time: event.time,
    Vertex: {
      Id: id,
      Text: text,
      Stage: stage.index,
      ...(stage.name !== undefined && { StageName: stage.name }),
      ...(platform !== undefined && { Platform: platform }),
      Position: position,
      Total: total,
      Line: line,
    },
    ...(event.type === 'done' && { Origin: event.origin }),
    ...(event.type === 'output' && { Message: event.text }),
    ...(event.type === 'failed' && { Message: event.message }),
  };
}

const buildDocument = struct<BuildDocument>('gantry.BuildDocument', {
  Token: string,
  Secrets: list(string),
  Ssh: list(string),
  Directories: list(
    struct<BuildDirectoryDocument>('gantry.BuildDirectory', { Name: string, Key: string, Label: string, Tree: string }),
  ),
  Layouts: list(string),
  Archive: bool,
  Dockerfile: string,
  Ignore: list(string),
});

async function run(
  { engine, tickets }: BuildRouteParts,
  {
    context,
    request,
    options: given,
    send,
  }: {
    readonly context: AsyncIterable<Uint8Array> | undefined;
    readonly request: BuildRequest;
    readonly options: BuildOptions;
    readonly send: (message: BuildMessage) => void;
  },
): Promise<void> {
  const options: BuildOptions = {
    ...given,
    onOutput: ({ kind, index, open }) => {
      const announce = (Ticket: string): void => send({ aux: { Output: { Kind: kind, Index: index, Ticket } } });
      return tickets.outputs.offer(open, announce, given.signal);
    },
    onInput: (index, path) => {
      const announce = (Ticket: string): void => send({ aux: { Input: { Index: index, Path: path, Ticket } } });
      return tickets.inputs.ask(announce, given.signal);
    },
  };
  if (!request.quiet) {
    await engine.builder.build(context, request, options);
    return;
  }
  // Nothing but the image's id, and what the build printed only when it fails.
  const printed = new Tail();
  try {
    const { id } = await engine.builder.build(context, request, {
      ...options,
      onProgress: ({ stream, aux }) => {
        printed.add(stream ?? '');
        if (aux !== undefined && ('Descriptor' in (aux as object) || 'Report' in (aux as object))) send({ aux });
      },
    });
    send({ stream: `${id}\n` });
  } catch (error) {
    if (printed.text !== '') send({ stream: printed.text });
    throw error;
  }
}

/** The end of a text of any length. */
class Tail {
  text = '';

  add(more: string): void {
    this.text = (this.text + more).slice(-TAIL_CHARACTERS);
  }
}

const TAIL_CHARACTERS = 256 << 10;

function buildRequest(exchange: Exchange): BuildRequest {
  const { query } = exchange;
  const version = query.text('version') ?? '1';
  if (version !== '1') throw new EngineError('invalid-argument', `invalid version "${version}"`);
  const isolation = query.text('isolation') ?? '';
  if (isolation !== '' && isolation !== 'default')
    throw new EngineError('invalid-argument', `unsupported isolation: ${JSON.stringify(isolation)}`);
  // Steps leave no containers behind, whatever is asked for them.
  for (const name of ['rm', 'forcerm']) query.flag(name);
  const auth = decodeAuthHeader(exchange.request.headers['x-registry-config'], authConfigs);
  const limits = buildLimits(query);
  const text = (field: keyof BuildRequest, name: string): Partial<BuildRequest> => {
    const value = query.text(name);
    return value === undefined ? {} : { [field]: value };
  };
  const shmSize = query.integer('shmsize');
  const pins = query.json('pins', map(string));
  return {
    ...text('dockerfile', 'dockerfile'),
    ...text('target', 'target'),
    ...text('platform', 'platform'),
    ...text('networkMode', 'networkmode'),
    ...text('remote', 'remote'),
    tags: query.all('t'),
    buildArgs: query.json('buildargs', map(nullable(string)), 'build args') ?? {},
    labels: query.json('labels', map(string), 'labels') ?? {},
    inheritLabels: query.text('inheritlabels') === undefined || query.flag('inheritlabels'),
    engineSecrets: query.json('enginesecrets', map(string)) ?? {},
    cacheFrom: query.json('cachefrom', list(string), 'cache-from') ?? [],
    cacheTo: query.json('cacheto', list(string)) ?? [],
    ulimits: readUlimits(query),
    extraHosts: query.all('extrahosts'),
    contexts: query.json('contexts', map(string)) ?? {},
    noCacheFilter: query.json('nocachefilter', list(string)) ?? [],
    allow: query.json('allow', list(string)) ?? [],
    securityOpt: query.json('securityopt', list(string)) ?? [],
    noCache: query.flag('nocache'),
    pull: query.flag('pull'),
    quiet: query.flag('q'),
    squash: query.flag('squash'),
    explain: query.flag('explain'),
    verify: query.flag('verify'),
    enterFailed: query.flag('enterfailed'),
    report: query.flag('report'),
    outputs: (query.json('outputs', outputs) ?? []).map(({ Type, Attrs }) => ({ type: Type, attributes: Attrs ?? {} })),
    annotations: query.json('annotations', list(string)) ?? [],
    attestations: query.json('attestations', list(string)) ?? [],
    ...(shmSize === undefined ? {} : { shmSize }),
    ...(limits ? { limits } : {}),
    ...(auth ? { auth } : {}),
    ...(pins ? { pins } : {}),
  };
}

function buildLimits(query: Query): BuildRequest['limits'] | undefined {
  const limits: Record<string, string | number> = {};
  for (const [name, field] of [
    ['memory', 'memory'],
    ['memswap', 'memorySwap'],
    ['cpushares', 'cpuShares'],
    ['cpuperiod', 'cpuPeriod'],
    ['cpuquota', 'cpuQuota'],
  ] as const) {
    const value = query.integerOrNone(name);
    // Clients send zero for what was not asked.
    if (value) limits[field] = value;
  }
  for (const [name, field] of [
    ['cpusetcpus', 'cpusetCpus'],
    ['cpusetmems', 'cpusetMems'],
    ['cgroupparent', 'cgroupParent'],
  ] as const) {
    const value = query.text(name);
    if (value !== undefined) limits[field] = value;
  }
  return Object.keys(limits).length === 0 ? undefined : limits;
}

async function prune(engine: EngineServices, exchange: Exchange): Promise<void> {
  const { query } = exchange;
  const bytes = (name: string): number | undefined => {
    const text = query.text(name);
    try {
      return text === undefined ? undefined : parseInteger(text);
    } catch (error) {
      throw new EngineError(
        'invalid-argument',
        `${name} is in bytes and expects an integer, got ${text}: ${(error as Error).message}`,
        { cause: error },
      );
    }
  };
  exchange.json(
    await engine.builder.prune({
      all: query.flag('all'),
      filters: query.filters(),
      reserved: bytes('reserved-space') ?? bytes('keep-storage'),
      maxUsed: bytes('max-used-space'),
      minFree: bytes('min-free-space'),
    }),
  );
}
