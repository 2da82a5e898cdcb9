import { EngineError } from '../../base/errors.ts';
import type { Dockerfile } from '../../build/dockerfile/instructions.ts';
import { assembleDockerfile } from '../../build/dockerfile/include.ts';
import { readStages } from '../../build/dockerfile/instructions.ts';
import { parseDockerfile } from '../../build/dockerfile/parse.ts';
import { DockerfileSource } from '../../build/dockerfile/source.ts';
import { otherFrontend } from '../../build/dockerfile/syntax.ts';
import { namedContext, planBuild } from '../../build/plan.ts';
import type { Bytes } from '../../content/content-store.ts';
import { formatPlatform, hostPlatform } from '../../oci/platform.ts';
import type { Lease } from '../../state/leases.ts';
import type { BuildOptions, BuildRequest, BuildResult } from '../engine.ts';
import { type ProvenanceOption, readAttestations } from './attest/option.ts';
import { type BuildParameters, provenance } from './attest/provenance.ts';
import type { BuildDirectory } from './build-directory.ts';
import type { BuilderParts } from './builder-parts.ts';
import { readCacheSource, readCacheTarget } from './cache-transfer/option.ts';
import { dockerfileName, readContextFile, readIgnore, readIncludedFile, withExcerpt } from './context-dockerfile.ts';
import { BuildContexts } from './contexts.ts';
import type { FilesPlace } from './copy-step.ts';
import type { BuiltImage } from './outputs/built-image.ts';
import { DockerfileInspection } from './dockerfile-inspection.ts';
import { checkOutputs, type Delivered } from './outputs/deliver.ts';
import { OrderedOutput } from './ordered-output.ts';
import { type BuildOutputRequest, readAnnotations, readOutput } from './outputs/output.ts';
import { platformArguments, platformsOf, targetPlatform } from './platforms.ts';
import { BuildReport } from './report.ts';
import type { ResolvedSource, SolvedBuild } from './solved-build.ts';
import { StageBuilder } from './stages/stage-builder.ts';
import type { StepCache } from './step-cache.ts';
import { firstDifference } from './verify.ts';
import { Views } from './views.ts';

/** One build, its request checked. */
export interface ImageBuildOrder {
  readonly request: BuildRequest;
  /** Removed after it. */
  readonly directory: BuildDirectory;
  readonly lease: Lease;
  readonly tags: readonly string[];
  readonly options: BuildOptions;
}

/** What a build takes from outside, found before its steps run. */
interface BuildMaterial {
  readonly contexts: BuildContexts;
  readonly sources: readonly ResolvedSource[];
  readonly main: FilesPlace;
  readonly dockerfile: Dockerfile;
  readonly dockerfileName: string;
  readonly source: DockerfileSource;
  readonly buildArgs: ReadonlyMap<string, string>;
  /** SOURCE_DATE_EPOCH */
  readonly epoch: number | undefined;
}

/** A build from its context to the images that were asked for: files, steps, images, outputs. */
export class ImageBuild {
  readonly #parts: BuilderParts;
  readonly #cache: StepCache;
  readonly #order: ImageBuildOrder;
  readonly #report = new BuildReport();
  #solves = 0;

  constructor(parts: BuilderParts, cache: StepCache, order: ImageBuildOrder) {
    this.#parts = parts;
    this.#cache = cache;
    this.#order = order;
  }

