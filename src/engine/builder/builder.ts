import { withEngineSecrets } from './engine-secrets.ts';
import { lstat, mkdir, open, readdir, rm } from 'node:fs/promises';
import { constants } from 'node:fs';
import { join } from 'node:path';
import { EngineError, errorCode, errorMessage, notFound } from '../../base/errors.ts';
import { newId } from '../../base/ids.ts';
import type { AuthConfig } from '../../api/auth.ts';
import type { OperationOptions } from '../../base/operation.ts';
import type {
  BuildCheckDocument,
  BuildDescriptionDocument,
  CacheMountDocument,
  RecentBuildDocument,
} from '../../api/gantry.ts';
import type { BuildEvent } from './build-event.ts';
import { RecentBuilds } from './recent-builds.ts';
import type { BuildCacheRecord } from '../../api/system.ts';
import { sourceExcerpt } from '../../build/excerpt.ts';
import {
  describeOutline,
  describeTargets,
  type OutlineDescription,
  type TargetDescription,
} from '../../build/describe.ts';
import { lintDockerfile } from '../../build/lint/lint.ts';
import { type Dockerfile, readStages } from '../../build/dockerfile/instructions.ts';
import { parseDockerfile } from '../../build/dockerfile/parse.ts';
import { type BuildPlan, namedImages, planBuild } from '../../build/plan.ts';
import type { Bytes } from '../../content/content-store.ts';
import type { ChainId, Digest, DiffId } from '../../oci/digest.ts';
import { canonicalJson } from '../../oci/canonical-json.ts';
import type { ImageRunConfig } from '../../oci/image.ts';
import { formatPlatform, hostPlatform, parsePlatform } from '../../oci/platform.ts';
import type { Snapshotter } from '../../snapshot/snapshotter.ts';
import type { BuildRecords } from '../../state/build-records.ts';
import type { Lease } from '../../state/leases.ts';
import type { ResolvedImage } from '../containers/parts.ts';
import type { BuildOptions, BuildRequest, BuildResult, BuildService, CacheMountService } from '../engine.ts';
import type { attest } from './attest/attest.ts';
import { readAttestations, type WantedAttestations } from './attest/option.ts';
import type { BuildParameters } from './attest/provenance.ts';
import type { ExportCachesOptions } from './cache-transfer/export-caches.ts';
import type { OpenImportsOptions } from './cache-transfer/open-imports.ts';
import { type CacheSource, type CacheTarget, readCacheSource, readCacheTarget } from './cache-transfer/option.ts';
import type { BuildCache, PruneOptions } from './build-cache.ts';
import type { CacheMountInfo, CacheMounts } from './cache-mounts.ts';
import type { ClientFiles } from './client-files/client-files.ts';
import { BuildContexts } from './contexts.ts';
import type { RemoteSources } from './sources/remote-sources.ts';
import type { BuiltImage } from './outputs/built-image.ts';
import { checkOutputs, type Delivered, type DeliverOptions } from './outputs/deliver.ts';
import { type BuildOutputRequest, readAnnotations, readOutput } from './outputs/output.ts';
import { BuildReport } from './report.ts';
import type { ResolvedSource, SolvedBuild } from './solved-build.ts';
import { firstDifference } from './verify.ts';
import { BuildStepFailed, StageBuilder } from './stage-builder.ts';
import { type CacheImport, StepCache } from './step-cache.ts';
import type { StepExecutor } from './step-executor.ts';
import { Views } from './views.ts';

