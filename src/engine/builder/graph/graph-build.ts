import { join } from 'node:path';
import type { AuthConfig } from '../../../api/auth.ts';
import { EngineError } from '../../../base/errors.ts';
import { Gate } from '../../../base/gate.ts';
import { newId } from '../../../base/ids.ts';
import { DEFAULT_PATH } from '../../../build/stage-config.ts';
import { canonicalJson } from '../../../oci/canonical-json.ts';
import { sha256 } from '../../../oci/digest.ts';
import type { HistoryEntry, ImageConfig } from '../../../oci/image.ts';
import { formatPlatform, hostPlatform, parsePlatform } from '../../../oci/platform.ts';
import { removeDirectory } from '../../../snapshot/remove-directory.ts';
import type { Lease } from '../../../state/leases.ts';
import type { BuildResult } from '../../engine.ts';
import { BuildDirectory } from '../build-directory.ts';
import type { BuilderParts } from '../builder-parts.ts';
import type { BuildSession } from '../build-session.ts';
import type { HeldClientFiles } from '../client-files/client-files.ts';
import { BuildContexts } from '../contexts.ts';
import { readAttestations } from '../attest/option.ts';
import { provenance } from '../attest/provenance.ts';
import type { Attestation, BuiltImage } from '../outputs/built-image.ts';
import { INLINE_FIELD } from '../cache-transfer/cache-config.ts';
import type { ReadCacheFile } from '../cache-transfer/cache-store.ts';
import { readCacheSource, readCacheTarget } from '../cache-transfer/option.ts';
import { checkOutputs, type ClientOutput } from '../outputs/deliver.ts';
import { type BuildOutputRequest, readOutput } from '../outputs/output.ts';
import type { SolvedImage } from '../solved-build.ts';
import type { CacheImport, CacheTurn, StepCache } from '../step-cache.ts';
import type { SpokenCommand } from '../step-executor.ts';
import { Views } from '../views.ts';
import type { BuildGraph, GraphEvent, GraphSource } from './graph.ts';
import type { GraphContext } from './graph-context.ts';
import { type GraphProgram, runProgram } from './graph-program.ts';
import { solveGraph } from './graph-solver.ts';
import type { LayerStack } from './layer-stack.ts';

export interface GraphBuildOptions {
  readonly session?: BuildSession | undefined;
  readonly signal: AbortSignal;
  readonly onEvent: (event: GraphEvent) => void;
  /** Takes an output that is a stream. */
  readonly onOutput: (output: ClientOutput) => Promise<void>;
}

/** What a graph gave, held until its build is disposed. */
export interface SolvedGraph extends SolvedImage {
  readonly layers: LayerStack;
}

/** Graphs that are solved one after the other, or side by side, for one client: what one gave another may begin with. */
export interface GraphBuild extends AsyncDisposable {
  solve(graph: BuildGraph, options?: SolveGraphOptions): Promise<SolvedGraph>;
  /** An image of a layout that the client has, with its configuration. Throws `not-found`, `corrupt`. */
  bring(source: Extract<GraphSource, { kind: 'layout' }>, platform: string | undefined): Promise<SolvedImage>;
  /**
   * Runs a program on the files of a result for as long as `use` takes, which speaks with it; the build's end kills it. Throws
   * what a container's start throws, and what `use` throws.
   */
  run<T>(on: SolvedGraph, program: GraphProgram, use: (spoken: SpokenCommand) => Promise<T>): Promise<T>;
  /** Brings results where they were asked for, each with the configuration that its frontend made, or with none but its platform. */
  deliver(
    images: readonly ResultToDeliver[],
    outputs: readonly BuildOutputRequest[],
    options: {
      readonly auth: Readonly<Record<string, AuthConfig>>;
      /** Where the steps of all of them go besides (`type=registry,ref=…`). */
      readonly cacheTo: readonly string[];
      /** What is to be said beside them (`type=sbom`, `type=provenance,mode=max`). */
      readonly attestations: readonly string[];
    },
  ): Promise<BuildResult>;
}

