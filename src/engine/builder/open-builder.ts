import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { mkdirAllInRoot } from '../../linux/rooted.ts';
import { mount, unmountAside } from '../../linux/mount.ts';
import { readUserFiles, resolveUser } from '../../runtime/spec/user.ts';
import { applyLayer } from '../../snapshot/apply-layer.ts';
import { removeDirectory } from '../../snapshot/remove-directory.ts';
import { idsForCommand } from '../userns/container-ids.ts';
import { mountShiftedSnapshot } from '../userns/shifted-snapshot.ts';
import type { ContainerIds } from '../../state/containers.ts';
import type { HostConfig } from '../../api/container.ts';
import type { BuildRecords } from '../../state/build-records.ts';
import type { Images } from '../images/images.ts';
import { commitLayer, copyLayer, placeLayer } from '../images/layers.ts';
import { storeConfig } from '../images/create-image.ts';
import { bringLayout } from '../images/layout.ts';
import type { ImageParts } from '../images/parts.ts';
import { underLease } from '../images/under-lease.ts';
import { BuildCache, type CachePolicy } from './build-cache.ts';
import { CacheMounts } from './cache-mounts.ts';
import type { BackgroundWork } from '../background.ts';
import { chainsOf } from '../gc.ts';
import type { Bytes } from '../../content/content-store.ts';
import { GitRepositories } from './sources/git-repositories.ts';
import { HttpFiles } from './sources/http-files.ts';
import { RemoteSources } from './sources/remote-sources.ts';
import { ClientFiles } from './client-files/client-files.ts';
import { UploadedContexts } from './uploads/uploaded-contexts.ts';
import { Builder } from './builder.ts';
import { attest } from './attest/attest.ts';
import { exportCaches, inlineCache } from './cache-transfer/export-caches.ts';
import { openImports } from './cache-transfer/open-imports.ts';
import { deliver } from './outputs/deliver.ts';
import { finishImage } from './outputs/finish.ts';
import { StepExecutor, type StepExecutorParts } from './step-executor.ts';

export interface OpenBuilderParts extends StepExecutorParts {
  readonly images: Images;
  readonly imageParts: ImageParts;
  readonly records: BuildRecords;
  readonly background: Pick<BackgroundWork, 'run'>;
  /** False: nothing of the cache goes by itself. */
  readonly cacheLimits: CachePolicy | false;
  readonly deviceDirectories: readonly string[];
  /** Of a user namespace, as a container with these would have. Throws as `idsFor` of the containers. */
  readonly idsFor: (hostConfig: HostConfig) => ContainerIds | undefined;
  /** Directory of all snapshots. */
  readonly layersRoot: string;
  readonly publishBuilt: (id: string, tags: readonly string[]) => void;
  readonly engineSecret: (name: string) => Uint8Array;
  readonly searchSecrets: (image: string, names: readonly string[]) => void;
}

