import { toBinary } from '@bufbuild/protobuf';
import { EngineError } from '../../base/errors.ts';
import type { GraphProgram } from '../../engine/builder/graph/graph-program.ts';
import type { SpokenCommand } from '../../engine/builder/step-executor.ts';
import type { ImageConfig } from '../../oci/image.ts';
import { parseReference, withDefaultTag } from '../../oci/reference.ts';
import { type Bridge, ProgramAnswer } from '../control/bridge.ts';
import { ProgressStep } from '../control/progress.ts';
import { type WorkerFacts, workersText } from '../control/worker.ts';
import { GrpcServer, type Handlers } from '../grpc/server.ts';
import { GRPC, GrpcError } from '../grpc/status.ts';
import { LLBBridge, type Result } from '../protocol/gateway_pb.ts';
import { type Definition, DefinitionSchema } from '../protocol/ops_pb.ts';
import type { Policy } from '../protocol/policy_pb.ts';
import { imageDefinition } from '../result.ts';
import type { CacheEntry } from './cache-entry.ts';
import { ProgramStdio } from './program-stdio.ts';

/** Programs that call programs: what is deeper than this calls itself. */
const MAX_DEPTH = 8;
/** Of one build, side by side. */
const MAX_PROGRAMS = 16;
/** Calls of one program that are answered at the same time: each may be as large as a message. */
const MAX_CALLS = 32;
/** How long a program may take to end when it has given its answer. */
const END_MS = 3000;

const CAPABILITIES = 'moby.buildkit.frontend.caps';
const NO_NETWORK = 'moby.buildkit.frontend.network.none';
const INPUTS = 'moby.buildkit.frontend.inputs';

/** A frontend that is asked to make something of a build. */
export interface FrontendCall {
  readonly frontend: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly inputs: Readonly<Record<string, Definition>>;
  readonly policies: readonly Policy[];
  readonly cacheImports: readonly CacheEntry[];
}

export interface ImageFrontendParts {
  readonly worker: () => Promise<WorkerFacts>;
  readonly report: (message: string) => void;
  /** The configuration of an image, which is there from then on; `onProgress` gets lines while it is pulled. */
  readonly configOf: (image: string, onProgress: (line: string) => void) => Promise<ImageConfig>;
  /** Runs a program on an image's files for as long as `use` takes. */
  readonly run: <T>(
    image: Definition,
    layers: readonly string[],
    program: GraphProgram,
    use: (spoken: SpokenCommand) => Promise<T>,
  ) => Promise<T>;
  readonly handlersOf: (bridge: Bridge) => Handlers<typeof LLBBridge>;
}

/**
 * Runs the frontend that is a program of an image (`gateway.v0`, `# syntax=`): it is told what is wanted in its environment,
 * and calls LLBBridge over its stdin and stdout. Whatever it does, nothing of it is left when this resolves.
 */
export async function runImageFrontend(
  parts: ImageFrontendParts,
  caller: Bridge,
  { attributes, inputs, policies }: FrontendCall,
): Promise<Result> {
  const image = imageOf(attributes);
  const { job, programs } = caller;
  if (caller.depth >= MAX_DEPTH)
    throw new GrpcError(GRPC.resourceExhausted, `the frontend ${image} is called by ${MAX_DEPTH} others in a row`);
  if (programs.running >= MAX_PROGRAMS)
    throw new GrpcError(GRPC.resourceExhausted, `${MAX_PROGRAMS} frontends of this build run already`);
  programs.running++;
  try {
    const resolving = new ProgressStep(
      job.log,
      `${job.ref} frontend ${image}`,
      `resolve image config for docker-image://${image}`,
    );
    const config = await resolving.during(() => parts.configOf(image, (line) => resolving.output(line)));
    checkCapabilities(config, attributes, inputs);
    const definition = imageDefinition(image);
    const answer = new ProgramAnswer();
    const bridge: Bridge = {
      job,
      inputs,
      policies: [...caller.policies, ...policies],
      depth: caller.depth + 1,
      programs,
      return: (request) => answer.give(job, request),
    };
    const program: GraphProgram = {
      args: config.config?.Entrypoint ?? ['/run'],
      env: environment(config, attributes, {
        session: job.request.Session,
        workers: workersText(await parts.worker()),
      }),
      workingDir: config.config?.WorkingDir || '/',
      network: isTrue(config.config?.Labels?.[NO_NETWORK]) ? 'none' : 'default',
      platform: undefined,
      directory: {
        path: '/run/config/buildkit/metadata',
        files: { 'frontend.bin': toBinary(DefinitionSchema, definition) },
      },
      signal: job.signal,
    };
    const result = await parts.run(definition, config.rootfs.diff_ids, program, (spoken) =>
      converse(parts, { bridge, answer, image }, spoken),
    );
    if (Object.keys(result.attestations).length > 0)
      throw new EngineError('unimplemented', `attestations of the frontend ${image} are not supported by this engine`);
    return result;
  } finally {
    programs.running--;
  }
}

interface Conversation {
  readonly bridge: Bridge;
  readonly answer: ProgramAnswer;
  readonly image: string;
}

