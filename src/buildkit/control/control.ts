import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Timestamp } from '@bufbuild/protobuf/wkt';
import { Duplex } from 'node:stream';
import { EngineError } from '../../base/errors.ts';
import type { BuildCacheRecord } from '../../api/system.ts';
import type { Call, Handlers } from '../grpc/server.ts';
import type { BytesMessage, Control, PruneRequest, SolveRequest, UsageRecordSchema } from '../protocol/control_pb.ts';
import { cacheEntries } from '../frontend/cache-entry.ts';
import type { Result } from '../protocol/gateway_pb.ts';
import { refsOf } from '../result.ts';
import { type BuildJob, clientBridge, type RefResult, rulesOf } from './bridge.ts';
import { exportResult, type GatewayParts, runFrontend, solveDefinition } from './gateway.ts';
import type { BuildHistory, HistoryResult } from './history.ts';
import { Job } from './jobs.ts';
import { pruneFilters, readCacheFilter } from './cache-filter.ts';
import { timestamp } from './timestamp.ts';
import { buildkitVersion, workerRecord } from './worker.ts';

export interface ControlParts extends GatewayParts {
  readonly history: BuildHistory;
}

/** The service that clients of BuildKit call first: builds, their progress, sessions, the cache, what was built before. */
export function controlHandlers(parts: ControlParts): Handlers<typeof Control> {
  const { engine, jobs, sessions, history } = parts;
  return {
    async listWorkers({ filter }) {
      const record = workerRecord(await parts.worker());
      return { record: filter.length > 0 && !filter.some((one) => one === `id==${record.ID}`) ? [] : [record] };
    },
    async info() {
      return { buildkitVersion: buildkitVersion() };
    },
    async solve(request, call) {
      return { ExporterResponse: await solve(parts, request, call) };
    },
    async *status({ Ref }, call) {
      const stored = history.status(Ref);
      if (stored) yield* stored;
      else yield* (await jobs.log(Ref, call.signal)).follow(call.signal);
    },
    async *session(messages, call) {
      const socket = new MessageSocket(messages);
      sessions.attach(call.metadata, socket);
      yield* socket.outgoing();
    },
    async diskUsage({ filter }) {
      const matches = readCacheFilter(filter);
      return { record: (await engine.builder.diskUsage()).map(usageRecord).filter(matches) };
    },
    async *prune(request) {
      yield* await prune(parts, request);
    },
    listenBuildHistory: (request, call) => history.listen(request, call.signal),
    async updateBuildHistory({ Ref, Pinned, Delete }) {
      history.update(Ref, { pinned: Pinned, remove: Delete });
      return {};
    },
  };
}

/**
 * A build from its request to its end.
 * @param archive the context, for clients that do not have it in their session
 */
export async function solve(
  parts: ControlParts,
  request: SolveRequest,
  call: Call,
  archive?: AsyncIterable<Uint8Array>,
): Promise<Record<string, string>> {
  refuseUnsupported(request);
  const session =
    request.Session === '' ? parts.sessions.none() : await parts.sessions.get(request.Session, call.signal);
  const job: BuildJob = new Job<RefResult>(request, session, call.signal, archive);
  // Nobody else has one that is of this build alone.
  if (request.Session === '') job.held.defer(() => session.close());
  parts.jobs.begin(job);
  const record = request.Internal ? undefined : parts.history.begin(job);
  let failure: unknown;
  let response: Record<string, string> = {};
  let results: readonly HistoryResult[] = [];
  const cacheImports = cacheEntries(request.Cache?.Imports ?? []);
  try {
    const result = isGraph(request)
      ? await solveDefinition(parts, job, request.Definition, {
          rules: rulesOf(clientBridge(job)),
          cacheImports,
        })
      : request.Frontend === ''
        ? await job.returned.promise
        : await runFrontend(parts, clientBridge(job), {
            frontend: request.Frontend,
            attributes: request.FrontendAttrs,
            inputs: request.FrontendInputs,
            policies: [],
            cacheImports,
          });
    response = await exportResult(parts, job, result);
    results = historyResults(job, result, response);
    return response;
  } catch (error) {
    failure = error;
    throw error;
  } finally {
    await parts.jobs.end(job);
    record?.end(response, failure, results);
  }
}

/** A build from a definition, without a frontend. */
function isGraph({ Frontend, Definition }: SolveRequest): boolean {
  return Frontend === '' && (Definition?.def.length ?? 0) > 0;
}

