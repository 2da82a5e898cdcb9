import { create } from '@bufbuild/protobuf';
import { EngineError } from '../../base/errors.ts';
import type { BuildOutputRequest } from '../../engine/builder/outputs/output.ts';
import type { BuildGraph, GraphEvent } from '../../engine/builder/graph/graph.ts';
import type { GraphBuild, ResultToDeliver, SolvedGraph } from '../../engine/builder/graph/graph-build.ts';
import type { ClientOutput } from '../../engine/builder/outputs/deliver.ts';
import type { GraphProgram } from '../../engine/builder/graph/graph-program.ts';
import type { SpokenCommand } from '../../engine/builder/step-executor.ts';
import type { SolvedImage } from '../../engine/builder/solved-build.ts';
import type { BuildResult, EngineServices } from '../../engine/engine.ts';
import type { SourceRules } from '../../engine/builder/sources/source-rules.ts';
import { imagesOf, readDefinition } from '../definition/definition.ts';
import { readLayout } from '../definition/sources.ts';
import { type CacheEntry, cacheText } from '../frontend/cache-entry.ts';
import { buildFailure } from '../frontend/build-failure.ts';
import { SessionForBuild } from '../frontend/build-session.ts';
import { registryAuth } from '../frontend/registry-auth.ts';
import { errorDetail, GRPC, GrpcError } from '../grpc/status.ts';
import { SourceSchema } from '../protocol/error-details_pb.ts';
import type { Definition } from '../protocol/ops_pb.ts';
import { cacheFile, ClientContent } from '../session/client-content.ts';
import type { ClientSession } from '../session/client-session.ts';
import type { StatusLog } from './status-log.ts';
import { ProgressStep } from './progress.ts';

export interface DefinitionsParts {
  readonly engine: EngineServices;
  readonly session: ClientSession;
  readonly sessionOf: (id: string) => ClientSession | undefined;
  readonly resultOf: (id: string) => SolvedImage | undefined;
  readonly log: StatusLog;
  readonly signal: AbortSignal;
  readonly entitlements: readonly string[];
  readonly onOutput: (output: ClientOutput) => Promise<void>;
}

export interface DeliverResultOptions {
  readonly cacheExports: readonly CacheEntry[];
  /** `type=sbom`, `type=provenance,mode=max` */
  readonly attestations: readonly string[];
}

export interface SolveOptions {
  /** Of the client, about what may be taken. */
  readonly rules: SourceRules | undefined;
  readonly cacheImports: readonly CacheEntry[];
}

/** The definitions of one build of a client: they are solved in one place, which is gone with it. */
export class Definitions implements AsyncDisposable {
  readonly #parts: DefinitionsParts;
  readonly #steps = new Map<string, ProgressStep>();
  #build: Promise<GraphBuild> | undefined;

  constructor(parts: DefinitionsParts) {
    this.#parts = parts;
  }