/** Answers what it asks until it has ended; what it gave back. */
async function converse(
  { report, handlersOf }: ImageFrontendParts,
  { bridge, answer, image }: Conversation,
  spoken: SpokenCommand,
): Promise<Result> {
  const { job } = bridge;
  const log = new ProgramLog(bridge, image);
  const socket = new ProgramStdio(spoken);
  const server = new GrpcServer(report, { maxStreams: MAX_CALLS }).add(LLBBridge, handlersOf(bridge));
  let ended = false;
  let killed: string | undefined;
  const end = (why: string): void => {
    if (ended) return;
    killed ??= why;
    spoken.kill();
  };
  // Garbage ends the connection, and nobody hears what still comes.
  socket.once('close', () => {
    if (!answer.given) end('frontend grpc server closed unexpectedly');
  });
  server.accept(socket);
  const pumped = socket
    .pump(spoken.output, (text) => log.add(text))
    .catch((error: Error) => end(error.message))
    .then(() => spoken.exited);
  let timer: NodeJS.Timeout | undefined;
  const given = (): void => {
    timer = setTimeout(() => {
      if (!ended) spoken.kill();
      late = true;
    }, END_MS).unref();
  };
  let late = false;
  answer.result.then(given, given);
  try {
    const code = await spoken.exited;
    ended = true;
    await pumped;
    job.signal.throwIfAborted();
    // What it returned as its failure says more than how it ended; that it did not end well, more than a result.
    if (answer.given) {
      const result = await answer.result;
      if (code === 0 || late) return result;
    }
    if (killed !== undefined) throw new GrpcError(GRPC.unknown, `the frontend ${image} was ended: ${killed}`);
    if (code !== 0)
      throw new GrpcError(GRPC.unknown, `the frontend ${image} did not complete successfully: exit code: ${code}`);
    throw new GrpcError(GRPC.unknown, `the frontend ${image} ended without a result: no result for incomplete build`);
  } catch (error) {
    log.failed(error);
    throw error;
  } finally {
    clearTimeout(timer);
    log.done();
    socket.destroy();
    server.close();
  }
}

/** What a frontend prints, as a step that is there only when it prints something. */
class ProgramLog {
  readonly #bridge: Bridge;
  readonly #image: string;
  #step: ProgressStep | undefined;

  constructor(bridge: Bridge, image: string) {
    this.#bridge = bridge;
    this.#image = image;
  }

  add(text: string): void {
    const { job, depth } = this.#bridge;
    const key = `${job.ref} log of ${this.#image} ${depth} ${process.hrtime.bigint()}`;
    this.#step ??= new ProgressStep(job.log, key, `frontend ${this.#image}`);
    this.#step.output(text);
  }

  failed(error: unknown): void {
    this.#step?.failed(error instanceof Error ? error.message : String(error));
    this.#step = undefined;
  }

  done(): void {
    this.#step?.done();
  }
}

/** The image that is asked for, or the one that the client put in its place (`--build-context`). */
function imageOf(attributes: FrontendCall['attributes']): string {
  const source = attributes['source'] ?? '';
  if (source === '') throw new EngineError('invalid-argument', 'no source specified for gateway');
  const other = attributes[`context:${source}`];
  const named = other === undefined ? source : /^docker-image:\/\/(.+)$/.exec(other)?.[1];
  if (named === undefined)
    throw new EngineError(
      'unimplemented',
      `${other} as the frontend ${source} is not supported by this engine: name an image`,
    );
  const { repository, tag, digest } = withDefaultTag(parseReference(named));
  return `${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

/** Throws UNIMPLEMENTED for what the caller needs and the image does not claim. */
function checkCapabilities(
  { config }: ImageConfig,
  attributes: FrontendCall['attributes'],
  inputs: FrontendCall['inputs'],
): void {
  const list = (text: string | undefined): string[] => (text ?? '').split(',').filter((name) => name !== '');
  const claimed = new Set(list(config?.Labels?.[CAPABILITIES]));
  const needed = [...list(attributes['frontend.caps']), ...(Object.keys(inputs).length > 0 ? [INPUTS] : [])];
  for (const name of needed)
    if (!claimed.has(name)) throw new GrpcError(GRPC.unimplemented, `unsupported frontend capability ${name}`);
}

function environment(
  { config }: ImageConfig,
  attributes: FrontendCall['attributes'],
  { session, workers }: { readonly session: string; readonly workers: string },
): string[] {
  const options = Object.entries(attributes).map(([key, value]) => `${key}=${value}`);
  if (options.some((option) => option.includes('\0')))
    throw new EngineError('invalid-argument', 'an option of the build has a NUL byte');
  return [
    ...(config?.Env ?? []),
    ...options.map((option, index) => `BUILDKIT_FRONTEND_OPT_${index}=${option}`),
    `BUILDKIT_SESSION_ID=${session}`,
    `BUILDKIT_WORKERS=${workers}`,
    'BUILDKIT_EXPORTEDPRODUCT=docker',
  ];
}

function isTrue(text: string | undefined): boolean {
  return /^(1|t|true)$/i.test(text ?? '');
}