/** The builder on the engine's own parts. */
export function openBuilder(parts: OpenBuilderParts): Builder {
  const { images, imageParts } = parts;
  const cache = join(dirname(imageParts.temporary), 'cache');
  const extract = async (archive: Bytes, directory: string, signal: AbortSignal | undefined): Promise<void> => {
    await applyLayer(archive, directory, { whiteouts: 'literal', allowExternal: true, signal });
  };
  const remote = new RemoteSources({
    git: new GitRepositories(join(cache, 'git')),
    http: new HttpFiles(join(cache, 'http')),
    extract,
  });
  const files = new ClientFiles(join(cache, 'client-files'));
  const discard = (directory: string): Promise<void> =>
    parts.background.run('files of a build could not be removed', () => removeDirectory(directory));
  const uploads = new UploadedContexts(join(cache, 'uploads'), discard);
  const caches = new CacheMounts(join(cache, 'build-mounts'));
  const buildCache = new BuildCache({
    records: parts.records,
    caches,
    files,
    uploads,
    remote,
    imageChains: () => new Set(imageParts.images.list().flatMap(({ config }) => chainsOf(config))),
    collect: async () => void (await imageParts.collector.collectAll()),
    place: imageParts.temporary,
  });
  return new Builder({
    images: {
      resolve: (reference, platform) => images.resolve(reference, platform),
      pull: (reference, options) => images.pull(reference, options),
      checkReference: (reference) => images.checkReference(reference),
    },
    outputs: {
      finish: (solved, labels, inline) => {
        imageParts.admit?.();
        return finishImage(imageParts, solved, labels, inline ? inlineCache(imageParts, solved) : undefined);
      },
      attest: (built, wanted, options) => attest(imageParts, built, wanted, options),
      writeAhead: async (image, lease) => void (await storeConfig(imageParts, image.text, lease)),
      deliver: (built, options) =>
        deliver(imageParts, built, {
          ...options,
          mountView: (chain, target) => mountSnapshot(imageParts, chain, target),
          unmount: async (target) => void (await unmountAside(target)),
        }),
    },
    transfer: {
      open: (sources, options) => openImports(imageParts, sources, options),
      inline: (solved) => inlineCache(imageParts, solved),
      send: (solved, targets, options) => exportCaches(imageParts, solved, targets, options),
    },
    layout: (target, read, options) => bringLayout(imageParts, target, read, options),
    snapshotter: imageParts.snapshotter,
    records: parts.records,
    executor: new StepExecutor(parts),
    temporary: imageParts.temporary,
    remote,
    files,
    uploads,
    caches,
    unpack: async (archive, rootfs, { destination, owner, signal }) => {
      const target = join(rootfs, mkdirAllInRoot(rootfs, destination, owner));
      await applyLayer({ path: archive }, target, { whiteouts: 'literal', allowExternal: true, owner, signal });
    },
    extract,
    commitLayer: (key, options) => commitLayer(imageParts, key, { ...options, sync: false }),
    placeLayer: (layer, options) => placeLayer(imageParts, layer, options),
    copyLayer: (chain, options) => copyLayer(imageParts, imageParts.snapshotter.changesDir(chain), options),
    deviceDirectories: parts.deviceDirectories,
    idsOfCommand: (command) => idsForCommand(command, parts.idsFor),
    mountActive: (name, target, ids) => mountSnapshot(imageParts, name, target, ids && { root: parts.layersRoot, ids }),
    mountView: (chain, target, ids) => mountSnapshot(imageParts, chain, target, ids && { root: parts.layersRoot, ids }),
    unmount: async (target) => void (await unmountAside(target)),
    makeDirectory: async (rootfs, path, owner) => void mkdirAllInRoot(rootfs, path, owner),
    lookUpOwner: async (rootfs, text) => {
      // Numbers need no files, and then the root is not mounted for them.
      const numbers = /^(\d+)(?::(\d+))?$/.exec(text);
      if (numbers) return { uid: Number(numbers[1]), gid: Number(numbers[2] ?? numbers[1]) };
      const { uid, gid } = resolveUser(text, [], readUserFiles(await rootfs(), { names: true }));
      return { uid, gid };
    },
    underLease: (purpose, work) => underLease(imageParts, purpose, work),
    engineSecret: (name) => parts.engineSecret(name),
    searchSecrets: (image, names) => parts.searchSecrets(image, names),
    onBuilt: parts.publishBuilt,
    buildCache,
    collectionRules: async () => (parts.cacheLimits ? buildCache.rules(parts.cacheLimits) : []),
    collectLater: () => collectLater(parts, buildCache),
    discard: (directory) => void discard(directory),
  });
}

async function mountSnapshot(
  { snapshotter }: ImageParts,
  name: string,
  target: string,
  seen?: { readonly root: string; readonly ids: ContainerIds },
): Promise<void> {
  await mkdir(target, { recursive: true });
  // A step that a power cut takes is made again: only its layer is waited for.
  for (const request of await snapshotter.mounts(name, { unsynced: true })) {
    if (seen) await mountShiftedSnapshot(request, target, seen);
    else mount(request, target);
  }
}

/** How often the cache is looked through for what is old or too much. */
const COLLECT_MS = 10 * 60_000;
const COLLECTED = new WeakMap<BuildCache, number>();

function collectLater({ background, cacheLimits }: OpenBuilderParts, cache: BuildCache): void {
  const last = COLLECTED.get(cache) ?? -Infinity;
  if (!cacheLimits || performance.now() - last < COLLECT_MS) return;
  COLLECTED.set(cache, performance.now());
  void background.run('the build cache could not be collected', async () => void (await cache.collect(cacheLimits)));
}