  /** `context` is a tar; without one it is the session's directory. */
  async run(context: Bytes | undefined): Promise<BuildResult> {
    const { request, directory, lease, options } = this.#order;
    const { session, signal } = options;
    const parts = this.#parts;
    const sources: ResolvedSource[] = [];
    await using contexts = new BuildContexts({
      directory,
      files: parts.files,
      remote: parts.remote,
      session,
      signal,
      uploads: parts.uploads,
      beginSync: () => parts.snapshotter.beginSync(),
      inputOf: options.inputOf,
      rules: options.sourceRules,
      onSource: (source) => sources.push(source),
      layout: (target, read, platform) =>
        parts.layout(target, read, { lease, platform, signal: signal ?? new AbortController().signal }),
      named: request.contexts ?? {},
    });
    const { remote } = request;
    const sent = await contexts.main({ archive: context, remote, textOnly: request.dockerfileText !== undefined });
    const asked = (sent.isDockerfile !== true && request.dockerfile) || 'Dockerfile';
    const name = request.dockerfileText === undefined ? await dockerfileName(sent.root, asked) : asked;
    const text = request.dockerfileText ?? (await readContextFile(sent.root, name));
    const ignore = request.ignore ?? (await readIgnore(sent.root, name));
    let source = request.dockerfileSource ?? DockerfileSource.of({ name, text });
    return await withExcerpt(
      () => source,
      async () => {
        const chosen = request.buildArgs?.['BUILDKIT_SYNTAX'] ?? undefined;
        if (request.refuseOtherFrontends === true) refuseOtherFrontend(text, chosen);
        if (!request.dockerfileSource) {
          source = await assembleDockerfile(
            { name, text },
            {
              chosen,
              inContext: request.dockerfileText === undefined,
              read: async (path, from) =>
                readIncludedFile(from === undefined ? sent.root : await this.#namedRoot(contexts, from), path),
            },
          );
        }
        const parsed = parseDockerfile(source.text);
        for (const { rule, message, range } of parsed.warnings)
          this.#announce(`[Warning] ${rule}: ${message} (line ${source.lineName(range.start)})\n`);
        const buildArgs = new Map(
          Object.entries(request.buildArgs ?? {}).filter((entry): entry is [string, string] => entry[1] !== null),
        );
        const dockerfile = readStages(parsed);
        const check = buildArgs.get('BUILDKIT_DOCKERFILE_CHECK');
        const judged = check === undefined ? parsed : { ...parsed, directives: { ...parsed.directives, check } };
        const { platform } = request;
        const violations = await new DockerfileInspection(parts).violations(judged, { ignore, platform });
        if (violations.length > 0)
          throw new EngineError(
            'invalid-argument',
            `lint violation found for rules: ${violations.join(', ')} (see build --check; the file says check=error=true)`,
          );
        const epoch = sourceDateEpoch(buildArgs);
        // With a time of its own the build cannot have files that others share, and of two builds neither can.
        const alone = platformsOf(request.platform).length === 1 && request.verify !== true;
        const steady = alone && (epoch === undefined || sent.steady === 'own') ? sent.steady : undefined;
        const main = { ...sent, ignore, steady };
        const file = { dockerfile, dockerfileName: name, source };
        const solved = await this.#solveAll({ contexts, sources, main, ...file, buildArgs, epoch });
        return await this.#deliver(solved, name);
      },
    );
  }

  /** The directory of a context with a name. Throws `invalid-argument` for one that has none. */
  async #namedRoot(contexts: BuildContexts, from: string): Promise<string> {
    const { contexts: named = {}, platform } = this.#order.request;
    const name = namedContext(new Set(Object.keys(named)), from);
    if (name === undefined)
      throw new EngineError(
        'invalid-argument',
        `there is no context of the name ${from}: name a directory by --build-context ${from}=DIRECTORY`,
      );
    const found = await contexts.named(name, platformsOf(platform)[0]);
    if (found.kind === 'files') return found.place.root;
    throw new EngineError('invalid-argument', `the context ${from} is an image: files are included from directories`);
  }

  /** The steps of each platform, twice where the build is to be verified. */
  async #solveAll(material: BuildMaterial): Promise<readonly SolvedBuild[]> {
    const { request, options } = this.#order;
    const platforms = platformsOf(request.platform);
    const output = new OrderedOutput(platforms.length, (text) => this.#announce(text));
    const stop = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
    const several = platforms.length > 1;
    let first: { readonly error: unknown } | undefined;
    const solved = await Promise.allSettled(
      platforms.map(async (platform, slot) => {
        if (several) output.write(slot, `Platform ${platform}\n`);
        const announce = (text: string): void => output.write(slot, text);
        // The others end with it; what is told is what went wrong, not that they were stopped.
        const onFailure = (error: unknown): void => {
          first ??= { error };
          if (first.error === error) output.flush(slot);
          stop.abort();
        };
        try {
          const name = several ? platform : undefined;
          const build = await this.#solve(material, platform, { fresh: false, announce, signal, name, onFailure });
          output.done(slot);
          return build;
        } catch (error) {
          onFailure(error);
          throw error;
        }
      }),
    );
    if (first) throw first.error;
    const builds = solved.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    if (request.verify === true) {
      const announce = (text: string): void => this.#announce(text);
      for (const [index, platform] of platforms.entries()) {
        this.#announce('Verifying: the same again, without the cache\n');
        const again = { fresh: true, announce, signal, name: undefined, onFailure: () => {} };
        await this.#verify(builds[index]!, await this.#solve(material, platform, again));
      }
    }
    return builds;
  }

