import type { AuthConfig } from '../../api/auth.ts';
import type { BootstrapRequestDocument, FsckReportDocument } from '../../api/gantry.ts';
import { EngineError } from '../../base/errors.ts';
import type { EngineServices, FsckReport } from '../../engine/engine.ts';
import type { Exchange } from '../exchange.ts';
import { containerConfig } from '../json/container.ts';
import { authConfig } from '../json/requests.ts';
import { list, string, struct } from '../json/shape.ts';
import { answerWithProgress } from '../progress.ts';
import { decodeAuthHeader, parseInteger, type Query } from '../query.ts';
import type { Route } from '../router.ts';
import { imageInspect, imageSummary } from '../versions.ts';

/** `/images`, `/commit`, `/distribution`. */
export function imageRoutes(engine: EngineServices): Route[] {
  const { images } = engine;
  const name = (exchange: Exchange): string => exchange.param('name');
  return [
    {
      method: 'GET',
      path: '/images/json',
      handle: async (exchange) => {
        const { query, version } = exchange;
        const found = await images.list({
          all: query.flag('all'),
          filters: query.filters(),
          sharedSize: version >= 42 && query.flag('shared-size'),
          manifests: version >= 47 && query.flag('manifests'),
          digests: query.flag('digests'),
        });
        exchange.json(found.map((image) => imageSummary(image, version)));
      },
    },
    { method: 'POST', path: '/images/create', handle: (exchange) => createImage(engine, exchange) },
    { method: 'POST', path: '/images/load', handle: (exchange) => load(engine, exchange) },
    {
      method: 'POST',
      path: '/images/prune',
      handle: async (exchange) => exchange.json(await images.prune(exchange.query.filters())),
    },
    {
      method: 'GET',
      path: '/images/get',
      handle: (exchange) =>
        save(
          engine,
          exchange,
          exchange.query.all('names').flatMap((names) => names.split(',')),
        ),
    },
    {
      method: 'GET',
      path: '/images/search',
      handle: async (exchange) => {
        const { query } = exchange;
        const limit = searchLimit(query);
        exchange.json(
          await images.search(query.text('term') ?? '', {
            ...(limit === undefined ? {} : { limit }),
            filters: query.filters(),
            auth: registryAuth(exchange),
          }),
        );
      },
    },
    { method: 'GET', path: '/images/{name}/get', handle: (exchange) => save(engine, exchange, [name(exchange)]) },
    {
      method: 'GET',
      path: '/images/{name}/json',
      handle: async (exchange) => {
        const { query, version } = exchange;
        const document = await images.inspect(name(exchange), {
          ...platform(exchange, 49),
          manifests: version >= 48 && query.flag('manifests'),
        });
        exchange.json(imageInspect(document, version));
      },
    },
    {
      method: 'GET',
      path: '/images/{name}/history',
      handle: async (exchange) => exchange.json(await images.history(name(exchange), platform(exchange, 48))),
    },
    {
      method: 'POST',
      path: '/images/{name}/push',
      handle: (exchange) =>
        answerWithProgress(exchange, (options) =>
          images.push(joinReference(name(exchange), exchange.query.text('tag')), {
            ...options,
            auth: registryAuth(exchange),
            all: exchange.query.text('tag') === undefined && !hasTag(name(exchange)),
            ...platform(exchange, 46),
          }),
        ),
    },
    {
      method: 'POST',
      path: '/images/{name}/tag',
      handle: async (exchange) => {
        const repository = exchange.query.text('repo');
        if (repository === undefined)
          throw new EngineError('invalid-argument', 'invalid reference format: repo is empty');
        await images.tag(name(exchange), repository, exchange.query.text('tag'));
        exchange.empty(201);
      },
    },
    {
      method: 'DELETE',
      path: '/images/{name}',
      handle: async (exchange) => {
        const { query } = exchange;
        const platforms = exchange.version < 50 ? [] : platformsOf(exchange);
        exchange.json(
          await images.remove(name(exchange), {
            force: query.flag('force'),
            noPrune: query.flag('noprune'),
            ...(platforms.length === 0 ? {} : { platforms }),
          }),
        );
      },
    },
    { method: 'POST', path: '/commit', handle: (exchange) => commit(engine, exchange) },
    {
      method: 'GET',
      path: '/distribution/{name}/json',
      handle: async (exchange) => exchange.json(await images.distribution(name(exchange), registryAuth(exchange))),
    },
    {
      method: 'GET',
      path: '/gantry/images/{name}/inventory',
      handle: async (exchange) =>
        exchange.json(await images.inventory(name(exchange), { ...platform(exchange, 24), signal: exchange.signal })),
    },
    { method: 'POST', path: '/gantry/images/bootstrap', handle: (exchange) => bootstrap(engine, exchange) },
    { method: 'POST', path: '/gantry/images/fsck', handle: (exchange) => fsck(engine, exchange) },
  ];
}