/** What a build made, for those who look at it later. */
function historyResults(job: BuildJob, result: Result, response: Readonly<Record<string, string>>): HistoryResult[] {
  const refs = refsOf(result);
  const several = refs.length > 1;
  const found = refs.map(({ platform, id }): HistoryResult => {
    const { image } = job.result(id).ref;
    const provenance = image.provenance?.({ mode: 'max', version: 'v0.2', builderId: '' });
    return {
      platform: several ? (platform ?? image.platform) : undefined,
      config: image.configText,
      descriptor: several ? undefined : resultDescriptor(response, image.configText),
      attestations: provenance ? [provenance] : [],
    };
  });
  // The index is of all of them.
  const index = several ? resultDescriptor(response, '') : undefined;
  return index ? [...found, { platform: undefined, descriptor: index, attestations: [], config: '' }] : found;
}

function resultDescriptor(response: Readonly<Record<string, string>>, config: string): HistoryResult['descriptor'] {
  const encoded = response['containerimage.descriptor'];
  if (encoded !== undefined)
    return JSON.parse(Buffer.from(encoded, 'base64').toString('utf8')) as HistoryResult['descriptor'];
  const digest = response['containerimage.config.digest'];
  return digest === undefined
    ? undefined
    : { mediaType: 'application/vnd.docker.container.image.v1+json', digest, size: Buffer.byteLength(config) };
}

/** What is asked for and cannot be done is said before anything is built. */
function refuseUnsupported(request: SolveRequest): void {
  const refuse = (what: string): never => {
    throw new EngineError('unimplemented', `${what} is not supported by this engine`);
  };
  if (request.SourcePolicySession !== '') refuse('a source policy that a session decides');
  if (request.EnableSessionExporter) refuse('an exporter of the session');
  for (const entitlement of request.Entitlements)
    if (entitlement !== 'network.host') refuse(`the entitlement ${entitlement}`);
}

async function prune(
  { engine }: ControlParts,
  request: PruneRequest,
): Promise<MessageInitShape<typeof UsageRecordSchema>[]> {
  const bytes = (value: bigint): number | undefined => (value > 0n ? Number(value) : undefined);
  const filters = pruneFilters(request.filter);
  const unused = request.keepDuration / 1_000_000_000n;
  if (unused > 0n) filters.set('until', [`${unused}s`]);
  const before = (await engine.builder.diskUsage()).map(usageRecord);
  const { CachesDeleted } = await engine.builder.prune({
    all: request.all,
    filters,
    reserved: bytes(request.reservedSpace),
    maxUsed: bytes(request.maxUsedSpace),
    minFree: bytes(request.minFreeSpace),
  });
  const deleted = new Set(CachesDeleted ?? []);
  return before.filter(({ ID = '' }) => [...deleted].some((id) => id.startsWith(ID)));
}

function usageRecord(record: BuildCacheRecord): MessageInitShape<typeof UsageRecordSchema> {
  const time = (text: string | null | undefined): Timestamp | undefined =>
    text && !text.startsWith('0001') ? timestamp(Date.parse(text)) : undefined;
  const [created, used] = [time(record.CreatedAt), time(record.LastUsedAt)];
  return {
    ID: record.ID,
    Mutable: record.Type === 'exec.cachemount',
    InUse: record.InUse,
    Size: BigInt(record.Size),
    UsageCount: BigInt(record.UsageCount),
    Description: record.Description,
    RecordType: record.Type,
    Shared: record.Shared,
    Parents: record.Parents ?? [],
    ...(created && { CreatedAt: created }),
    ...(used && { LastUsedAt: used }),
  };
}

/** A connection that is carried in messages of a call, for clients that open their session so. */
class MessageSocket extends Duplex {
  readonly #incoming: AsyncIterator<BytesMessage>;
  #waiting: { chunk: Buffer; done: () => void } | undefined;
  #wake = Promise.withResolvers<void>();

  constructor(messages: AsyncIterable<BytesMessage>) {
    super();
    this.#incoming = messages[Symbol.asyncIterator]();
  }

  override _read(): void {
    this.#incoming.next().then(
      ({ value, done }) => this.push(done === true ? null : Buffer.from(value.data)),
      (error: Error) => this.destroy(error),
    );
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#waiting = { chunk, done };
    this.#wake.resolve();
  }

  override _final(done: () => void): void {
    done();
    this.#wake.resolve();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#wake.resolve();
    done(error);
  }

  /** What is written, as messages. */
  async *outgoing(): AsyncGenerator<{ data: Buffer }> {
    try {
      for (;;) {
        const next = this.#waiting;
        if (next) {
          this.#waiting = undefined;
          yield { data: next.chunk };
          next.done();
          continue;
        }
        if (this.destroyed || this.writableFinished) return;
        this.#wake = Promise.withResolvers();
        await this.#wake.promise;
      }
    } finally {
      this.destroy();
    }
  }
}