  async #solve(
    { contexts, sources, main, dockerfile, source, buildArgs, epoch }: BuildMaterial,
    asked: string | undefined,
    {
      announce,
      signal,
      name,
      onFailure,
      ...how
    }: {
      readonly fresh: boolean;
      readonly announce: (text: string) => void;
      readonly signal: AbortSignal;
      readonly name: string | undefined;
      readonly onFailure: (error: unknown) => void;
    },
  ): Promise<SolvedBuild> {
    const { request, directory, lease, options } = this.#order;
    const named = new Set(Object.keys(request.contexts ?? {}));
    const platformArgs = platformArguments(asked);
    const plan = planBuild(dockerfile, { target: request.target, buildArgs, platformArgs, contexts: named });
    if (
      plan.stages.some(({ stage }) => stage.instructions.some(({ kind }) => kind === 'RUN' || kind === 'ENV-COMMAND'))
    )
      told(() => this.#parts.executor.check(request));
    const own = directory.below(`solve-${++this.#solves}`);
    const fresh = how.fresh || request.noCache === true;
    const imports = await this.#parts.transfer.open(fresh ? [] : (request.cacheFrom ?? []).map(readCacheSource), {
      auth: request.auth,
      signal,
      warn: (message) => announce(`[Warning] ${message}\n`),
      readFile: options.onInput,
    });
    using turn = this.#cache.begin();
    const builder = new StageBuilder({
      parts: this.#parts,
      request: { ...request, noCache: fresh, ...(asked !== undefined && { platform: asked }) },
      plan,
      directory: own,
      cache: this.#cache,
      turn,
      imports,
      platformName: name,
      onEvent: (event) => {
        this.#report.add(event);
        options.onEvent?.(event);
      },
      secrets: contexts.secrets,
      main,
      named,
      source,
      context: async (context) => {
        const found = await contexts.named(context, asked);
        return found.kind !== 'files' ? found : { ...found, place: { ...found.place, steady: undefined } };
      },
      escape: dockerfile.escape,
      epoch,
      buildArgs,
      platformArgs,
      lease,
      announce: options.eventsOnly === true ? () => {} : announce,
      options: { ...options, signal },
      clientSignal: options.signal,
      onFailure,
    });
    const platform = targetPlatform(plan, platformArgs.get('TARGETPLATFORM')!);
    return await this.#recorded(async () => {
      const built = await builder.build();
      return {
        ...built,
        sources: [...sources, ...built.sources],
        plan,
        platform,
        platformName: name,
        lease,
        dockerfile: source.text,
      };
    });
  }

  /** What steps gave is written down also when a later one failed. */
  async #recorded(build: () => Promise<SolvedBuild>): Promise<SolvedBuild> {
    let document: Promise<void> | undefined;
    try {
      const solved = await build();
      document = this.#writeAhead(solved).catch(() => undefined); // what is wrong with it is told when it is delivered
      return solved;
    } finally {
      await Promise.all([this.#cache.flush(), document]);
    }
  }

  /** The document of the image, while the disk is waited for anyway; only where it is sure to be as it is and to be kept. */
  async #writeAhead(solved: SolvedBuild): Promise<void> {
    const { request, lease, options } = this.#order;
    const { outputs = [], cacheTo = [], buildArgs, labels = {} } = request;
    if (outputs.length > 0 || options.outputsOf || cacheTo.length > 0 || buildArgs?.['BUILDKIT_INLINE_CACHE']) return;
    await this.#parts.outputs.writeAhead(this.#parts.outputs.finish(solved, labels, false), lease);
  }

  /** From steps to images, and to where they were asked for. */
  async #deliver(solved: readonly SolvedBuild[], dockerfileName: string): Promise<BuildResult> {
    const { request, directory, lease, tags, options } = this.#order;
    const { signal, onProgress, onOutput } = options;
    const caches = (request.cacheTo ?? []).map(readCacheTarget);
    const inline = caches.some(({ kind }) => kind === 'inline') || request.buildArgs?.['BUILDKIT_INLINE_CACHE'] === '1';
    const wanted = readAttestations(request.attestations ?? []);
    const parameters: BuildParameters = {
      dockerfile: dockerfileName,
      target: request.target,
      buildArgs: request.buildArgs ?? {},
      labels: request.labels ?? {},
      remote: request.remote,
      host: formatPlatform(hostPlatform()),
      locals: ['context', 'dockerfile'],
    };
    const images = await Promise.all(
      solved.map((build) => {
        const image = this.#parts.outputs.finish(build, request.labels ?? {}, inline);
        const made = { image, provenance: (option: ProvenanceOption) => provenance(build, parameters, option) };
        return this.#parts.outputs.attest(made, wanted, { name: tags[0], signal });
      }),
    );
    const outputs = (await this.#outputs(images, solved, parameters)).map(readOutput);
    if (options.outputsOf) checkOutputs(outputs, { tags, platforms: images.length, hasClient: !!onOutput });
    const delivered = await this.#parts.outputs.deliver(images, {
      outputs,
      tags,
      annotations: (request.annotations ?? []).flatMap(readAnnotations),
      lease,
      auth: request.auth,
      directory,
      toClient: onOutput,
      signal,
      onProgress,
    });
    const announce = (text: string): void => this.#announce(text);
    await this.#parts.transfer.send(solved, caches, { auth: request.auth, signal, announce, toClient: onOutput });
    if (request.report === true)
      for (const build of solved)
        onProgress?.({ id: '', status: '', aux: { Report: this.#report.document(build, this.#parts.snapshotter) } });
    this.#tell(delivered);
    const { id, descriptor, names } = delivered;
    return { id, descriptor, names };
  }

  /** What becomes of the images: as the request says, or as the door says once they are there. */
  async #outputs(
    images: readonly BuiltImage[],
    solved: readonly SolvedBuild[],
    parameters: BuildParameters,
  ): Promise<readonly BuildOutputRequest[]> {
    const { request, directory, options } = this.#order;
    if (!options.outputsOf) return request.outputs ?? [];
    await using views = new Views({
      directory: directory.below('results'),
      mount: (chain, target) => this.#parts.mountView(chain, target),
      unmount: (target) => this.#parts.unmount(target),
    });
    return options.outputsOf(
      images.map(({ platform, text, chain }, index) => ({
        platform: formatPlatform(platform),
        configText: text,
        chain,
        cacheable: solved[index]!,
        provenance: (option) => provenance(solved[index]!, parameters, option),
        root: () => views.of(chain),
      })),
    );
  }

  /** Throws `conflict` when the second build did not give what the first one gave. */
  async #verify(first: SolvedBuild, second: SolvedBuild): Promise<void> {
    const found = await firstDifference(this.#parts.snapshotter, first, second, this.#order.options.signal);
    if (!found) {
      this.#announce(`Verified: ${second.steps.length} steps gave the same again\n`);
      return;
    }
    throw new EngineError(
      'conflict',
      [`dockerfile line ${found.line}: not reproducible: ${found.text}`, ...found.differences].join('\n  '),
    );
  }

  #tell({ id, stored, descriptor, names }: Delivered): void {
    if (stored) this.#parts.onBuilt(id, names);
    const aux = { ID: id, ...(descriptor && { Descriptor: descriptor, Names: names }) };
    this.#order.options.onProgress?.({ id: '', status: '', aux });
    if (!stored) return;
    this.#announce(`Successfully built ${id.slice(7, 19)}\n`);
    for (const name of names) this.#announce(`Successfully tagged ${name}\n`);
  }

  /** A line of the classic stream. */
  #announce(text: string): void {
    this.#order.options.onProgress?.({ id: '', status: '', stream: text });
  }
}

function sourceDateEpoch(buildArgs: ReadonlyMap<string, string>): number | undefined {
  const text = buildArgs.get('SOURCE_DATE_EPOCH');
  if (text === undefined || text === '') return undefined;
  if (!/^\d{1,11}$/.test(text))
    throw new EngineError('invalid-argument', `invalid SOURCE_DATE_EPOCH: ${text}: it is seconds since 1970`);
  return Number(text);
}

/** What is wrong with how steps are to run is told in the answer, as a failure of the first of them is. */
function told(work: () => void): void {
  try {
    work();
  } catch (error) {
    throw Object.assign(error as Error, { inAnswer: true });
  }
}

function refuseOtherFrontend(text: string, chosen: string | null | undefined): void {
  const image = otherFrontend(text, chosen ?? undefined);
  if (image === undefined) return;
  throw new EngineError(
    'unimplemented',
    `the Dockerfile is for the frontend ${image} (# syntax=), which only BuildKit's protocol can run: build it with docker buildx build --build-arg BUILDKIT_SYNTAX=${image}`,
  );
}
