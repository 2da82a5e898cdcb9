import { EngineError } from '../../base/errors.ts';
import type { OperationOptions } from '../../base/operation.ts';
import { newId } from '../../base/ids.ts';
import type { ClientOutput } from '../../engine/builder/outputs/deliver.ts';
import type { BuildOutputRequest } from '../../engine/builder/outputs/output.ts';
import type { ResultToDeliver } from '../../engine/builder/graph/graph-build.ts';
import type { Attestation as Said } from '../../engine/builder/outputs/built-image.ts';
import type { SolvedImage } from '../../engine/builder/solved-build.ts';
import type { BuildResult, EngineServices } from '../../engine/engine.ts';
import { authFor } from '../../engine/builder/outputs/deliver.ts';
import { findSyntax, isDockerfileFrontend } from '../../build/dockerfile/syntax.ts';
import type { ImageConfig } from '../../oci/image.ts';
import { parseReference } from '../../oci/reference.ts';
import { registryAuth } from '../frontend/registry-auth.ts';
import { type FrontendCall, runImageFrontend } from '../frontend/image-frontend.ts';
import { type Bridge, type BuildJob, clientBridge, type RefResult, resultOf, rulesOf } from './bridge.ts';
import { platformArguments } from '../../engine/builder/platforms.ts';
import { type FrontendOptions, readAttributes } from '../frontend/attributes.ts';
import {
  attestationsFor,
  buildDockerfile,
  type DockerfileParts,
  onlyInline,
  type PendingBuild,
  readDockerfile,
  withIncluded,
} from '../frontend/dockerfile.ts';
import { cacheEntries, type CacheEntry } from '../frontend/cache-entry.ts';
import { buildFailure, failureOf } from '../frontend/build-failure.ts';
import { answerQuestion } from '../frontend/questions.ts';
import type { Call, Handlers } from '../grpc/server.ts';
import { GRPC, GrpcError } from '../grpc/status.ts';
import { ruledImage } from '../../engine/builder/sources/source-rules.ts';
import type { Definition } from '../protocol/ops_pb.ts';
import type { Attestation, LLBBridge, Result, SolveRequest } from '../protocol/gateway_pb.ts';
import {
  answerOf,
  type BuiltRef,
  named,
  refsOf,
  resultOf as resultOfRefs,
  resultOfInput,
  toResult,
} from '../result.ts';
import { ClientContent, writeLayout } from '../session/client-content.ts';
import { sendFile } from '../session/send-output.ts';
import { sendFiles } from '../session/send-files.ts';
import type { Sessions } from '../session/sessions.ts';
import { Definitions, type SolveOptions } from './definitions.ts';
import { canonicalNames, ExportProgress } from './export-progress.ts';
import type { Jobs } from './jobs.ts';
import { ProgressStep } from './progress.ts';
import { buildCapabilities, frontendCapabilities, type WorkerFacts, workerRecord } from './worker.ts';
import { readDirectory, readFileOf, statFileOf } from './result-files.ts';

export interface GatewayParts {
  readonly engine: EngineServices;
  readonly jobs: Jobs<RefResult>;
  readonly sessions: Sessions;
  readonly worker: () => Promise<WorkerFacts>;
  /** Gets a line for each failure that is ours. */
  readonly report: (message: string) => void;
}

/** What a frontend calls while it makes a build: buildx is one, on the client's side. */
export function gatewayHandlers(parts: GatewayParts): Handlers<typeof LLBBridge> {
  return bridgeHandlers(parts, async (call) => {
    const ref = call.metadata['buildkit-controlapi-buildid'];
    if (typeof ref !== 'string') throw new GrpcError(GRPC.invalidArgument, 'no buildid found in context');
    return clientBridge(await parts.jobs.get(ref, call.signal));
  });
}

