import { EngineError } from '../../base/errors.ts';
import { newId } from '../../base/ids.ts';
import type { ClientOutput } from '../../engine/builder/outputs/deliver.ts';
import type { BuildOutputRequest } from '../../engine/builder/outputs/output.ts';
import type { SolvedImage } from '../../engine/builder/solved-build.ts';
import type { BuildResult, EngineServices } from '../../engine/engine.ts';
import { platformArguments } from '../../engine/builder/platforms.ts';
import { type FrontendOptions, readAttributes } from '../frontend/attributes.ts';
import { buildDockerfile, type DockerfileParts, type PendingBuild, readDockerfile } from '../frontend/dockerfile.ts';
import { cacheEntries, type CacheEntry } from '../frontend/cache-entry.ts';
import { buildFailure } from '../frontend/build-failure.ts';
import { answerQuestion } from '../frontend/questions.ts';
import type { Call, Handlers } from '../grpc/server.ts';
import { GRPC, GrpcError } from '../grpc/status.ts';
import { ruledImage, type SourceRules } from '../../engine/builder/sources/source-rules.ts';
import { SourcePolicy } from '../policy/source-policy.ts';
import type { Policy } from '../protocol/policy_pb.ts';
import type { Definition } from '../protocol/ops_pb.ts';
import type { LLBBridge, Result, SolveRequest } from '../protocol/gateway_pb.ts';
import {
  answerOf,
  type BuiltRef,
  named,
  refIds,
  refsOf,
  resultOf as resultOfRefs,
  resultOfInput,
  toResult,
} from '../result.ts';
import { ClientContent, writeLayout } from '../session/client-content.ts';
import { sendFile } from '../session/send-output.ts';
import { sendFiles } from '../session/send-files.ts';
import type { Sessions } from '../session/sessions.ts';
import { Definitions, type DeliveredResult, type SolveOptions } from './definitions.ts';
import type { Job, Jobs } from './jobs.ts';
import { ProgressStep } from './progress.ts';
import { buildCapabilities, frontendCapabilities, type WorkerFacts, workerRecord } from './worker.ts';
import { readDirectory, readFileOf, statFileOf } from './result-files.ts';

/** A result that a frontend may name: one platform of a build, or what a definition gave. */
export interface RefResult {
  readonly ref: BuiltRef;
  /** The Dockerfile's build that it is of; undefined for definitions. */
  readonly build: PendingBuild | undefined;
  release(): Promise<void>;
}

export type BuildJob = Job<RefResult>;

export interface GatewayParts {
  readonly engine: EngineServices;
  readonly jobs: Jobs<RefResult>;
  readonly sessions: Sessions;
  readonly worker: () => Promise<WorkerFacts>;
}