export interface ResultToDeliver {
  readonly solved: SolvedImage;
  readonly platform?: string;
  /** Its configuration, as its frontend made it. */
  readonly config?: string;
  /** What its frontend says about it. */
  readonly attestations?: readonly Attestation[];
}

export interface SolveGraphOptions {
  readonly auth?: Readonly<Record<string, AuthConfig>>;
  readonly platform?: string | undefined;
  /** Caches that may know its steps (`type=registry,ref=…`). */
  readonly cacheFrom?: readonly string[];
  /** Reads a file of a directory of the client that is such a cache, by its place in the list. */
  readonly readCache?: (index: number, path: string) => ReturnType<ReadCacheFile>;
  readonly onWarning?: (message: string) => void;
}

/** Opens a place for the graphs of one client: its directory, its lease, what it holds are gone when it is disposed. */
export async function openGraphBuild(
  parts: BuilderParts,
  cache: StepCache,
  options: GraphBuildOptions,
): Promise<GraphBuild> {
  const opened = Promise.withResolvers<OpenGraphBuild>();
  const closed = Promise.withResolvers<void>();
  const directory = new BuildDirectory(join(parts.temporary, `build-${newId().slice(0, 16)}`));
  const live = async (): Promise<void> => {
    try {
      await parts.underLease('build', async (lease) => {
        await using build = new OpenGraphBuild({ parts, cache, lease, directory, options });
        opened.resolve(build);
        await closed.promise;
      });
    } finally {
      if (directory.made) await removeDirectory(directory.path);
      parts.collectLater();
    }
  };
  const ended = live();
  ended.catch((error: unknown) => opened.reject(error));
  const build = await opened.promise;
  return {
    solve: (graph, how) => build.solve(graph, how),
    bring: (source, platform) => build.bring(source, platform),
    run: (on, program, use) => build.run(on, program, use),
    deliver: (images, outputs, how) => build.deliver(images, outputs, how),
    [Symbol.asyncDispose]: async () => {
      closed.resolve();
      await ended;
    },
  };
}

const NO_DOCKERFILE = {
  dockerfile: undefined,
  target: undefined,
  buildArgs: {},
  labels: {},
  remote: undefined,
} as const;

/** More than machines have processors for, and less than one can bear. */
const MAX_COMMANDS = 16;

interface OpenParts {
  readonly parts: BuilderParts;
  readonly cache: StepCache;
  readonly lease: Lease;
  readonly directory: BuildDirectory;
  readonly options: GraphBuildOptions;
}

class OpenGraphBuild implements AsyncDisposable {
  readonly #own: OpenParts;
  readonly #views: Views;
  readonly #contexts: BuildContexts;
  readonly #held = new AsyncDisposableStack();
  readonly #turn: CacheTurn;
  readonly #running = new Set<Promise<unknown>>();
  readonly #commands = new Gate(MAX_COMMANDS);
  readonly #clientFiles = new Map<string, HeldClientFiles>();
  #names = 0;