/** The same, for whoever `bridgeOf` says that a call is from. */
function bridgeHandlers(parts: GatewayParts, bridgeOf: (call: Call) => Promise<Bridge>): Handlers<typeof LLBBridge> {
  const jobOf = async (call: Call): Promise<BuildJob> => (await bridgeOf(call)).job;
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
      return { result: await solveFrontend(parts, await bridgeOf(call), request) };
    },
    async return(request, call) {
      (await bridgeOf(call)).return(request);
      return {};
    },
    async inputs(_request, call) {
      return { Definitions: (await bridgeOf(call)).inputs };
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
      const bridge = await bridgeOf(call);
      const rules = rulesOf(bridge, request.SourcePolicies);
      if (request.ResolverType !== 0)
        throw new GrpcError(GRPC.unimplemented, 'images of a layout are resolved by ResolveSourceMeta');
      const platform = platformOf(request.Platform);
      const found = await imageConfigOf(parts, bridge.job, ruledImage(rules, request.Ref), {
        pull: request.ResolveMode === 'pull',
        signal: call.signal,
        platform,
      });
      return { Ref: found.reference, Digest: found.digest, Config: Buffer.from(found.config) };
    },
    async resolveSourceMeta(request, call) {
      const bridge = await bridgeOf(call);
      const { job } = bridge;
      const { identifier = '', attrs = {} } = request.Source ?? {};
      const rules = rulesOf(bridge, request.SourcePolicies);
      const decided = rules?.decide({ identifier, attributes: attrs }) ?? { identifier, attributes: attrs };
      const Source = { identifier: decided.identifier, attrs: { ...decided.attributes } };
      const platform = platformOf(request.Platform);
      const [, scheme, rest = ''] = /^([a-z-]+):\/\/(.*)$/s.exec(decided.identifier) ?? [];
      if (scheme === 'docker-image') {
        const found = await imageConfigOf(parts, job, rest, {
          pull: request.ResolveMode === 'pull',
          signal: call.signal,
          platform,
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

function platformOf(platform: { OS: string; Architecture: string; Variant: string } | undefined): string | undefined {
  if (!platform || platform.OS === '') return undefined;
  return [platform.OS, platform.Architecture, platform.Variant].filter((part) => part !== '').join('/');
}

/** The configuration of an image, pulled with the client's credentials where it is not here. */
async function imageConfigOf(
  { engine }: GatewayParts,
  { session }: BuildJob,
  image: string,
  {
    platform,
    ...options
  }: OperationOptions & {
    readonly signal: AbortSignal;
    readonly platform?: string | undefined;
    readonly pull: boolean;
  },
): ReturnType<EngineServices['builder']['imageConfig']> {
  const { pull, signal } = options;
  const here = !pull && (await engine.images.inspect(image).catch(() => undefined)) !== undefined;
  const auth = here ? undefined : authFor(await registryAuth(session, [image], signal), parseReference(image));
  return engine.builder.imageConfig(image, {
    ...options,
    ...(auth && { auth }),
    ...(platform !== undefined && { platform }),
  });
}

async function solveFrontend(parts: GatewayParts, bridge: Bridge, request: SolveRequest): Promise<Result> {
  const { Frontend: frontend, FrontendOpt: attributes, FrontendInputs: inputs, SourcePolicies: policies } = request;
  const cacheImports = cacheEntries(request.CacheImports);
  if (frontend !== '') return runFrontend(parts, bridge, { frontend, attributes, inputs, policies, cacheImports });
  return solveDefinition(parts, bridge.job, request.Definition, { rules: rulesOf(bridge, policies), cacheImports });
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
      resultOf: (id) => resultOf(jobs.running, id),
      log: job.log,
      signal: job.signal,
      entitlements: job.request.Entitlements,
      onOutput: (output) => sendToClient(job, output),
    }),
  );
  DEFINITIONS.set(job, made);
  return made;
}

/** The inputs of a frontend: results of builds that run, or definitions, which are solved now. */
async function solveInputs(
  parts: GatewayParts,
  bridge: Bridge,
  { inputs, policies, cacheImports }: FrontendCall,
): Promise<Map<string, SolvedImage>> {
  const rules = rulesOf(bridge, policies);
  const solved = new Map<string, SolvedImage>();
  for (const [name, definition] of Object.entries(inputs)) {
    const id = resultOfInput(definition);
    const image =
      id === undefined
        ? definition.def.length > 0 &&
          (await definitionsOf(parts, bridge.job).solve(definition, { rules, cacheImports }))
        : resultOf(parts.jobs.running, id);
    if (image) solved.set(name, image);
  }
  return solved;
}

/** Runs a frontend, ours or a program of an image: what was built waits in the job for what becomes of it. */
export async function runFrontend(parts: GatewayParts, bridge: Bridge, call: FrontendCall): Promise<Result> {
  try {
    if (call.frontend === 'dockerfile.v0') return await dockerfileFrontend(parts, bridge, call);
    if (call.frontend === 'gateway.v0') return await gatewayFrontend(parts, bridge, call);
  } catch (error) {
    throw buildFailure(error);
  }
  throw new EngineError('unimplemented', `the frontend ${call.frontend} is not supported by this engine`);
}

/** A frontend by the image that it is in; Docker's own is the language that is built in. */
async function gatewayFrontend(parts: GatewayParts, bridge: Bridge, call: FrontendCall): Promise<Result> {
  const { source = '' } = call.attributes;
  if (isDockerfileFrontend(source))
    return dockerfileFrontend(parts, bridge, { ...call, attributes: { cmdline: source, ...call.attributes } });
  const { job } = bridge;
  const rules = rulesOf(bridge, call.policies);
  const result = await runImageFrontend(
    {
      worker: parts.worker,
      report: parts.report,
      configOf: async (image, onProgress) => {
        const { config } = await imageConfigOf(parts, job, ruledImage(rules, image), {
          pull: false,
          signal: job.signal,
          onProgress: ({ id, status }) => onProgress(`${id === '' ? '' : `${id}: `}${status}\n`),
        });
        return JSON.parse(config) as ImageConfig;
      },
      run: (...args) => definitionsOf(parts, job).run(rules, ...args),
      handlersOf: (own) => bridgeHandlers(parts, async () => own),
    },
    bridge,
    call,
  );
  checkAttestations(job, call, result);
  return result;
}

/** Nobody here knows how a program made what it gave back; of a Dockerfile that it had built, the builder does. */
function checkAttestations(job: BuildJob, { attributes }: FrontendCall, result: Result): void {
  const wanted = Object.entries(readAttributes(attributes).attestations);
  // Clients ask by themselves for what is to be there only where it fits.
  if (wanted.every(([, value]) => onlyInline(value)) || wholeBuild(job, result)) return;
  throw new EngineError(
    'unimplemented',
    `attestations of what the frontend ${attributes['source']} made are not supported by this engine: build without --sbom and --provenance`,
  );
}

async function dockerfileFrontend(parts: GatewayParts, bridge: Bridge, call: FrontendCall): Promise<Result> {
  const { attributes, policies } = call;
  const { job } = bridge;
  const rules = rulesOf(bridge, policies);
  const options = allowed(readAttributes(attributes), job.request.Entitlements);
  const source = { session: job.session, log: job.log, ref: job.ref, signal: job.signal, rules };
  // Who was called by another frontend, or by its image's name, reads the file whatever it says.
  const chosen = attributes['cmdline'] === undefined ? attributes['build-arg:BUILDKIT_SYNTAX']?.trim() : undefined;
  if (chosen !== undefined && chosen !== '' && !isDockerfileFrontend(chosen.split(' ', 1)[0]!))
    return forward(parts, bridge, call, chosen).catch((error: unknown) => {
      throw withWords(error, `failed with BUILDKIT_SYNTAX = ${chosen}`);
    });
  const read = options.localDockerfile ? await readDockerfile(source, options) : undefined;
  const syntax =
    read && attributes['cmdline'] === undefined && chosen === undefined ? findSyntax(read.text) : undefined;
  if (read && syntax && !isDockerfileFrontend(syntax.image))
    return forward(parts, bridge, call, syntax.text).catch((error: unknown) => {
      throw failureOf(error, { source: read.source, line: syntax.line });
    });
  const language = attributes['cmdline'] ?? chosen;
  const file = read && (await withIncluded(source, options, { file: read, chosen: language }));
  for (const name of options.unknown) {
    const step = new ProgressStep(job.log, `${job.ref} attributes`, '[internal] read the options of the build');
    step.warn({ level: 1n, short: Buffer.from(`the option ${name} means nothing to this engine and is ignored`) });
    step.done();
  }
  const solvedInputs = await solveInputs(parts, bridge, call);
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
    ...source,
    engine: parts.engine,
    archive: job.archive,
    exporters: exportersOf(job),
    cacheTo: cachesOf(job),
    inputOf: (name) => solvedInputs.get(name),
    onOutput: (output) => sendToClient(job, output),
  };
  if (options.question !== undefined) {
    const platformArgs = platformArguments(options.platforms[0]);
    const asked =
      file ?? (await withIncluded(source, options, { file: await readDockerfile(source, options), chosen: language }));
    return toResult(answerOf(await answerQuestion({ engine: parts.engine, file: asked, options, platformArgs })));
  }
  // A file that comes with its context is read by the engine, which does not run the frontend that it may be for.
  const request = { ...options.request, refuseOtherFrontends: !file && attributes['cmdline'] === undefined };
  const build = await buildDockerfile(dockerfileParts, { ...options, contexts, request }, file);
  const refs = build.images.map((image): BuiltRef => ({ id: newId().slice(0, 25), image }));
  for (const ref of refs) job.results.set(ref.id, { ref, build, release: () => build.release() });
  return toResult(resultOfRefs(refs, options.multiPlatform));
}