/** Pull (`fromImage`) or import (`fromSrc`). */
async function createImage(engine: EngineServices, exchange: Exchange): Promise<void> {
  const { query } = exchange;
  const image = query.text('fromImage');
  const source = query.text('fromSrc');
  const tag = query.text('tag');
  const wanted = exchange.version < 32 ? {} : platform(exchange, 32);
  if (image !== undefined) {
    await answerWithProgress(exchange, (options) =>
      engine.images.pull(joinReference(image, tag), {
        ...options,
        ...wanted,
        auth: registryAuth(exchange),
        // Without a tag anywhere it is the whole repository that is asked for.
        all: tag === undefined && !hasTag(image),
      }),
    );
    return;
  }
  if (source === undefined) throw new EngineError('invalid-argument', 'one of fromImage and fromSrc must be given');
  if (source !== '-') {
    throw new EngineError(
      'unimplemented',
      'this engine does not fetch archives by itself: download the archive and import it from a file or standard input',
    );
  }
  const repository = query.text('repo');
  const message = query.text('message');
  await answerWithProgress(exchange, async (options, send) => {
    const { id } = await engine.images.import(exchange.upload(), {
      ...options,
      ...wanted,
      changes: query.all('changes'),
      ...(repository === undefined ? {} : { repository }),
      ...(tag === undefined ? {} : { tag }),
      ...(message === undefined ? {} : { message }),
    });
    send({ status: id });
  });
}

async function load(engine: EngineServices, exchange: Exchange): Promise<void> {
  const quiet = exchange.query.flag('quiet');
  const platforms = exchange.version < 48 ? [] : platformsOf(exchange);
  await answerWithProgress(exchange, (options) =>
    engine.images.load(exchange.upload(), { ...options, quiet, ...(platforms.length === 0 ? {} : { platforms }) }),
  );
}

async function save(engine: EngineServices, exchange: Exchange, names: readonly string[]): Promise<void> {
  const platforms = exchange.version < 48 ? [] : platformsOf(exchange);
  const archive = await engine.images.save(names, {
    signal: exchange.signal,
    ...(platforms.length === 0 ? {} : { platforms }),
  });
  await exchange.stream('application/x-tar', archive);
}

async function commit(engine: EngineServices, exchange: Exchange): Promise<void> {
  const { query } = exchange;
  const config = await exchange.body(containerConfig, { optional: true });
  const container = query.text('container');
  if (container === undefined) throw new EngineError('invalid-argument', 'invalid name or ID supplied: ""');
  const [repo, tag, comment, author] = ['repo', 'tag', 'comment', 'author'].map((name) => query.text(name));
  const committed = await engine.containers.commit(container, {
    pause: query.flag('pause', true),
    changes: query.all('changes'),
    ...(Object.keys(config).length === 0 ? {} : { config: { ...config } }),
    ...(repo === undefined ? {} : { repo }),
    ...(tag === undefined ? {} : { tag }),
    ...(comment === undefined ? {} : { comment }),
    ...(author === undefined ? {} : { author }),
  });
  exchange.json(committed, 201);
}

