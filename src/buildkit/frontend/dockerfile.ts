import { EngineError, errorCode } from '../../base/errors.ts';
import { type Dockerfile, readStages, type Stage } from '../../build/dockerfile/instructions.ts';
import { assembleDockerfile } from '../../build/dockerfile/include.ts';
import { parseDockerfile } from '../../build/dockerfile/parse.ts';
import { DockerfileSource } from '../../build/dockerfile/source.ts';
import { decodeText } from '../../engine/builder/context-dockerfile.ts';
import { type BuildPlan, planBuild, namedContext } from '../../build/plan.ts';
import type { ClientOutput } from '../../engine/builder/outputs/deliver.ts';
import type { SolvedImage } from '../../engine/builder/solved-build.ts';
import type { BuildOutputRequest } from '../../engine/builder/outputs/output.ts';
import type { BuildResult, EngineServices } from '../../engine/engine.ts';
import { checkDirectory, ruledImage, type SourceRules } from '../../engine/builder/sources/source-rules.ts';
import { platformArguments } from '../../engine/builder/platforms.ts';
import { ProgressStep } from '../control/progress.ts';
import type { StatusLog } from '../control/status-log.ts';
import { cacheFile, ClientContent } from '../session/client-content.ts';
import type { ClientSession } from '../session/client-session.ts';
import type { FrontendOptions } from './attributes.ts';
import { SessionForBuild, type OfferedDirectory } from './build-session.ts';
import { type CacheEntry, cacheText } from './cache-entry.ts';
import { contextPaths } from './context-paths.ts';
import { buildFailure } from './build-failure.ts';
import { BuildProgress } from './build-progress.ts';
import { findingsOf } from './findings.ts';
import { registryAuth } from './registry-auth.ts';
import { TransferProgress } from './transfer-progress.ts';

export interface DockerfileParts {
  readonly engine: EngineServices;
  readonly session: ClientSession;
  /** The context, where it came another way than by the session. */
  readonly archive: AsyncIterable<Uint8Array> | undefined;
  readonly log: StatusLog;
  /** Of the build, in front of its steps' digests. */
  readonly ref: string;
  readonly signal: AbortSignal;
  /** What is asked for and known before the build begins. */
  readonly exporters: readonly BuildOutputRequest[];
  readonly cacheTo: readonly CacheEntry[];
  /** What may be taken from elsewhere. */
  readonly rules: SourceRules | undefined;
  /** Results of other builds that this one begins with. */
  readonly inputOf: (name: string) => SolvedImage | undefined;
  /** Takes an output that is a stream to the client. */
  readonly onOutput: (output: ClientOutput) => Promise<void>;
}

/** A build that has run; what becomes of it is said later, or it is dropped. */
export interface PendingBuild {
  readonly images: readonly SolvedImage[];
  /** Brings it where it was asked for. Called once. */
  deliver(outputs: readonly BuildOutputRequest[]): Promise<BuildResult>;
  /** Gives it up when it was not delivered; resolves when nothing is left. */
  release(): Promise<void>;
}

/** The Dockerfile of a client's build, with what decides what is sent of its context. */
export interface ClientDockerfile {
  /** With what it includes. */
  readonly text: string;
  readonly source: DockerfileSource;
  readonly ignore: readonly string[];
}

/** A context that the client has as a stream has an address of this host. */
const UPLOAD = /^http:\/\/buildkit-session(\/.*)$/;