/** Gives a Dockerfile's build to the frontend that is named for it. */
function forward(parts: GatewayParts, bridge: Bridge, call: FrontendCall, cmdline: string): Promise<Result> {
  const attributes = { ...call.attributes, cmdline, source: cmdline.split(' ', 1)[0]! };
  return gatewayFrontend(parts, bridge, { ...call, frontend: 'gateway.v0', attributes });
}

/** An error with words in front; where it is of a file already, these say more. */
function withWords(error: unknown, words: string): unknown {
  const failure = buildFailure(error);
  if (!(failure instanceof GrpcError) || failure.details.length > 0) return failure;
  return new GrpcError(failure.status, `${words}: ${failure.message}`, { cause: error });
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
  const bytes = type === 'local' ? await sendFiles(call, open()) : await sendFile(call, open());
  EXPORTS.get(job)?.sent(index, bytes);
}

/** How the outputs of a build are told of. */
const EXPORTS = new WeakMap<BuildJob, ExportProgress>();

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
  const outputs = exportersOf(job);
  // A frontend may give back nothing at all, which is an image without files.
  const whole = wholeBuild(job, result);
  const deliver = async (wanted: readonly BuildOutputRequest[]): Promise<BuildResult> => {
    if (whole) return whole.deliver(wanted);
    const attestations = attestationsFor(attributesBelow('attest:', job.request.FrontendAttrs), wanted);
    const options = { cacheExports: cachesOf(job), attestations };
    return definitionsOf(parts, job).deliver(await resultsToDeliver(job, result), wanted, options);
  };
  if (outputs.length === 0) {
    if (cachesOf(job).length > 0) await deliver([{ type: 'cacheonly', attributes: {} }]);
    return job.response;
  }
  const progress = new ExportProgress(job.log, job.ref, outputs);
  EXPORTS.set(job, progress);
  try {
    const built = await deliver(outputs);
    progress.done(built);
    return { ...exporterResponse(built, outputs), ...job.response };
  } catch (error) {
    progress.failed(error);
    throw error;
  }
}