const bootstrapRequest = struct<BootstrapRequestDocument>('gantry.BootstrapRequest', {
  Base: string,
  Include: list(string),
  Suite: string,
  Mirror: string,
  Platform: string,
  Tags: list(string),
});

async function bootstrap(engine: EngineServices, exchange: Exchange): Promise<void> {
  const request = await exchange.body(bootstrapRequest);
  if (!request.Base)
    throw new EngineError('invalid-argument', 'the distribution is missing, as in debian:bookworm-slim');
  await answerWithProgress(exchange, async (options, send) => {
    const { id } = await engine.images.bootstrap(
      {
        base: request.Base,
        ...(request.Include ? { include: request.Include } : {}),
        ...(request.Suite ? { suite: request.Suite } : {}),
        ...(request.Mirror ? { mirror: request.Mirror } : {}),
        ...(request.Platform ? { platform: request.Platform } : {}),
        ...(request.Tags ? { tags: request.Tags } : {}),
      },
      options,
    );
    send({ aux: { ID: id, ...(request.Tags ? { Tags: request.Tags } : {}) } });
  });
}

async function fsck(engine: EngineServices, exchange: Exchange): Promise<void> {
  const repair = exchange.query.flag('repair');
  await answerWithProgress(exchange, async (options, send) => {
    send({ aux: fsckDocument(await engine.images.fsck({ ...options, repair })) });
  });
}

function fsckDocument(report: FsckReport): FsckReportDocument {
  return {
    Blobs: report.blobs,
    Bytes: report.bytes,
    Problems: report.problems.map(({ kind, what, detail, repaired }) => ({
      Kind: kind,
      What: what,
      Detail: detail,
      Repaired: repaired,
    })),
  };
}

function searchLimit(query: Query): number | undefined {
  const text = query.text('limit');
  if (text === undefined) return undefined;
  let limit: number;
  try {
    limit = parseInteger(text);
  } catch (error) {
    throw new EngineError('invalid-argument', `invalid limit specified: ${(error as Error).message}`, { cause: error });
  }
  if (limit !== 0 && (limit < 1 || limit > 100)) {
    throw new EngineError('invalid-argument', `limit ${limit} is outside the range of [1, 100]`);
  }
  return limit;
}

function registryAuth(exchange: Exchange): AuthConfig | undefined {
  return decodeAuthHeader(exchange.request.headers['x-registry-auth'], authConfig);
}

function hasTag(reference: string): boolean {
  return reference.includes('@') || reference.slice(reference.lastIndexOf('/') + 1).includes(':');
}

/** `tag` may be a digest. */
function joinReference(image: string, tag: string | undefined): string {
  if (tag === undefined) return image;
  return tag.includes(':') ? `${image}@${tag}` : `${image}:${tag}`;
}

/** `linux/arm64`, or the JSON of an OCI platform that newer clients send. */
function platform(exchange: Exchange, since: number): { platform?: string } {
  const text = exchange.version < since ? undefined : exchange.query.text('platform');
  return text === undefined ? {} : { platform: platformName(text) };
}

function platformsOf(exchange: Exchange): string[] {
  return [...exchange.query.all('platform'), ...exchange.query.all('platforms')].map(platformName);
}

function platformName(text: string): string {
  if (!text.startsWith('{')) return text;
  let value: { os?: unknown; architecture?: unknown; variant?: unknown };
  try {
    value = JSON.parse(text) as typeof value;
  } catch (error) {
    throw new EngineError('invalid-argument', 'failed to parse platform', { cause: error });
  }
  const parts = [value.os, value.architecture, value.variant].filter((part) => typeof part === 'string' && part !== '');
  if (parts.length < 2) throw new EngineError('invalid-argument', 'both OS and Architecture must be provided');
  return parts.join('/');
}