/** Reads the Dockerfile, and the .dockerignore that counts for it. */
export async function readDockerfile(
  parts: Pick<DockerfileParts, 'session' | 'log' | 'ref' | 'signal' | 'rules'>,
  options: FrontendOptions,
): Promise<ClientDockerfile> {
  const { session, log, ref, signal, rules } = parts;
  checkDirectory(rules, options.dockerfileName);
  const { filename, dockerfileName, contextName } = options;
  const names = filename === 'Dockerfile' ? DEFAULT_NAMES : [filename];
  const nameIn = (found: ReadonlyMap<string, Buffer>): string => names.find((one) => found.has(one)) ?? filename;
  const step = new ProgressStep(log, `${ref} definition`, `[internal] load build definition from ${filename}`);
  const [files, shared] = await step.during(async () => {
    const read = await Promise.all([
      session.smallFiles(dockerfileName, [...names, ...names.map(ownIgnore)], signal),
      options.remote === undefined ? session.smallFiles(contextName, IGNORE_FILES, signal) : new Map<string, Buffer>(),
    ]);
    step.part('transferring dockerfile:', { current: read[0].get(nameIn(read[0]))?.length ?? 0, done: true });
    return read;
  });
  const name = nameIn(files);
  const text = files.get(name);
  const own = files.get(ownIgnore(name)) ?? ignoreFile(shared);
  if (!text) {
    throw new EngineError('invalid-argument', `failed to read dockerfile: open ${filename}: no such file or directory`);
  }
  const ignoring = new ProgressStep(log, `${ref} ignore`, '[internal] load .dockerignore');
  ignoring.part('transferring context:', { current: own?.length ?? 0, done: true });
  const ignore = own?.toString().split(/\r?\n/) ?? [];
  ignoring.done();
  return { text: text.toString(), source: DockerfileSource.of({ name, text: text.toString() }), ignore };
}

/** What a Dockerfile is called when nobody says so. */
const DEFAULT_NAMES = ['Dockerfile', 'dockerfile', 'Containerfile'];
/** The first that is there counts. */
const IGNORE_FILES = ['.dockerignore', '.containerignore'];

function ownIgnore(name: string): string {
  return `${name}.dockerignore`;
}

function ignoreFile(files: ReadonlyMap<string, Buffer>): Buffer | undefined {
  return IGNORE_FILES.map((name) => files.get(name)).find((text) => text !== undefined);
}

/** A file of our own language with what it includes of the client's directories. Throws `invalid-argument`. */
export async function withIncluded(
  { session, signal, rules }: Pick<DockerfileParts, 'session' | 'signal' | 'rules'>,
  { contextName, contexts, remote }: FrontendOptions,
  { file, chosen }: { readonly file: ClientDockerfile; readonly chosen: string | undefined },
): Promise<ClientDockerfile> {
  const read = async (path: string, from: string | undefined): Promise<string> => {
    const directory = from === undefined ? contextName : localContext(contexts, from);
    if (from === undefined && remote !== undefined)
      throw new EngineError('invalid-argument', 'the build context is no directory of the client, which this needs');
    checkDirectory(rules, directory);
    const bytes = (await session.smallFiles(directory, [path], signal)).get(path);
    if (!bytes) throw new EngineError('invalid-argument', 'the context has no such file');
    return decodeText(bytes, path);
  };
  try {
    const source = await assembleDockerfile(file.source.files[0]!, { chosen, inContext: false, read });
    return { ...file, text: source.text, source };
  } catch (error) {
    throw buildFailure(error, { source: file.source, line: undefined });
  }
}

/** The client's name for a directory that is a context with a name. Throws `invalid-argument` for any other. */
function localContext(contexts: Readonly<Record<string, string>>, from: string): string {
  const name = namedContext(new Set(Object.keys(contexts)), from);
  const directory = /^local:(.*)$/.exec(name === undefined ? '' : contexts[name]!)?.[1];
  if (directory !== undefined) return directory;
  throw new EngineError(
    'invalid-argument',
    name === undefined
      ? `there is no context of the name ${from}: name a directory by --build-context ${from}=DIRECTORY`
      : `the context ${from} (${contexts[name]}) is no directory of the client, which this needs`,
  );
}

/**
 * Builds a Dockerfile up to the point where its outputs have to be known.
 * @param file undefined: it comes with its context, and the engine reads it
 */
export async function buildDockerfile(
  parts: DockerfileParts,
  options: FrontendOptions,
  file: ClientDockerfile | undefined,
): Promise<PendingBuild> {
  const place = { source: sourceOf(file, options), line: undefined };
  try {
    return await solve(parts, options, file);
  } catch (error) {
    throw buildFailure(error, place);
  }
}