  constructor(own: OpenParts) {
    const { parts, directory, options } = own;
    this.#own = own;
    this.#turn = this.#held.use(own.cache.begin());
    this.#views = new Views({
      directory,
      mount: (chain, target, ids) => parts.mountView(chain, target, ids),
      unmount: (target) => parts.unmount(target),
    });
    this.#contexts = new BuildContexts({
      directory,
      files: parts.files,
      remote: parts.remote,
      session: options.session,
      signal: options.signal,
      uploads: parts.uploads,
      beginSync: () => parts.snapshotter.beginSync(),
      onSource: () => {},
      named: {},
    });
  }

  solve(graph: BuildGraph, solveOptions: SolveGraphOptions = {}): Promise<SolvedGraph> {
    const { auth = {}, platform } = solveOptions;
    return this.#run(async () => {
      const { cache, lease, options } = this.#own;
      const imports = await this.#imports(solveOptions);
      const steps: GraphContext['steps'] = new Map();
      const sources: GraphContext['sources'] = new Map();
      const locals: GraphContext['locals'] = new Set();
      try {
        const layers = await solveGraph(
          this.#context({ auth, imports, steps, sources, locals }),
          graph,
          options.onEvent,
        );
        const image = imageOf(layers, platform, undefined);
        const made = [...steps.values()].map((record) => ({ record }));
        return {
          layers,
          platform: formatPlatform(image.platform),
          configText: image.text,
          chain: layers.chain,
          cacheable: { steps: made, target: layers, lease },
          provenance: (option) =>
            provenance(
              { sources: [...sources.values()], platform: formatPlatform(image.platform), steps: made },
              { ...NO_DOCKERFILE, host: formatPlatform(hostPlatform()), locals: [...locals] },
              option,
            ),
          root: () => this.#views.of(layers.chain),
        };
      } finally {
        // What operations gave is written down also when a later one failed.
        await cache.flush();
      }
    });
  }

  bring(...[{ digest, read }, platform]: Parameters<GraphBuild['bring']>): Promise<SolvedImage> {
    return this.#run(async () => {
      const { parts, lease, options } = this.#own;
      const { configText, chain } = await parts.layout(digest, read, { lease, platform, signal: options.signal });
      const { os, architecture, variant } = JSON.parse(configText) as ImageConfig;
      const own = formatPlatform({ os, architecture, ...(variant !== undefined && { variant }) });
      return { platform: own, configText, chain, root: () => this.#views.of(chain) };
    });
  }

  run<T>({ layers }: SolvedGraph, program: GraphProgram, use: (spoken: SpokenCommand) => Promise<T>): Promise<T> {
    const context = this.#context({ auth: {}, imports: [], steps: new Map(), sources: new Map(), locals: new Set() });
    return this.#run(() => runProgram(context, layers, program, use));
  }

  deliver(
    ...[results, outputs, { auth, cacheTo, attestations }]: Parameters<GraphBuild['deliver']>
  ): Promise<BuildResult> {
    return this.#run(async () => {
      const { parts, lease, directory, options } = this.#own;
      const caches = cacheTo.map(readCacheTarget);
      const inline = caches.some(({ kind }) => kind === 'inline');
      const built = results.map(({ solved, platform, config }) => {
        const { rootfs, history = [], created } = JSON.parse(solved.configText) as ImageConfig;
        const layers = { chain: solved.chain, diffIds: rootfs.diff_ids, history, createdAt: created! };
        if (solved.chain) lease.add('snapshot', solved.chain);
        const { cacheable } = solved;
        return imageOf(layers, platform ?? solved.platform, config, {
          ...(inline && cacheable && { [INLINE_FIELD]: parts.transfer.inline(cacheable) }),
        });
      });
      const said = readAttestations(attestations);
      const name = outputs.map(({ attributes }) => attributes['name']?.split(',')[0]).find((one) => one !== undefined);
      const images = await Promise.all(
        built.map((image, index) => {
          const { solved, attestations: given } = results[index]!;
          const own = given && given.length > 0 ? { ...image, attestations: given } : image;
          const about = { image: own, provenance: solved.provenance };
          return parts.outputs.attest(about, said, { name, signal: options.signal });
        }),
      );
      const wanted = outputs.map(readOutput);
      checkOutputs(wanted, { tags: [], platforms: images.length, hasClient: true });
      const delivered = await parts.outputs.deliver(images, {
        outputs: wanted,
        tags: [],
        annotations: [],
        lease,
        auth,
        directory,
        toClient: options.onOutput,
        signal: options.signal,
      });
      const { id, stored, descriptor, names } = delivered;
      const steps = results.flatMap(({ solved: { cacheable } }) => (cacheable ? [cacheable] : []));
      const { signal, onOutput: toClient } = options;
      await parts.transfer.send(steps, caches, { auth, signal, announce: () => {}, toClient });
      if (stored) parts.onBuilt(id, names);
      return { id, descriptor, names };
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#running);
    await this.#views[Symbol.asyncDispose]();
    await this.#held.disposeAsync();
    await this.#contexts[Symbol.asyncDispose]();
  }

  async #imports({
    cacheFrom = [],
    auth,
    readCache,
    onWarning = () => {},
  }: SolveGraphOptions): Promise<readonly CacheImport[]> {
    const { parts, options } = this.#own;
    const how = { auth, signal: options.signal, warn: onWarning, readFile: readCache };
    return parts.transfer.open(cacheFrom.map(readCacheSource), how);
  }

  #context(of: Pick<GraphContext, 'auth' | 'imports' | 'steps' | 'sources' | 'locals'>): GraphContext {
    const { parts, cache, lease, directory, options } = this.#own;
    return {
      parts,
      cache,
      turn: this.#turn,
      lease,
      views: this.#views,
      session: options.session,
      secrets: this.#contexts.secrets,
      ...of,
      signal: options.signal,
      clientFiles: this.#clientFiles,
      commands: this.#commands,
      held: this.#held,
      temporary: () => directory.place(`step-${++this.#names}`),
      letIn: (ids) => directory.letIn(ids),
    };
  }

  /** Nothing that it works with goes away meanwhile. */
  async #run<T>(work: () => Promise<T>): Promise<T> {
    this.#own.options.signal.throwIfAborted();
    const running = work();
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }
}