/** What a frontend calls while it makes a build: buildx is one, on the client's side. */
export function gatewayHandlers(parts: GatewayParts): Handlers<typeof LLBBridge> {
  const jobOf = (call: Call): Promise<BuildJob> => {
    const ref = call.metadata['buildkit-controlapi-buildid'];
    if (typeof ref !== 'string') throw new GrpcError(GRPC.invalidArgument, 'no buildid found in context');
    return parts.jobs.get(ref, call.signal);
  };
  return {
    async ping(_request, call) {
      await jobOf(call);
      return {
        FrontendAPICaps: frontendCapabilities(),
        LLBCaps: buildCapabilities(),
        Workers: [workerRecord(await parts.worker())],
      };
    },
    async solve(request, call) {
      const job = await jobOf(call);
      return { result: await solveFrontend(parts, job, request) };
    },
    async return(request, call) {
      const job = await jobOf(call);
      const { error, result } = request;
      if (error && error.code !== 0)
        job.returned.reject(new GrpcError(error.code, error.message, { details: error.details }));
      else job.returned.resolve(result ?? toResult({}));
      return {};
    },
    async inputs(_request, call) {
      const job = await jobOf(call);
      return { Definitions: job.request.FrontendInputs };
    },
    async evaluate({ Ref }, call) {
      (await jobOf(call)).result(Ref);
      return {};
    },
    async readFile({ Ref, FilePath, Range }, call) {
      const { ref } = (await jobOf(call)).result(Ref);
      return { Data: await readFileOf(await ref.image.root(), FilePath, Range) };
    },
    async readDir({ Ref, DirPath, IncludePattern }, call) {
      const { ref } = (await jobOf(call)).result(Ref);
      return { entries: await readDirectory(await ref.image.root(), DirPath, IncludePattern) };
    },
    async statFile({ Ref, Path }, call) {
      const { ref } = (await jobOf(call)).result(Ref);
      return { stat: await statFileOf(await ref.image.root(), Path) };
    },
    async resolveImageConfig(request, call) {
      const rules = rulesOf(await jobOf(call), request.SourcePolicies);
      if (request.ResolverType !== 0)
        throw new GrpcError(GRPC.unimplemented, 'images of a layout are resolved by ResolveSourceMeta');
      const { os, architecture, variant } = platformOf(request.Platform);
      const platform = os === '' ? undefined : [os, architecture, variant].filter((part) => part !== '').join('/');
      const found = await parts.engine.builder.imageConfig(ruledImage(rules, request.Ref), {
        pull: request.ResolveMode === 'pull',
        signal: call.signal,
        ...(platform !== undefined && { platform }),
      });
      return { Ref: found.reference, Digest: found.digest, Config: Buffer.from(found.config) };
    },
    async resolveSourceMeta(request, call) {
      const job = await jobOf(call);
      const { identifier = '', attrs = {} } = request.Source ?? {};
      const rules = rulesOf(job, request.SourcePolicies);
      const decided = rules?.decide({ identifier, attributes: attrs }) ?? { identifier, attributes: attrs };
      const Source = { identifier: decided.identifier, attrs: { ...decided.attributes } };
      const { os, architecture, variant } = platformOf(request.Platform);
      const platform = os === '' ? undefined : [os, architecture, variant].filter((part) => part !== '').join('/');
      const [, scheme, rest = ''] = /^([a-z-]+):\/\/(.*)$/s.exec(decided.identifier) ?? [];
      if (scheme === 'docker-image') {
        const found = await parts.engine.builder.imageConfig(rest, {
          pull: request.ResolveMode === 'pull',
          signal: call.signal,
          ...(platform !== undefined && { platform }),
        });
        return { Source, Image: { Digest: found.digest, Config: Buffer.from(found.config) } };
      }
      if (scheme === 'oci-layout') {
        const { configText } = await definitionsOf(parts, job).layout(rest, platform);
        return { Source, Image: { Digest: rest.slice(rest.indexOf('@') + 1), Config: Buffer.from(configText) } };
      }
      if (scheme === undefined || !['local', 'git', 'http', 'https'].includes(scheme))
        throw new GrpcError(GRPC.unimplemented, `the source ${identifier} is not supported by this engine`);
      return { Source };
    },
    async warn(warning, call) {
      const job = await jobOf(call);
      const { digest, level, short, detail, url, info, ranges } = warning;
      job.log.add({ warnings: [{ vertex: digest, level, short, detail, url, ranges, ...(info && { info }) }] });
      return {};
    },
  };
}

function platformOf(platform: { OS: string; Architecture: string; Variant: string } | undefined): {
  os: string;
  architecture: string;
  variant: string;
} {
  return { os: platform?.OS ?? '', architecture: platform?.Architecture ?? '', variant: platform?.Variant ?? '' };
}

async function solveFrontend(parts: GatewayParts, job: BuildJob, request: SolveRequest): Promise<Result> {
  const { Frontend: frontend, FrontendOpt: attributes, Definition: definition } = request;
  const rules = rulesOf(job, request.SourcePolicies);
  const cacheImports = cacheEntries(request.CacheImports);
  if (frontend === '') return solveDefinition(parts, job, definition, { rules, cacheImports });
  const inputs = request.FrontendInputs;
  return toResult(await runFrontend(parts, job, { frontend, attributes, inputs, rules, cacheImports }));
}

/** Solves a definition; a job without one has nothing to solve, and its result is empty. */
export async function solveDefinition(
  parts: GatewayParts,
  job: BuildJob,
  definition: Definition | undefined,
  options: SolveOptions,
): Promise<Result> {
  if (!definition || definition.def.length === 0) return toResult({});
  const image = await definitionsOf(parts, job).solve(definition, options);
  const ref: BuiltRef = { id: newId().slice(0, 25), image };
  job.results.set(ref.id, { ref, build: undefined, release: async () => {} });
  return toResult({ result: { case: 'ref', value: named(ref.id) } });
}

const DEFINITIONS = new WeakMap<BuildJob, Definitions>();

/** Where a build's definitions are solved; there is one from the first on. */
function definitionsOf({ engine, jobs, sessions }: GatewayParts, job: BuildJob): Definitions {
  const known = DEFINITIONS.get(job);
  if (known) return known;
  const made = job.held.use(
    new Definitions({
      engine,
      session: job.session,
      sessionOf: (id) => sessions.find(id),
      resultOf: (id) => resultOf(jobs, id),
      log: job.log,
      signal: job.signal,
      entitlements: job.request.Entitlements,
      onOutput: (output) => sendToClient(job, output),
    }),
  );
  DEFINITIONS.set(job, made);
  return made;
}

/** What a build of the client may take: its own rules, then those of a call. */
export function rulesOf(job: BuildJob, policies: readonly Policy[] = []): SourcePolicy | undefined {
  return SourcePolicy.of([job.request.SourcePolicy, ...policies]);
}