async function solve(
  parts: DockerfileParts,
  options: FrontendOptions,
  file: ClientDockerfile | undefined,
): Promise<PendingBuild> {
  const { engine, session, archive, log, ref, signal, onOutput, inputOf, cacheTo, exporters } = parts;
  // One that comes with its context is read by the engine.
  const dockerfile = file && readStages(parseDockerfile(file.text));
  const { stages } = dockerfile ?? { stages: [] };
  const plan = dockerfile && planOf(dockerfile, options);
  const { remote } = options;
  const path = remote === undefined ? undefined : UPLOAD.exec(remote)?.[1];
  const upload =
    path === undefined ? undefined : (): AsyncIterable<Uint8Array> => archive ?? session.upload(path, undefined);
  const follow = file && remote === undefined ? await followedPaths(engine, plan!, options.contexts) : [];
  const directories = new Map<string, OfferedDirectory>();
  // Nothing is asked of a client that nothing is taken from.
  if (!follow || follow.length > 0)
    directories.set('context', {
      name: options.contextName,
      selection: { follow, exclude: file?.ignore ?? [] },
      watcher: new TransferProgress(log, `${ref} context`, '[internal] load build context'),
    });
  const contexts = await offerContexts(parts, options, directories);
  const auth = await registryAuth(session, await remoteImages(parts, options, stages), signal);
  const progress = new BuildProgress({
    platforms: options.multiPlatform ? options.platforms : [],
    log,
    ref,
    plan,
    contexts: options.contexts,
    source: sourceOf(file, options),
  });
  if (file)
    for (const { rule, message, range } of (await findingsOf(engine, file, options)).warnings)
      progress.onEvent({ type: 'warning', rule, message, line: range.start });
  const solved = Promise.withResolvers<readonly SolvedImage[]>();
  const wanted = Promise.withResolvers<readonly BuildOutputRequest[]>();
  wanted.promise.catch(() => {});
  // A client that is gone when all is built says no more what becomes of it, and nobody is there to give it up.
  const gone = (): void => wanted.reject(signal.reason as Error);
  if (signal.aborted) gone();
  else signal.addEventListener('abort', gone, { once: true });
  const stop = new AbortController();
  const work = engine.builder.build(
    undefined,
    {
      ...options.request,
      dockerfile: options.filename,
      ...(file && { dockerfileText: file.text, dockerfileSource: file.source, ignore: file.ignore }),
      contexts,
      attestations: attestationsFor(options.attestations, exporters),
      auth,
      cacheFrom: options.cacheImports.map(cacheText),
      cacheTo: cacheTo.map(cacheText),
      ...(remote !== undefined && upload === undefined && { remote }),
      ...(options.platforms.length > 0 && { platform: options.platforms.join(',') }),
    },
    {
      signal: AbortSignal.any([signal, stop.signal]),
      session: new SessionForBuild(session, directories, upload),
      onEvent: (event) => progress.onEvent(event),
      onOutput,
      inputOf,
      sourceRules: parts.rules,
      onInput: async (index, path) => {
        const { attributes } = options.cacheImports[index]!;
        const { src = '', digest = '', tag = 'latest' } = attributes;
        return cacheFile(new ClientContent(session, `local:${src}`, signal), { digest, tag }, path);
      },
      outputsOf: (images) => {
        solved.resolve(images);
        return wanted.promise;
      },
    },
  );
  const told = work.catch((error: unknown) => {
    const { failedLine: line, unresolved } = progress;
    throw buildFailure(error, { source: sourceOf(file, options), line, unresolved });
  });
  told.catch((error: Error) => solved.reject(error));
  const images = await solved.promise;
  return {
    images,
    deliver: async (outputs) => {
      wanted.resolve(outputs);
      return told;
    },
    release: async () => {
      const given = new EngineError('cancelled', 'the build is over');
      stop.abort(given);
      wanted.reject(given);
      await work.catch(() => {});
    },
  };
}

/** Of a file that comes with its context nothing is known but its name. */
function sourceOf(file: ClientDockerfile | undefined, { filename }: FrontendOptions): DockerfileSource {
  return file?.source ?? DockerfileSource.of({ name: filename, text: '' });
}

/** What will be built, for its names. Throws `invalid-argument` as the build does. */
function planOf(dockerfile: Dockerfile, { request, platforms, contexts }: FrontendOptions): BuildPlan {
  const args = Object.entries(request.buildArgs ?? {});
  return planBuild(dockerfile, {
    target: request.target,
    buildArgs: new Map(args.filter((entry): entry is [string, string] => entry[1] !== null)),
    platformArgs: platformArguments(platforms[0]),
    contexts: new Set(Object.keys(contexts)),
  });
}