/** An image of these layers, with the configuration that somebody made for it: what is known of its layers counts more. */
function imageOf(
  { chain, diffIds, history, createdAt }: Pick<LayerStack, 'chain' | 'diffIds' | 'history' | 'createdAt'>,
  platform: string | undefined,
  given: string | undefined,
  /** Of the document, besides the configuration. */
  more: Readonly<Record<string, string>> = {},
): BuiltImage {
  const own = platform === undefined ? hostPlatform() : parsePlatform(platform);
  const base = given === undefined ? emptyConfig(own) : readConfig(given);
  const config: ImageConfig = {
    created: createdAt,
    ...base,
    rootfs: { type: 'layers', diff_ids: diffIds },
    history: historyOf(base.history ?? [], history, diffIds.length),
  };
  const text = canonicalJson({ ...config, ...more });
  return { platform: own, id: sha256(text), text, config: JSON.parse(text) as ImageConfig, chain };
}

function emptyConfig({ os, architecture, variant }: ReturnType<typeof hostPlatform>): Omit<ImageConfig, 'rootfs'> {
  return {
    architecture,
    os,
    ...(variant !== undefined && { variant }),
    config: { Env: [`PATH=${DEFAULT_PATH}`], WorkingDir: '/' },
  };
}

function readConfig(text: string): Omit<ImageConfig, 'rootfs'> {
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch (error) {
    throw new EngineError('invalid-argument', 'failed to parse image config: it is no JSON', { cause: error });
  }
  if (typeof config !== 'object' || config === null || Array.isArray(config))
    throw new EngineError('invalid-argument', 'failed to parse image config: it is no object');
  // The cache of the layers of another image, where it was made from that one's.
  const { [INLINE_FIELD]: _other, ...own } = config as Record<string, unknown>;
  return own as unknown as ImageConfig;
}

/** A frontend's own history where it tells of each layer; otherwise what is known of the layers. */
function historyOf(
  given: readonly HistoryEntry[],
  known: readonly HistoryEntry[],
  layers: number,
): readonly HistoryEntry[] {
  const told = (entries: readonly HistoryEntry[]): number =>
    entries.filter((entry) => entry.empty_layer !== true).length;
  if (told(given) === layers) return given;
  if (told(known) === layers) return known;
  return Array.from({ length: layers }, (): HistoryEntry => ({ created_by: '' }));
}