/** What the builder needs of the other parts of the engine. */
export interface BuilderParts {
  readonly images: {
    /** Throws `not-found`. */
    resolve(reference: string, platform?: string): Promise<ResolvedImage>;
    pull(
      reference: string,
      options: OperationOptions & { readonly platform?: string; readonly auth?: AuthConfig },
    ): Promise<void>;
    /** Throws `invalid-argument`: `invalid reference format`. */
    checkReference(reference: string): string;
  };
  /** From what was solved to images, and to where they were asked for. */
  readonly outputs: {
    finish(solved: SolvedBuild, labels: Readonly<Record<string, string>>, inline: boolean): BuiltImage;
    /** Records an image without a name of layers that are there. */
    keep(image: FailedImage): Promise<{ readonly id: Digest }>;
    attest(
      built: { readonly image: BuiltImage; readonly solved: SolvedBuild },
      wanted: WantedAttestations,
      options: Parameters<typeof attest>[3],
    ): Promise<BuiltImage>;
    deliver(images: readonly BuiltImage[], options: Omit<DeliverOptions, 'mountView' | 'unmount'>): Promise<Delivered>;
  };
  /** Caches that come from elsewhere, and go there. */
  readonly transfer: {
    open(sources: readonly CacheSource[], options: OpenImportsOptions): Promise<readonly CacheImport[]>;
    send(solved: readonly SolvedBuild[], targets: readonly CacheTarget[], options: ExportCachesOptions): Promise<void>;
  };
  readonly snapshotter: Snapshotter;
  readonly records: BuildRecords;
  readonly executor: Pick<StepExecutor, 'run'>;
  /** Directory that is emptied at the engine's start. */
  readonly temporary: string;
  readonly caches: CacheMounts;
  readonly buildCache: BuildCache;
  /** Called when a build is over: what is old or too much in the cache may go. */
  readonly collectLater: () => void;
  /** Repositories and files of the web, kept from build to build. */
  readonly remote: RemoteSources;
  /** Directories of clients, kept from build to build. */
  readonly files: ClientFiles;
  /** Unpacks an archive of the context or of the web into a directory of a root filesystem, never out of it. */
  unpack(
    archive: string,
    rootfs: string,
    options: {
      readonly destination: string;
      readonly owner: { readonly uid: number; readonly gid: number } | undefined;
      readonly signal: AbortSignal | undefined;
    },
  ): Promise<void>;
  /** Unpacks a context: a tar, compressed or not, from a client that is not trusted. */
  extract(archive: Bytes, directory: string, signal: AbortSignal | undefined): Promise<void>;
  /** The active snapshot becomes a layer and is gone; on failure it is the caller's still. */
  commitLayer(
    key: string,
    options: {
      readonly parent: ChainId | undefined;
      readonly lease: Lease;
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<{ readonly chain: ChainId; readonly diffId: DiffId; readonly size: number }>;
  /** The same layer upon others; made of the one that is there unless it is there already. */
  placeLayer(
    layer: { readonly chain: ChainId; readonly diffId: DiffId; readonly size: number },
    options: {
      readonly parent: ChainId | undefined;
      readonly lease: Lease;
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<{ readonly chain: ChainId; readonly diffId: DiffId; readonly size: number }>;
  mountActive(name: string, target: string): Promise<void>;
  mountView(chain: ChainId, target: string): Promise<void>;
  unmount(target: string): Promise<void>;
  /** Inside the root, never out of it. */
  makeDirectory(rootfs: string, path: string, owner: { readonly uid: number; readonly gid: number }): Promise<void>;
  /** `user[:group]`, by name or number, from the root's own files. */
  lookUpOwner(rootfs: () => Promise<string>, text: string): Promise<{ readonly uid: number; readonly gid: number }>;
  /** Runs `work` with a lease; afterwards what it kept and nothing refers to is collected. */
  underLease<T>(purpose: string, work: (lease: Lease) => Promise<T>): Promise<T>;
  onBuilt(id: Digest, tags: readonly string[]): void;
  /** The value of a secret of the engine. Throws `invalid-argument`. */
  engineSecret(name: string): Uint8Array;
  /** An image was made with these at hand: they are looked for in it. */
  searchSecrets(image: string, names: readonly string[]): void;
}

/** What a failed command left. */
export interface FailedImage {
  readonly diffIds: readonly DiffId[];
  readonly chain: ChainId;
  readonly config: ImageRunConfig;
}

const MAX_DOCKERFILE = 16 * 1024 * 1024;

/** BuildService: the engine's builds, their cache and its records. */
export class Builder implements BuildService {
  readonly #parts: BuilderParts;
  readonly #running = new Map<string, AbortController>();
  readonly #cache: StepCache;
  readonly #recent = new RecentBuilds();

  constructor(parts: BuilderParts) {
    this.#parts = parts;
    this.#cache = new StepCache(parts.records, parts.snapshotter);
  }

  async build(
    context: Bytes | undefined,
    request: BuildRequest & { readonly buildId?: string },
    options: BuildOptions = {},
  ): Promise<BuildResult> {
    for (const one of request.allow ?? []) {
      if (!['network.host', 'security.insecure'].includes(one))
        throw new EngineError('invalid-argument', `invalid entitlement: ${one}`);
    }
    if (request.squash === true) throw new EngineError('unimplemented', 'squash is not supported');
    const tags = (request.tags ?? []).map((tag) => this.#parts.images.checkReference(tag));
    (request.cacheFrom ?? []).forEach(readCacheSource);
    (request.cacheTo ?? []).forEach(readCacheTarget);
    readAttestations(request.attestations ?? []);
    checkOutputs((request.outputs ?? []).map(readOutput), {
      tags,
      platforms: platformsOf(request.platform).length,
      hasClient: !!options.onOutput,
    });
    const names = Object.values(request.engineSecrets ?? {});
    const session =
      names.length === 0
        ? options.session
        : withEngineSecrets(options.session, request.engineSecrets!, (name) => this.#parts.engineSecret(name));
    const stop = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
    if (request.buildId) this.#running.set(request.buildId, stop);
    const directory = join(this.#parts.temporary, `build-${newId().slice(0, 16)}`);
    const announce = (text: string): void => options.onProgress?.({ id: '', status: '', stream: text });
    try {
      const about = { Tags: tags, Target: request.target ?? '', Dockerfile: request.dockerfile ?? 'Dockerfile' };
      const result = await this.#recent.watch(about, (note) => {
        const onEvent = (event: BuildEvent): void => {
          note(event);
          options.onEvent?.(event);
        };
        return this.#parts.underLease('build', (lease) =>
          this.#build(context, request, {
            directory,
            lease,
            tags,
            announce,
            options: { ...options, session, signal, onEvent },
          }),
        );
      });
      if (names.length > 0) this.#parts.searchSecrets(result.id, names);
      return result;
    } finally {
      if (request.buildId) this.#running.delete(request.buildId);
      await rm(directory, { recursive: true, force: true });
      this.#parts.collectLater();
    }
  }

  recent(): RecentBuildDocument[] {
    return this.#recent.list();
  }

  recentBuild(id: string): RecentBuildDocument {
    return this.#recent.get(id);
  }

  async #build(
    context: Bytes | undefined,
    request: BuildRequest,
    {
      directory,
      lease,
      tags,
      announce,
      options,
    }: {
      directory: string;
      lease: Lease;
      tags: readonly string[];
      announce: (text: string) => void;
      options: BuildOptions;
    },
  ): Promise<BuildResult> {
    await mkdir(directory, { recursive: true });
    const { session, signal } = options;
    const parts = this.#parts;
    const sources: ResolvedSource[] = [];
    await using contexts = new BuildContexts({
      directory,
      files: parts.files,
      remote: parts.remote,
      session,
      signal,
      extract: (archive, to, stop) => parts.extract(archive, to, stop),
      inputOf: options.inputOf,
      onSource: (source) => sources.push(source),
      named: request.contexts ?? {},
    });
    const named = new Set(Object.keys(request.contexts ?? {}));
    const { remote } = request;
    const sent = await contexts.main({ archive: context, remote, textOnly: request.dockerfileText !== undefined });
    const name = (sent.isDockerfile !== true && request.dockerfile) || 'Dockerfile';
    const text = request.dockerfileText ?? (await readContextFile(sent.root, name));
    const ignore = request.ignore ?? (await readIgnore(sent.root, name));
    return await withExcerpt({ name, text }, async () => {
      const parsed = parseDockerfile(text);
      for (const warning of parsed.warnings)
        announce(`[Warning] ${warning.rule}: ${warning.message} (line ${warning.range.start})\n`);
      const buildArgs = new Map(
        Object.entries(request.buildArgs ?? {}).filter((entry): entry is [string, string] => entry[1] !== null),
      );
      const dockerfile = readStages(parsed);
      const epoch = sourceDateEpoch(buildArgs);
      const warn = (message: string): void => announce(`[Warning] ${message}\n`);
      const { auth } = request;
      const platforms = platformsOf(request.platform);
      const report = new BuildReport();
      // With a time of its own the build cannot have files that others share, and of two builds neither can.
      const alone = platforms.length === 1 && request.verify !== true;
      const steady = alone && (epoch === undefined || sent.steady === 'own') ? sent.steady : undefined;
      let count = 0;
      const solve = async (asked: string | undefined, how: { readonly fresh: boolean }): Promise<SolvedBuild> => {
        const platformArgs = platformArguments(asked);
        const plan = planBuild(dockerfile, { target: request.target, buildArgs, platformArgs, contexts: named });
        const own = join(directory, `solve-${++count}`);
        await mkdir(own);
        const fresh = how.fresh || request.noCache === true;
        const imports = await this.#parts.transfer.open(fresh ? [] : (request.cacheFrom ?? []).map(readCacheSource), {
          auth,
          signal,
          warn,
          readFile: options.onInput,
        });
        const builder = new StageBuilder({
          parts: this.#parts,
          request: { ...request, noCache: fresh, ...(asked !== undefined && { platform: asked }) },
          plan,
          directory: own,
          cache: this.#cache,
          imports,
          onEvent: (event) => {
            report.add(event);
            options.onEvent?.(event);
          },
          secrets: contexts.secrets,
          main: { ...sent, ignore, steady },
          named,
          context: async (context) => {
            const found = await contexts.named(context);
            return found.kind !== 'files' ? found : { ...found, place: { ...found.place, steady: undefined } };
          },
          escape: dockerfile.escape,
          epoch,
          buildArgs,
          platformArgs,
          lease,
          announce,
          options,
        });
        const platform = targetPlatform(plan, platformArgs.get('TARGETPLATFORM')!);
        const built = await this.#recorded(async () => builder.build());
        return { ...built, sources: [...sources, ...built.sources], plan, platform, lease, dockerfile: text };
      };
      const solved: SolvedBuild[] = [];
      for (const platform of platforms) {
        if (platforms.length > 1) announce(`Platform ${platform}\n`);
        solved.push(
          await solve(platform, { fresh: false }).catch((error: unknown) => this.#keepFailed(error, options)),
        );
      }
      if (request.verify === true) {
        for (const [index, platform] of platforms.entries()) {
          announce('Verifying: the same again, without the cache\n');
          await this.#verify(solved[index]!, await solve(platform, { fresh: true }), { announce, signal });
        }
      }
      const caches = (request.cacheTo ?? []).map(readCacheTarget);
      const inline = caches.some(({ kind }) => kind === 'inline') || buildArgs.get('BUILDKIT_INLINE_CACHE') === '1';
      const wanted = readAttestations(request.attestations ?? []);
      const parameters: BuildParameters = {
        dockerfile: name,
        target: request.target,
        buildArgs: request.buildArgs ?? {},
        labels: request.labels ?? {},
        remote: request.remote,
        host: formatPlatform(hostPlatform()),
      };
      const images = await Promise.all(
        solved.map((build) => {
          const image = this.#parts.outputs.finish(build, request.labels ?? {}, inline);
          return this.#parts.outputs.attest({ image, solved: build }, wanted, { parameters, name: tags[0], signal });
        }),
      );
      const outputs = (await this.#outputs(images, request, { directory, options })).map(readOutput);
      if (options.outputsOf) checkOutputs(outputs, { tags, platforms: images.length, hasClient: !!options.onOutput });
      const delivered = await this.#parts.outputs.deliver(images, {
        outputs,
        tags,
        annotations: (request.annotations ?? []).flatMap(readAnnotations),
        lease,
        auth: request.auth,
        directory,
        toClient: options.onOutput,
        signal: options.signal,
        onProgress: options.onProgress,
      });
      await this.#parts.transfer.send(solved, caches, { auth, signal, announce, toClient: options.onOutput });
      if (request.report === true)
        for (const build of solved)
          options.onProgress?.({
            id: '',
            status: '',
            aux: { Report: report.document(build, this.#parts.snapshotter) },
          });
      this.#tell(delivered, { announce, options });
      const { id, descriptor, names } = delivered;
      return { id, descriptor, names };
    });
  }

  /** What becomes of the images: as the request says, or as the door says once they are there. */
  async #outputs(
    images: readonly BuiltImage[],
    request: BuildRequest,
    { directory, options }: { directory: string; options: BuildOptions },
  ): Promise<readonly BuildOutputRequest[]> {
    if (!options.outputsOf) return request.outputs ?? [];
    const place = join(directory, 'results');
    await mkdir(place);
    await using views = new Views({
      directory: place,
      mount: (chain, target) => this.#parts.mountView(chain, target),
      unmount: (target) => this.#parts.unmount(target),
    });
    return options.outputsOf(
      images.map(({ platform, text, chain }) => ({
        platform: formatPlatform(platform),
        configText: text,
        chain,
        root: () => views.of(chain),
      })),
    );
  }