/** The named contexts; those that are directories of the client are offered to the build, each without what it ignores. */
async function offerContexts(
  { session, log, ref, signal }: DockerfileParts,
  { contexts }: FrontendOptions,
  directories: Map<string, OfferedDirectory>,
): Promise<Record<string, string>> {
  const offered: Record<string, string> = { ...contexts };
  for (const [name, value] of Object.entries(contexts)) {
    const local = /^local:(.*)$/.exec(value)?.[1];
    if (local === undefined) continue;
    const step = new ProgressStep(log, `${ref} ignore ${name}`, `[context ${name}] load .dockerignore`);
    const files = await step.during(() => session.smallFiles(local, IGNORE_FILES, signal));
    offered[name] = 'local';
    directories.set(name, {
      name: local,
      selection: { follow: undefined, exclude: ignoreFile(files)?.toString().split(/\r?\n/) ?? [] },
      watcher: new TransferProgress(log, `${ref} context ${name}`, `[context ${name}] load from client`, name),
    });
  }
  return offered;
}

/** The images that registries have to be asked about. */
async function remoteImages(
  { engine, exporters, cacheTo, rules }: DockerfileParts,
  options: FrontendOptions,
  stages: readonly Stage[],
): Promise<string[]> {
  const pushed = exporters
    .filter(({ type, attributes }) => type === 'registry' || attributes['push'] === 'true')
    .flatMap(({ attributes }) => (attributes['name'] ?? '').split(','));
  const caches = [...cacheTo, ...options.cacheImports].map(({ attributes }) => attributes['ref'] ?? '');
  const named = Object.values(options.contexts).map((value) => /^docker-image:\/\/(.*)$/.exec(value)?.[1] ?? '');
  const taken = stages.flatMap(({ base, instructions }) => [
    base,
    ...instructions.map((one) => (one.kind === 'COPY' ? (one.from ?? '') : '')),
  ]);
  const names = new Set(stages.map(({ name }) => name));
  const bases = [...new Set([...taken, ...named])].filter(
    (name) => name !== '' && name !== 'scratch' && !names.has(name),
  );
  const missing: string[] = [];
  for (const name of bases) {
    const base = ruled(rules, name);
    if (options.request.pull === true || !(await engine.images.inspect(base).catch(() => undefined)))
      missing.push(base);
  }
  return [...pushed, ...caches, ...missing].filter((name) => name !== '');
}

/** The image that is taken for a name; a name with variables is resolved when they have values. Throws `forbidden`. */
function ruled(rules: SourceRules | undefined, name: string): string {
  try {
    return ruledImage(rules, name);
  } catch (error) {
    if (errorCode(error) === 'invalid-argument') return name;
    throw error;
  }
}

/** What is to be said beside the images; what a client wants only where it fits goes only to registries and archives. */
export function attestationsFor(
  attestations: Readonly<Record<string, string>>,
  exporters: readonly BuildOutputRequest[],
): string[] {
  const inline = exporters.some(
    ({ type, attributes }) => type === 'oci' || type === 'registry' || attributes['push'] === 'true',
  );
  return Object.entries(attestations)
    .filter(([, value]) => inline || !onlyInline(value))
    .map(([type, value]) => [`type=${type}`, ...(value === '' ? [] : [value])].join(','));
}

/** Whether the client wants an attestation only where it is part of what is made. */
export function onlyInline(value: string): boolean {
  return /(^|,)inline-only=true(,|$)/.test(value);
}

/** What the client is asked to list of its context; all of it where a base image may want more. */
async function followedPaths(
  engine: EngineServices,
  { all, planned }: BuildPlan,
  contexts: Readonly<Record<string, string>>,
): Promise<readonly string[] | undefined> {
  const paths = contextPaths(all);
  if (!paths) return undefined;
  for (const { base } of planned) {
    if (base.kind === 'scratch' || base.kind === 'stage') continue;
    const name =
      base.kind === 'image' ? base.reference : /^docker-image:\/\/(.*)$/s.exec(contexts[base.name] ?? '')?.[1];
    const image = name === undefined ? undefined : await engine.images.inspect(name).catch(() => undefined);
    // Triggers of an image that is not here yet are not known: they may copy anything.
    if (!image || (image.Config?.OnBuild?.length ?? 0) > 0) return undefined;
  }
  return paths;
}