export interface FrontendCall {
  readonly rules: SourceRules | undefined;
  readonly frontend: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly inputs: Readonly<Record<string, Definition>>;
  readonly cacheImports: readonly CacheEntry[];
}

/** A result of a build that runs, by its id. */
function resultOf(jobs: Jobs<RefResult>, id: string): SolvedImage | undefined {
  for (const job of jobs.running) {
    const result = job.results.get(id);
    if (result) return result.ref.image;
  }
  return undefined;
}

/** The inputs of a frontend: results of builds that run, or definitions, which are solved now. */
async function solveInputs(
  parts: GatewayParts,
  job: BuildJob,
  { inputs, rules, cacheImports }: FrontendCall,
): Promise<Map<string, SolvedImage>> {
  const solved = new Map<string, SolvedImage>();
  for (const [name, definition] of Object.entries(inputs)) {
    const id = resultOfInput(definition);
    const image =
      id === undefined
        ? definition.def.length > 0 && (await definitionsOf(parts, job).solve(definition, { rules, cacheImports }))
        : resultOf(parts.jobs, id);
    if (image) solved.set(name, image);
  }
  return solved;
}

/** Runs a frontend of ours: what it built waits in the job for what becomes of it. */
export async function runFrontend(
  parts: GatewayParts,
  job: BuildJob,
  call: FrontendCall,
): Promise<Parameters<typeof toResult>[0]> {
  try {
    return await dockerfileFrontend(parts, job, call);
  } catch (error) {
    throw buildFailure(error);
  }
}

async function dockerfileFrontend(
  parts: GatewayParts,
  job: BuildJob,
  call: FrontendCall,
): Promise<Parameters<typeof toResult>[0]> {
  const { frontend, attributes, rules } = call;
  if (frontend !== 'dockerfile.v0') {
    const named =
      frontend === 'gateway.v0' ? `the frontend image ${attributes['source'] ?? ''}` : `the frontend ${frontend}`;
    throw new EngineError('unimplemented', `${named} is not supported by this engine: it builds Dockerfiles itself`);
  }
  const options = allowed(readAttributes(attributes), job.request.Entitlements);
  for (const name of options.unknown) {
    const step = new ProgressStep(job.log, `${job.ref} attributes`, '[internal] read the options of the build');
    step.warn({ level: 1n, short: Buffer.from(`the option ${name} means nothing to this engine and is ignored`) });
    step.done();
  }
  const solvedInputs = await solveInputs(parts, job, call);
  // An image of a layout is an input like another, as soon as it is here.
  const contexts: Record<string, string> = { ...options.contexts };
  for (const [name, value] of Object.entries(contexts)) {
    const layout = /^oci-layout:\/\/(.+)$/.exec(value)?.[1];
    if (layout === undefined) continue;
    rules?.decide({ identifier: value, attributes: {} });
    const input = `layout ${layout}`;
    solvedInputs.set(input, await definitionsOf(parts, job).layout(layout, options.platforms[0]));
    contexts[name] = `input:${input}`;
  }
  const dockerfileParts: DockerfileParts = {
    engine: parts.engine,
    session: job.session,
    archive: job.archive,
    log: job.log,
    ref: job.ref,
    signal: job.signal,
    exporters: exportersOf(job),
    cacheTo: cachesOf(job),
    rules,
    inputOf: (name) => solvedInputs.get(name),
    onOutput: (output) => sendToClient(job, output),
  };
  if (options.question !== undefined) {
    const file = await readDockerfile(dockerfileParts, options);
    const platformArgs = platformArguments(options.platforms[0]);
    return answerOf(await answerQuestion({ engine: parts.engine, file, options, platformArgs }));
  }
  const build = await buildDockerfile(dockerfileParts, { ...options, contexts });
  const refs = build.images.map((image): BuiltRef => ({ id: newId().slice(0, 25), image }));
  for (const ref of refs) job.results.set(ref.id, { ref, build, release: () => build.release() });
  return resultOfRefs(refs, options.multiPlatform);
}

/** With what the client was allowed, by its request and not by what a frontend asks for. Throws `PERMISSION_DENIED`. */
function allowed(options: FrontendOptions, entitlements: readonly string[]): FrontendOptions {
  const { request } = options;
  if (request.networkMode === 'host' && !entitlements.includes('network.host'))
    throw new GrpcError(GRPC.permissionDenied, 'network.host is not allowed: build with --allow network.host');
  return { ...options, request: { ...request, allow: [...entitlements] } };
}

function sendToClient(job: BuildJob, { kind, index, open }: ClientOutput): Promise<void> {
  return kind === 'cache' ? sendCache(job, index, open) : sendOutput(job, index, open);
}

