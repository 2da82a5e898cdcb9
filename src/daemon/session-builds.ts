import { EngineError } from '../base/errors.ts';
import type { RequestedBuild } from '../buildkit/control/requested-build.ts';
import type { BuildkitService } from '../buildkit/service.ts';
import { outputs, readUlimits } from './build-query.ts';
import { ContextUploads } from './context-uploads.ts';
import type { Exchange } from './exchange.ts';
import { list, map, nullable, string } from './json/shape.ts';
import { answerWithProgress } from './progress.ts';
import type { Query } from './query.ts';

/** In front of the id of a build whose context comes in a request of its own. */
const UPLOAD = 'upload-request:';
/** What the frontend takes for a context that is an archive at hand. */
const ARCHIVE = 'http://buildkit-session/context';

/**
 * `POST /build?version=2`: BuildKit's builds as the docker CLI asked for them before it had buildx (`DOCKER_BUILDKIT=1` of
 * 18.09 to 20.10). The client has a session beside it; its answer is lines with the events of the build.
 */
export class SessionBuilds {
  readonly #buildkit: () => Promise<BuildkitService>;
  readonly #uploads = new ContextUploads();
  readonly #running = new Map<string, AbortController>();

  constructor(buildkit: () => Promise<BuildkitService>) {
    this.#buildkit = buildkit;
  }

  async handle(exchange: Exchange): Promise<void> {
    const id = exchange.query.text('buildid') ?? '';
    if (!id.startsWith(UPLOAD)) return this.#build(exchange, id);
    await this.#uploads.offer(id.slice(UPLOAD.length), exchange.upload(), exchange.signal);
    exchange.empty(200);
  }

  cancel(id: string): void {
    this.#running.get(id)?.abort(new EngineError('cancelled', 'the build was cancelled'));
  }

  async #build(exchange: Exchange, id: string): Promise<void> {
    const { query } = exchange;
    const request = readRequest(query);
    const remote = query.text('remote') ?? '';
    const stop = new AbortController();
    const signal = AbortSignal.any([exchange.signal, stop.signal]);
    if (id !== '') this.#running.set(id, stop);
    try {
      using upload = remote === 'upload-request' ? await this.#uploads.take(id, signal) : undefined;
      const archive = upload?.body ?? (remote === '' ? exchange.upload() : undefined);
      const context = archive ? ARCHIVE : remote === 'client-session' ? undefined : remote;
      const attributes = { ...request.attributes, ...(context !== undefined && { context }) };
      await this.#answer(exchange, { ...request, attributes, archive, signal });
    } finally {
      if (id !== '') this.#running.delete(id);
    }
  }

  async #answer(exchange: Exchange, request: Omit<RequestedBuild, 'onStatus'>): Promise<void> {
    const quiet = exchange.query.flag('q');
    await answerWithProgress(exchange, async (_options, send) => {
      const buildkit = await this.#buildkit();
      const response = await buildkit.build({
        ...request,
        onStatus: (message) => {
          if (!quiet) send({ id: 'moby.buildkit.trace', aux: Buffer.from(message).toString('base64') });
        },
      });
      const image = response['containerimage.config.digest'];
      // Files and archives are no image of the engine's.
      if (image === undefined || !request.outputs.some(({ type }) => type === 'image')) return;
      if (quiet) send({ stream: `${image}\n` });
      else send({ id: 'moby.image.id', aux: { ID: image } });
    });
  }
}

/** The parameters of the request as the frontend's attributes. Throws `invalid-argument`. */
function readRequest(query: Query): Omit<RequestedBuild, 'archive' | 'signal' | 'onStatus'> {
  const buildArgs = query.json('buildargs', map(nullable(string))) ?? {};
  const attributes: Record<string, string> = {
    'image-resolve-mode': query.flag('pull') ? 'pull' : 'default',
    'cache-from': (query.json('cachefrom', list(string)) ?? []).join(','),
  };
  const set = (name: string, value: string | undefined): void => {
    if (value !== undefined && value !== '') attributes[name] = value;
  };
  set('target', query.text('target'));
  const dockerfile = query.text('dockerfile');
  set('filename', dockerfile === '.' ? undefined : dockerfile);
  set('platform', query.text('platform'));
  set('shm-size', query.text('shmsize') === '0' ? undefined : query.text('shmsize'));
  set('add-hosts', query.all('extrahosts').map(hostPair).join(','));
  set(
    'ulimit',
    readUlimits(query)
      .map(({ Name, Soft, Hard }) => `${Name}=${Soft}:${Hard}`)
      .join(','),
  );
  for (const [name, value] of Object.entries(buildArgs)) if (value !== null) attributes[`build-arg:${name}`] = value;
  for (const [name, value] of Object.entries(query.json('labels', map(string)) ?? {}))
    attributes[`label:${name}`] = value;
  if (query.flag('nocache')) attributes['no-cache'] = '';
  const network = query.text('networkmode') ?? 'default';
  if (network === 'host' || network === 'none') attributes['force-network-mode'] = network;
  else if (network !== 'default')
    throw new EngineError('invalid-argument', `network mode ${JSON.stringify(network)} not supported by buildkit`);
  if (query.flag('squash')) throw new EngineError('unimplemented', 'squash is not supported');
  return {
    session: query.text('session') ?? '',
    attributes,
    outputs: readOutputs(query),
    inlineCache: ['1', 'true'].includes(buildArgs['BUILDKIT_INLINE_CACHE'] ?? ''),
    entitlements: network === 'host' ? ['network.host'] : [],
  };
}

function readOutputs(query: Query): RequestedBuild['outputs'] {
  const given = query.json('outputs', outputs) ?? [];
  if (given.length > 1) throw new EngineError('invalid-argument', 'multiple outputs not supported');
  const [output = { Type: 'image' }] = given;
  // There is no output then: what is built is only known to the cache.
  if (output.Type === 'cacheonly') return [];
  const type = output.Type === 'moby' ? 'image' : output.Type;
  const tags = query.all('t').join(',');
  return [{ type, attributes: { ...output.Attrs, ...(type === 'image' && tags !== '' && { name: tags }) } }];
}

/** `name:address` as the frontend has it: `name=address`. */
function hostPair(text: string): string {
  const cut = text.indexOf(':');
  if (cut <= 0 || cut === text.length - 1) throw new EngineError('invalid-argument', `invalid host ${text}`);
  return `${text.slice(0, cut)}=${text.slice(cut + 1)}`;
}