  async solve(definition: Definition, { rules, cacheImports }: SolveOptions): Promise<SolvedGraph> {
    const { session, signal } = this.#parts;
    const graph = readDefinition({ ...this.#parts, rules }, definition);
    const caches = cacheImports.map(({ attributes }) => attributes['ref'] ?? '');
    const auth = await registryAuth(session, [...imagesOf(graph), ...caches.filter((ref) => ref !== '')], signal);
    const build = await this.#open();
    const failed: string[] = [];
    const forget = this.#onFailed((digest) => failed.push(digest));
    try {
      return await build.solve(graph, {
        auth,
        platform: platformOf(graph),
        cacheFrom: cacheImports.map(cacheText),
        readCache: async (index, path) => {
          const { src = '', digest = '', tag = 'latest' } = cacheImports[index]!.attributes;
          return cacheFile(new ClientContent(session, `local:${src}`, signal), { digest, tag }, path);
        },
      });
    } catch (error) {
      throw located(buildFailure(error), definition, failed);
    } finally {
      forget();
    }
  }

  /** An image in a directory of the client, by what names it there: `name[:tag]@digest`. Throws `invalid-argument`. */
  async layout(reference: string, platform: string | undefined): Promise<SolvedImage> {
    const source = readLayout(this.#parts, reference);
    return (await this.#open()).bring(source, platform);
  }

  /** Runs a program on the files of an image, for as long as `use` takes. Throws `unavailable` when the image has become another one. */
  async run<T>(
    rules: SourceRules | undefined,
    image: Definition,
    layers: readonly string[],
    program: GraphProgram,
    use: (spoken: SpokenCommand) => Promise<T>,
  ): Promise<T> {
    const solved = await this.solve(image, { rules, cacheImports: [] });
    if (solved.layers.diffIds.join() !== layers.join())
      throw new EngineError('unavailable', 'the frontend’s image was replaced while it was resolved: build again');
    return (await this.#open()).run(solved, program, use);
  }

  async deliver(
    results: readonly ResultToDeliver[],
    outputs: readonly BuildOutputRequest[],
    { cacheExports, attestations }: DeliverResultOptions,
  ): Promise<BuildResult> {
    const { session, signal } = this.#parts;
    const pushed = outputs
      .filter(({ type, attributes }) => type === 'registry' || attributes['push'] === 'true')
      .flatMap(({ attributes }) => (attributes['name'] ?? '').split(','));
    const caches = cacheExports.map(({ attributes }) => attributes['ref'] ?? '').filter((ref) => ref !== '');
    const auth = await registryAuth(session, [...pushed, ...caches], signal);
    return (await this.#open()).deliver(results, outputs, {
      auth,
      cacheTo: cacheExports.map(cacheText),
      attestations,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const build = await this.#build?.catch(() => undefined);
    await build?.[Symbol.asyncDispose]();
  }

  async #open(): Promise<GraphBuild> {
    const { engine, session, signal, onOutput } = this.#parts;
    // What is opened when the build is over would be closed by nobody.
    signal.throwIfAborted();
    this.#build ??= engine.builder.openGraphs({
      session: new SessionForBuild(session, new Map()),
      signal,
      onEvent: (event) => this.#onEvent(event),
      onOutput,
    });
    return this.#build;
  }

  readonly #listeners = new Set<(digest: string) => void>();

  #onFailed(listener: (digest: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #onEvent(event: GraphEvent): void {
    const { digest, name, inputs } = event.vertex;
    if (event.type === 'started') {
      const from = inputs.map(({ vertex }) => vertex);
      this.#steps.set(digest, new ProgressStep(this.#parts.log, digest, name, event.time, from));
      return;
    }
    const step = this.#steps.get(digest);
    if (event.type === 'output') step?.output(event.text, event.time);
    if (event.type === 'done') step?.done({ cached: event.cached, time: event.time });
    if (event.type === 'failed') {
      step?.failed(event.message, event.time);
      for (const listener of this.#listeners) listener(digest);
    }
  }
}

/** What the result is for: what its last image was asked to be for. */
function platformOf({ vertices, result }: BuildGraph): string | undefined {
  return vertices.find(({ digest }) => digest === result?.vertex)?.platform;
}

/** A failure with the lines that the definition has for what failed. */
function located(error: unknown, { Source }: Definition, failed: readonly string[]): unknown {
  const [digest] = failed;
  const location = digest === undefined ? undefined : Source?.locations[digest]?.locations[0];
  const info = location && Source?.infos[location.sourceIndex];
  if (!info) return error;
  const detail = errorDetail(SourceSchema, create(SourceSchema, { info, ranges: location.ranges }));
  const status = error instanceof GrpcError ? error.status : GRPC.unknown;
  const message = error instanceof EngineError ? error.message : String(error);
  const details = error instanceof GrpcError ? error.details : [];
  return new GrpcError(status, message, { cause: error, details: [...details, detail] });
}