  async imageConfig(
    name: string,
    { platform, pull, ...options }: OperationOptions & { readonly platform?: string; readonly pull?: boolean } = {},
  ): Promise<{ readonly reference: string; readonly digest: Digest; readonly config: string }> {
    const { images } = this.#parts;
    const resolve = (): Promise<ResolvedImage> => images.resolve(name, platform);
    const image = await (pull === true ? Promise.reject(notFound('image', name)) : resolve()).catch(
      async (error: unknown) => {
        if (errorCode(error) !== 'not-found') throw error;
        await images.pull(name, { ...options, ...(platform !== undefined && { platform }) });
        return resolve();
      },
    );
    return { reference: images.checkReference(name), digest: image.id, config: canonicalJson(image.config) };
  }

  /** Makes an image of what a failed command left, tells of it, and throws on. */
  async #keepFailed(error: unknown, options: BuildOptions): Promise<never> {
    if (error instanceof BuildStepFailed && error.left && error.step) {
      const { config, env, argv } = error.step;
      const { id } = await this.#parts.outputs.keep({
        diffIds: error.left.diffIds,
        chain: error.left.chain,
        config: { ...config, Env: [...(config.Env ?? []), ...env], Entrypoint: null, Cmd: ['/bin/sh'] },
      });
      const shell = config.Shell?.[0] ?? '/bin/sh';
      const aux = { Failed: { Image: id, Shell: shell, Command: argv.join(' '), Code: error.exitCode } };
      options.onProgress?.({ id: '', status: '', aux });
    }
    throw error;
  }

  /** Throws `conflict` when the second build did not give what the first one gave. */
  async #verify(
    first: SolvedBuild,
    second: SolvedBuild,
    { announce, signal }: { announce: (text: string) => void; signal: AbortSignal | undefined },
  ): Promise<void> {
    const found = await firstDifference(this.#parts.snapshotter, first, second, signal);
    if (!found) {
      announce(`Verified: ${second.steps.length} steps gave the same again\n`);
      return;
    }
    throw new EngineError(
      'conflict',
      [`dockerfile line ${found.line}: not reproducible: ${found.text}`, ...found.differences].join('\n  '),
    );
  }

  /** What steps gave is written down also when a later one failed. */
  async #recorded<T>(build: () => Promise<T>): Promise<T> {
    try {
      return await build();
    } finally {
      await this.#cache.flush();
    }
  }

  #tell(
    { id, stored, descriptor, names }: Delivered,
    { announce, options }: { announce: (text: string) => void; options: BuildOptions },
  ): void {
    if (stored) this.#parts.onBuilt(id, names);
    const aux = { ID: id, ...(descriptor && { Descriptor: descriptor, Names: names }) };
    options.onProgress?.({ id: '', status: '', aux });
    if (!stored) return;
    announce(`Successfully built ${id.slice(7, 19)}\n`);
    for (const name of names) announce(`Successfully tagged ${name}\n`);
  }

  async check(
    context: Bytes,
    request: Pick<BuildRequest, 'dockerfile' | 'platform' | 'buildArgs'> & { readonly namesOnly?: boolean },
    { signal }: OperationOptions = {},
  ): Promise<BuildCheckDocument> {
    const root = join(this.#parts.temporary, `check-${newId().slice(0, 16)}`);
    await mkdir(root, { recursive: true });
    try {
      await this.#parts.extract(context, root, signal);
      const name = request.dockerfile || 'Dockerfile';
      const text = await readContextFile(root, name);
      return await withExcerpt({ name, text }, async () => {
        const parsed = parseDockerfile(text);
        const stages = readStages(parsed);
        const bases = await this.#bases(stages);
        const names = request.namesOnly === true ? new Set(await readdir(root, { recursive: true })) : undefined;
        const buildArgs = new Map(Object.entries(request.buildArgs ?? {}).filter(([, value]) => value !== null));
        const { warnings, fails } = lintDockerfile(parsed, {
          ignore: await readIgnore(root, name),
          platformArgs: platformArguments(platformsOf(request.platform)[0]),
          environmentOf: (reference) => bases.get(reference)?.environment,
          platformOf: (reference) => bases.get(reference)?.platform,
          contextHas: names && ((path) => names.has(join('/', path).slice(1))),
          text,
        });
        return {
          Warnings: warnings.map(({ rule, message, range }) => ({
            Rule: rule,
            Message: message,
            Line: range.start,
            Excerpt: sourceExcerpt(name, text, range),
          })),
          Fails: fails,
          Images: namedImages(stages, {
            buildArgs: buildArgs as ReadonlyMap<string, string>,
            platformArgs: platformArguments(platformsOf(request.platform)[0]),
          }),
        };
      });
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  }

  async describe(
    context: Bytes,
    request: Pick<BuildRequest, 'dockerfile' | 'platform' | 'target' | 'buildArgs'>,
    { signal }: OperationOptions = {},
  ): Promise<BuildDescriptionDocument> {
    const root = join(this.#parts.temporary, `describe-${newId().slice(0, 16)}`);
    await mkdir(root, { recursive: true });
    try {
      await this.#parts.extract(context, root, signal);
      const name = request.dockerfile || 'Dockerfile';
      const text = await readContextFile(root, name);
      return await withExcerpt({ name, text }, async () => {
        const dockerfile = readStages(parseDockerfile(text));
        const buildArgs = new Map(
          Object.entries(request.buildArgs ?? {}).filter((entry): entry is [string, string] => entry[1] !== null),
        );
        const outline = describeOutline(dockerfile, text, {
          target: request.target,
          buildArgs,
          platformArgs: platformArguments(platformsOf(request.platform)[0]),
        });
        return descriptionDocument(describeTargets(dockerfile, text), outline);
      });
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  }

  /** Environments and platforms of those base images that are here. */
  async #bases({ stages }: Dockerfile): Promise<Map<string, { environment: readonly string[]; platform: string }>> {
    const found = new Map<string, { environment: readonly string[]; platform: string }>();
    for (const { base } of stages) {
      const image = await this.#parts.images.resolve(base).catch(() => undefined);
      if (!image) continue;
      const { config, os, architecture, variant } = image.config;
      const platform = formatPlatform({ os, architecture, ...(variant && { variant }) });
      found.set(base, { environment: config?.Env ?? [], platform });
    }
    return found;
  }

  readonly cacheMounts: CacheMountService = {
    list: async () => (await this.#parts.caches.list()).map(cacheMountDocument),
    export: (id, options) => this.#parts.caches.export(id, options),
    import: async (id, tar, options) => cacheMountDocument(await this.#parts.caches.import(id, tar, options)),
    remove: async (id) => cacheMountDocument(await this.#parts.caches.remove(id)),
  };

  async cancel(buildId: string): Promise<void> {
    this.#running.get(buildId)?.abort();
  }

  async prune(options: PruneOptions): Promise<{ CachesDeleted: string[] | null; SpaceReclaimed: number }> {
    const { deleted, reclaimed } = await this.#parts.buildCache.prune(options);
    return { CachesDeleted: deleted.length > 0 ? [...deleted] : null, SpaceReclaimed: reclaimed };
  }

  async diskUsage(): Promise<BuildCacheRecord[]> {
    return this.#parts.buildCache.list();
  }
}

function descriptionDocument(
  targets: readonly TargetDescription[],
  { name, description, args, secrets, ssh, caches }: OutlineDescription,
): BuildDescriptionDocument {
  return {
    Targets: targets.map((target) => ({
      Name: target.name,
      Description: target.description,
      Base: target.base,
      ...(target.platform !== undefined && { Platform: target.platform }),
      Default: target.isDefault,
    })),
    Outline: {
      Name: name,
      Description: description,
      Args: args.map((arg) => ({ Name: arg.name, Value: arg.value, Description: arg.description })),
      Secrets: secrets.map((one) => ({ Name: one.name, Required: one.required })),
      SSH: ssh.map((one) => ({ Name: one.name, Required: one.required })),
      Caches: caches.map(({ id }) => ({ ID: id })),
    },
  };
}

function cacheMountDocument({ id, inUse, size }: CacheMountInfo): CacheMountDocument {
  return { Id: id, InUse: inUse, Size: size };
}

/** `linux/amd64,linux/arm64`; undefined is this host's. Throws `invalid-argument`. */
function platformsOf(text: string | undefined): (string | undefined)[] {
  const asked = (text ?? '').split(',').map((one) => one.trim());
  const known = [...new Set(asked.filter((one) => one !== '').map((one) => formatPlatform(parsePlatform(one))))];
  return known.length === 0 ? [undefined] : known;
}

/** What the target's image is for: what its base was asked to be for, where the file says so. */
function targetPlatform({ stages }: BuildPlan, asked: string): string {
  let at = stages.at(-1);
  while (at && at.platform === undefined && at.base.kind === 'stage') {
    const { index } = at.base;
    at = stages.find((stage) => stage.index === index);
  }
  return at?.platform === undefined ? asked : formatPlatform(parsePlatform(at.platform));
}

function sourceDateEpoch(buildArgs: ReadonlyMap<string, string>): number | undefined {
  const text = buildArgs.get('SOURCE_DATE_EPOCH');
  if (text === undefined || text === '') return undefined;
  if (!/^\d{1,11}$/.test(text))
    throw new EngineError('invalid-argument', `invalid SOURCE_DATE_EPOCH: ${text}: it is seconds since 1970`);
  return Number(text);
}

/** Shows the lines of the Dockerfile that a failure of `work` is about, behind its message. */
async function withExcerpt<T>(
  file: { readonly name: string; readonly text: string },
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof BuildStepFailed && error.step)
      error.excerpt ??= sourceExcerpt(file.name, file.text, error.step.lines);
    const line = Number(/^dockerfile (?:parse error on )?line (\d+)/.exec(errorMessage(error))?.[1]);
    if (!(error instanceof EngineError) || Number.isNaN(line)) throw error;
    const excerpt = sourceExcerpt(file.name, file.text, { start: line, end: line });
    throw new EngineError(error.code, `${error.message}\n${excerpt}`.trimEnd(), { cause: error });
  }
}

/** TARGETPLATFORM and its like for `linux/arm64/v8`; this host's without one. */
function platformArguments(platform: string | undefined): Map<string, string> {
  const host = `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`;
  const describe = (prefix: string, text: string): [string, string][] => {
    const [os = '', arch = '', variant = ''] = text.split('/');
    return [
      [`${prefix}PLATFORM`, text],
      [`${prefix}OS`, os],
      [`${prefix}ARCH`, arch],
      [`${prefix}VARIANT`, variant],
    ];
  };
  return new Map([...describe('TARGET', platform || host), ...describe('BUILD', host)]);
}

/** A file of the context that must be a plain one: the context comes from outside, and may hold links to anywhere. */
async function readContextFile(root: string, name: string): Promise<string> {
  const path = join(root, join('/', name));
  const missing = new EngineError('invalid-argument', `Cannot locate specified Dockerfile: ${name}`);
  let at = root;
  for (const part of join('/', name)
    .split('/')
    .filter((text) => text !== '')) {
    at = join(at, part);
    const found = await lstat(at).catch(() => undefined);
    if (!found) throw missing;
    if (found.isSymbolicLink())
      throw new EngineError(
        'invalid-argument',
        `the Dockerfile (${name}) is reached through a symbolic link: name the file itself`,
      );
  }
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(() => {
    throw missing;
  });
  try {
    const found = await file.stat();
    if (!found.isFile()) throw new EngineError('invalid-argument', `the Dockerfile (${name}) is not a file`);
    if (found.size > MAX_DOCKERFILE)
      throw new EngineError('too-large', `the Dockerfile (${name}) is larger than ${MAX_DOCKERFILE} bytes`);
    const bytes = await file.readFile();
    const mark = bytes.toString('hex', 0, 2);
    if (mark === 'fffe' || mark === 'feff')
      throw new EngineError('invalid-argument', `the Dockerfile (${name}) is written in UTF-16: save it as UTF-8`);
    return bytes.toString('utf8');
  } finally {
    await file.close();
  }
}

/** Lines of the ignore file: the Dockerfile's own, else the context's. */
async function readIgnore(root: string, dockerfile: string): Promise<string[]> {
  for (const name of [`${dockerfile}.dockerignore`, '.dockerignore']) {
    const text = await readContextFile(root, name).catch(() => undefined);
    if (text !== undefined) {
      return text
        .replace(/^\uFEFF/, '')
        .split(/\r?\n/)
        .filter((line) => !line.startsWith('#'))
        .map((line) => line.trim())
        .filter((line) => line !== '');
    }
  }
  return [];
}