async function sendOutput(job: BuildJob, index: number, open: () => AsyncIterable<Uint8Array>): Promise<void> {
  const { type = '' } = exportersOf(job)[index] ?? {};
  const call = job.session.openOutput(index, {}, job.signal);
  if (type === 'local') await sendFiles(call, open());
  else await sendFile(call, open());
}

/** Writes a cache into the directory of the client that it has for export `index`. */
async function sendCache(job: BuildJob, index: number, open: () => AsyncIterable<Uint8Array>): Promise<void> {
  const { dest = '' } = cachesOf(job)[index]?.attributes ?? {};
  const content = new ClientContent(job.session, `local:${dest}`, job.signal);
  // The client writes the directory's index itself, by this.
  job.response['cache.manifest'] = await writeLayout(content, open());
}

function cachesOf(job: BuildJob): CacheEntry[] {
  return cacheEntries(job.request.Cache?.Exports ?? []);
}

/** What becomes of a build, as the client asked for it. */
export function exportersOf(job: BuildJob): BuildOutputRequest[] {
  const { Exporters, ExporterDeprecated, ExporterAttrsDeprecated } = job.request;
  const exporters =
    Exporters.length > 0
      ? Exporters
      : ExporterDeprecated === ''
        ? []
        : [{ Type: ExporterDeprecated, Attrs: ExporterAttrsDeprecated }];
  return exporters.map(({ Type, Attrs }) => ({
    type: Type === 'moby' ? 'image' : Type,
    attributes: attributesOf(Type, Attrs),
  }));
}

/** A file of the client's is told from the engine's store by its `dest`, which clients keep for themselves. */
function attributesOf(type: string, attributes: Readonly<Record<string, string>>): Record<string, string> {
  // What becomes an image is loaded where it is built: Compose's own builder says so.
  const { 'prefer-image-digest': _preferred, load: _load, ...rest } = attributes;
  return type === 'docker' ? { dest: '-', ...rest } : rest;
}

/** Brings what a frontend gave back where the client wants it. */
export async function exportResult(
  parts: GatewayParts,
  job: BuildJob,
  result: Result,
): Promise<Record<string, string>> {
  const refs = refIds(result).map((id) => job.result(id));
  const [first] = refs;
  const outputs = exportersOf(job);
  // A frontend may give back nothing at all, which is an image without files.
  const whole = first?.build && refs.every(({ build }) => build === first.build) ? first.build : undefined;
  const deliver = (wanted: readonly BuildOutputRequest[]): Promise<BuildResult> =>
    whole
      ? whole.deliver(wanted)
      : definitionsOf(parts, job).deliver(resultsToDeliver(job, result), wanted, cachesOf(job));
  if (outputs.length === 0) {
    if (cachesOf(job).length > 0) await deliver([{ type: 'cacheonly', attributes: {} }]);
    return job.response;
  }
  const step = new ProgressStep(job.log, `${job.ref} export`, `exporting to ${exportName(outputs[0]!.type)}`);
  const built = await step.during(async () => {
    const delivered = await deliver(outputs);
    if (delivered.descriptor) step.part(`exporting manifest ${delivered.descriptor.digest}`, { done: true });
    step.part(`writing image ${delivered.id}`, { done: true });
    for (const name of delivered.names ?? []) step.part(`naming to ${name}`, { done: true });
    return delivered;
  });
  return { ...exporterResponse(built), ...job.response };
}

/** The refs of a result, each with the platform and the configuration that its frontend has for it. */
function resultsToDeliver(job: BuildJob, result: Result): DeliveredResult[] {
  const text = (key: string): string | undefined => {
    const bytes = result.metadata[key];
    return bytes && Buffer.from(bytes).toString('utf8');
  };
  const refs = refsOf(result);
  if (refs.length === 0)
    throw new EngineError('invalid-argument', 'the frontend gave nothing back that could be exported');
  return refs.map(({ platform, id }): DeliveredResult => {
    const config = text(platform === undefined ? 'containerimage.config' : `containerimage.config/${platform}`);
    return {
      solved: job.result(id).ref.image,
      ...(platform !== undefined && { platform }),
      ...(config !== undefined && { config }),
    };
  });
}

function exportName(type: string): string {
  const names: Readonly<Record<string, string>> = {
    image: 'image',
    docker: 'docker image format',
    oci: 'oci image format',
    local: 'client directory',
    tar: 'client tarball',
  };
  return names[type] ?? type;
}

function exporterResponse({ id, descriptor, names = [] }: BuildResult): Record<string, string> {
  return {
    'containerimage.config.digest': id,
    'containerimage.digest': descriptor?.digest ?? id,
    ...(descriptor && { 'containerimage.descriptor': Buffer.from(JSON.stringify(descriptor)).toString('base64') }),
    ...(names.length > 0 && { 'image.name': names.join(',') }),
  };
}