/** The Dockerfile's build that a result is all of, as it was built: its frontend changed nothing of it. */
function wholeBuild(job: BuildJob, result: Result): PendingBuild | undefined {
  const refs = refsOf(result).map(({ platform, id }) => ({ ...job.result(id), given: configOf(result, platform) }));
  const build = refs[0]?.build;
  if (!build || refs.length !== build.images.length) return undefined;
  return refs.every((one) => one.build === build && one.given === one.ref.image.configText) ? build : undefined;
}

/** The configuration that a result has for a platform. */
function configOf(result: Result, platform: string | undefined): string | undefined {
  const bytes = result.metadata[platform === undefined ? 'containerimage.config' : `containerimage.config/${platform}`];
  return bytes && Buffer.from(bytes).toString('utf8');
}

/** The refs of a result, each with the platform and the configuration that its frontend has for it. */
async function resultsToDeliver(job: BuildJob, result: Result): Promise<ResultToDeliver[]> {
  const refs = refsOf(result);
  if (refs.length === 0)
    throw new EngineError('invalid-argument', 'the frontend gave nothing back that could be exported');
  return Promise.all(
    refs.map(async ({ platform, id }): Promise<ResultToDeliver> => {
      const config = configOf(result, platform);
      const solved = job.result(id).ref.image;
      const said = result.attestations[platform ?? solved.platform] ?? result.attestations[''];
      return {
        solved,
        ...(platform !== undefined && { platform }),
        ...(config !== undefined && { config }),
        attestations: await Promise.all((said?.attestation ?? []).map((one) => readAttestation(job, one))),
      };
    }),
  );
}

/** A statement that a frontend has for an image: its predicate is a file of one of its results. Throws UNIMPLEMENTED. */
async function readAttestation(job: BuildJob, { kind, ref, path, inTotoPredicateType }: Attestation): Promise<Said> {
  if (kind !== IN_TOTO) throw new GrpcError(GRPC.unimplemented, `an attestation of kind ${kind} is not supported`);
  if (!ref || inTotoPredicateType === '')
    throw new GrpcError(GRPC.invalidArgument, 'an attestation names no file, or no type of its predicate');
  const bytes = await readFileOf(await job.result(ref.id).ref.image.root(), path, undefined);
  try {
    return {
      predicateType: inTotoPredicateType,
      predicate: JSON.parse(Buffer.from(bytes).toString('utf8')) as unknown,
    };
  } catch (error) {
    throw new EngineError('invalid-argument', `the attestation ${path} is no JSON`, { cause: error });
  }
}

const IN_TOTO = 0;

function attributesBelow(prefix: string, attributes: Readonly<Record<string, string>>): Record<string, string> {
  const below = Object.entries(attributes).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(below.map(([name, value]) => [name.slice(prefix.length), value]));
}

function exporterResponse(result: BuildResult, outputs: readonly BuildOutputRequest[]): Record<string, string> {
  const { id, descriptor } = result;
  const names = canonicalNames(result, outputs);
  return {
    'containerimage.config.digest': id,
    'containerimage.digest': descriptor?.digest ?? id,
    ...(descriptor && { 'containerimage.descriptor': Buffer.from(JSON.stringify(descriptor)).toString('base64') }),
    ...(names.length > 0 && { 'image.name': names.join(',') }),
  };
}
