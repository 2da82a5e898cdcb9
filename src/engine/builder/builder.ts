import { join } from 'node:path';
import type { AuthConfig } from '../../api/auth.ts';
import type {
  BuildCheckDocument,
  BuildDescriptionDocument,
  CacheMountDocument,
  RecentBuildDocument,
} from '../../api/gantry.ts';
import type { BuildCacheRecord } from '../../api/system.ts';
import { EngineError, errorCode, notFound } from '../../base/errors.ts';
import { newId } from '../../base/ids.ts';
import type { OperationOptions } from '../../base/operation.ts';
import type { Bytes } from '../../content/content-store.ts';
import { canonicalJson } from '../../oci/canonical-json.ts';
import type { Digest } from '../../oci/digest.ts';
import type { ResolvedImage } from '../containers/parts.ts';
import type { BuildOptions, BuildRequest, BuildResult, BuildService, CacheMountService } from '../engine.ts';
import { readAttestations } from './attest/option.ts';
import type { PruneOptions } from './build-cache.ts';
import { BuildDirectory } from './build-directory.ts';
import type { BuildEvent } from './build-event.ts';
import type { BuilderParts } from './builder-parts.ts';
import type { CacheMountInfo } from './cache-mounts.ts';
import { readCacheSource, readCacheTarget } from './cache-transfer/option.ts';
import { DockerfileInspection } from './dockerfile-inspection.ts';
import { withEngineSecrets } from './engine-secrets.ts';
import { type GraphBuild, type GraphBuildOptions, openGraphBuild } from './graph/graph-build.ts';
import { ImageBuild } from './image-build.ts';
import { checkOutputs } from './outputs/deliver.ts';
import { readOutput } from './outputs/output.ts';
import { platformsOf, runnablePlatforms } from './platforms.ts';
import { RecentBuilds } from './recent-builds.ts';
import { StepCache } from './step-cache.ts';

/** BuildService: the engine's builds, their cache and its records. */
export class Builder implements BuildService {
  readonly #parts: BuilderParts;
  readonly #running = new Map<string, AbortController>();
  readonly #cache: StepCache;
  readonly #recent = new RecentBuilds();
  readonly #inspection: DockerfileInspection;

  constructor(parts: BuilderParts) {
    this.#parts = parts;
    this.#cache = new StepCache(parts.records, parts.snapshotter);
    this.#inspection = new DockerfileInspection(parts);
  }

  async build(
    context: Bytes | undefined,
    request: BuildRequest & { readonly buildId?: string },
    options: BuildOptions = {},
  ): Promise<BuildResult> {
    for (const one of request.allow ?? []) {
      if (!['network.host', 'security.insecure', 'device'].includes(one) && !one.startsWith('device='))
        throw new EngineError('invalid-argument', `invalid entitlement: ${one}`);
    }
    if (request.squash === true) throw new EngineError('unimplemented', 'squash is not supported');
    const tags = (request.tags ?? []).map((tag) => {
      if (tag.includes('@')) throw new EngineError('invalid-argument', 'build tag cannot contain a digest');
      return this.#parts.images.checkReference(tag);
    });
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
    const directory = new BuildDirectory(join(this.#parts.temporary, `build-${newId().slice(0, 16)}`));
    try {
      const about = { Tags: tags, Target: request.target ?? '', Dockerfile: request.dockerfile ?? 'Dockerfile' };
      const result = await this.#recent.watch(about, (note) => {
        const onEvent = (event: BuildEvent): void => {
          note(event);
          options.onEvent?.(event);
        };
        return this.#parts.underLease('build', (lease) =>
          new ImageBuild(this.#parts, this.#cache, {
            request,
            directory,
            lease,
            tags,
            options: { ...options, session, signal, onEvent },
          }).run(context),
        );
      });
      if (names.length > 0) this.#parts.searchSecrets(result.id, names);
      return result;
    } finally {
      if (request.buildId) this.#running.delete(request.buildId);
      if (directory.made) this.#parts.discard(directory.path);
      this.#parts.collectLater();
    }
  }

  async facts(): ReturnType<BuildService['facts']> {
    return { platforms: runnablePlatforms(), collection: await this.#parts.collectionRules() };
  }

  openGraphs(options: GraphBuildOptions): Promise<GraphBuild> {
    return openGraphBuild(this.#parts, this.#cache, options);
  }

  recent(): RecentBuildDocument[] {
    return this.#recent.list();
  }

  recentBuild(id: string): RecentBuildDocument {
    return this.#recent.get(id);
  }

  async imageConfig(
    name: string,
    {
      platform,
      pull,
      auth,
      ...options
    }: OperationOptions & { readonly platform?: string; readonly pull?: boolean; readonly auth?: AuthConfig } = {},
  ): Promise<{ readonly reference: string; readonly digest: Digest; readonly config: string }> {
    const { images } = this.#parts;
    const resolve = (): Promise<ResolvedImage> => images.resolve(name, platform);
    const image = await (pull === true ? Promise.reject(notFound('image', name)) : resolve()).catch(
      async (error: unknown) => {
        if (errorCode(error) !== 'not-found') throw error;
        await images.pull(name, { ...options, ...(auth && { auth }), ...(platform !== undefined && { platform }) });
        return resolve();
      },
    );
    return { reference: images.checkReference(name), digest: image.id, config: canonicalJson(image.config) };
  }

  async check(...[context, request, options]: Parameters<BuildService['check']>): Promise<BuildCheckDocument> {
    return this.#inspection.check(context, request, options);
  }

  async describe(
    ...[context, request, options]: Parameters<BuildService['describe']>
  ): Promise<BuildDescriptionDocument> {
    return this.#inspection.describe(context, request, options);
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

function cacheMountDocument({ id, inUse, size }: CacheMountInfo): CacheMountDocument {
  return { Id: id, InUse: inUse, Size: size };
}
