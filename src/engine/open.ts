import { chmod, mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError } from '../base/errors.ts';
import { newId } from '../base/ids.ts';
import { KeyedMutex } from '../base/mutex.ts';
import { CgroupHierarchy } from '../linux/cgroup.ts';
import { isFrozen } from '../linux/cgroup-stats.ts';
import { readHostFacts } from '../linux/host-facts.ts';
import { reclaimNullDevice } from '../linux/null-device.ts';
import { unmount } from '../linux/mount.ts';
import { isBelow, readMounts } from '../linux/mountinfo.ts';
import { RegistryClient } from '../registry/client/registry-client.ts';
import { ConmonTaskRunner } from '../runtime/conmon-task-runner.ts';
import { plainCgroup } from '../runtime/task-cleanup.ts';
import { diskUsage } from '../snapshot/disk-usage.ts';
import { KeptListeners } from '../state/kept-listeners.ts';
import { ScopeStore } from '../state/scopes.ts';
import { RegistryRecords } from '../state/registry-records.ts';
import { ImageStore } from '../state/images.ts';
import { OverlaySnapshotter } from '../snapshot/overlay-snapshotter.ts';
import { BuildRecords } from '../state/build-records.ts';
import { ContainerStore } from '../state/containers.ts';
import { DiskReserve } from '../state/disk-reserve.ts';
import { Database } from '../state/database.ts';
import { ImageUses } from '../state/image-uses.ts';
import { SecretStore } from '../state/secrets.ts';
import { TrashRecords } from '../state/trash-records.ts';
import { VolumeStore } from '../state/volumes.ts';
import { LocalDriver } from '../volume/local-driver.ts';
import { BackgroundWork } from './background.ts';
import { openBuilder } from './builder/open-builder.ts';
import { type EngineConfig, type EngineOptions, engineConfig } from './config.ts';
import { Containers } from './containers/containers.ts';
import { type ContainerContext, findContainer } from './containers/context.ts';
import { ContainerShelf } from './containers/trash-shelf.ts';
import { StoredContainers } from './containers/directory.ts';
import { SnapshotFiles } from './containers/files.ts';
import { LiveContainers } from './containers/live.ts';
import { recordLogs } from './containers/record-logs.ts';
import { SnapshotRoots } from './containers/roots.ts';
import { readContainerSample } from './containers/sample.ts';
import { taskLog } from './containers/set-up.ts';
import { hasProcess } from './containers/state.ts';
import type { EngineServices } from './engine.ts';
import { EventLog } from './events.ts';
import { Execs } from './execs/execs.ts';
import { imageOnDisk } from './images/on-disk.ts';
import { chainsBelow, ImageShelf, trashedBlobs, trashedChains } from './images/trash-shelf.ts';
import { openImages } from './images/open.ts';
import { RemoteImages } from './images/remote-images.ts';
import { chainsOf } from './gc.ts';
import { lockDataRoot } from './lock.ts';
import { openNetworks } from './networks/open.ts';
import { findPrograms } from './programs.ts';
import { reconcile, startByPolicy } from './reconcile.ts';
import { EngineSpecs } from './specs/container-specs.ts';
import { EngineRegistry } from './registry/engine-registry.ts';
import { Scopes } from './scopes/scopes.ts';
import { RegistryListeners } from './registry/registry-listeners.ts';
import { RegistryRoots } from './registry/registry-roots.ts';
import { EngineContainerSecrets } from './secrets/container-secrets.ts';
import { KeyFile } from './secrets/key-file.ts';
import { SecretFiles } from './secrets/secret-files.ts';
import { Secrets } from './secrets/secrets.ts';
import { openDiskKeeper } from './system/open-disk-keeper.ts';
import { partsOnDisk } from './system/on-disk.ts';
import { System } from './system/system.ts';
import { Trash, type TrashShelves } from './trash/trash.ts';
import { EngineContainerVolumes } from './volumes/container-volumes.ts';
import { MountedImages } from './volumes/mounted-images.ts';
import { RunMounts } from './volumes/run-mounts.ts';
import { DEFAULT_POOL, idsFor } from './userns/container-ids.ts';
import { remappedIds, subordinateRange } from './userns/subordinate-ids.ts';
import { Volumes } from './volumes/volumes.ts';

/** Room for the database when the disk is full: hundreds of ends and removals. */
const RESERVE_BYTES = 8 << 20;

/**
 * Builds the engine of a data root, each part from those before it, and takes up what an earlier engine left. Throws
 * `unavailable` when another one owns the root or the host lacks a program, `invalid-argument` for a wrong setting,
 * `corrupt` when the database is; then nothing is held.
 */
export async function openEngine(options: EngineOptions = {}): Promise<EngineServices> {
  await using opened = new AsyncDisposableStack();
  const asked = engineConfig(options);
  await mkdir(asked.dataRoot, { recursive: true, mode: 0o711 });
  await mkdir(asked.execRoot, { recursive: true, mode: 0o711 });
  opened.use(await lockDataRoot(asked.dataRoot));
  // logs, contexts, and the files of images, volumes and caches with their set-user-id programs, are nobody else's on this host
  for (const name of ['cache', 'containers', 'snapshots', 'volumes']) {
    await mkdir(join(asked.dataRoot, name), { recursive: true });
    await chmod(join(asked.dataRoot, name), 0o700);
  }
  const host = readHostFacts();
  const programs = await findPrograms(asked, host.cgroup);
  const { usernsRemap } = asked;
  if (usernsRemap !== undefined && host.groups !== undefined) {
    throw new EngineError(
      'invalid-argument',
      'userns-remap is for an engine of root: the containers of this one have its user’s subordinate ids already',
    );
  }
  const remap = typeof usernsRemap === 'string' ? remappedIds(usernsRemap) : usernsRemap;
  const idPool = subordinateRange('/etc/subuid', 'containers') ?? DEFAULT_POOL;
  const config: EngineConfig = {
    ...asked,
    defaultRuntime: programs.defaultRuntime,
    cgroupNamespace: asked.cgroupNamespace ?? (host.cgroup.version === 2 ? 'private' : 'host'),
  };
  const { dataRoot, execRoot, report } = config;
  const temporary = join(dataRoot, 'tmp');
  await emptyDirectory(temporary, join(dataRoot, 'snapshots', 'trash'));

  // what is remembered
  const db = opened.use(
    Database.open(join(dataRoot, 'state.db'), new DiskReserve(join(dataRoot, 'reserve'), RESERVE_BYTES)),
  );
  const events = new EventLog();
  opened.defer(() => events.close());
  const publish =
    (type: string) =>
    (action: string, id: string, attributes: Record<string, string>): void =>
      events.publish(type, action, id, attributes);
  const containerStore = new ContainerStore(db);
  const imageUses = new ImageUses(db);
  opened.defer(() => imageUses.close());
  const buildRecords = new BuildRecords(db);
  opened.defer(() => buildRecords.close());
  const mountedImages = new MountedImages(containerStore);
  const trashRecords = new TrashRecords(db);
  const trash = new Trash({
    records: trashRecords,
    policy: config.trash,
    place: dataRoot,
    shelves: () => shelves,
    report,
  });
  opened.defer(() => trash.close());

  // content and layers
  const snapshotter = await OverlaySnapshotter.open(join(dataRoot, 'snapshots'), db);
  opened.defer(() => snapshotter.close());
  const registries = new RegistryClient({
    insecure: config.insecureRegistries,
    mirrors: config.registryMirrors,
    minBytesPerSecond: config.registryMinRate,
    stallMs: config.registryStallMs,
    certificateDirectories: config.registryConfigDirectories,
    // from the host's network, where `localhost` is what people mean by it
    connect: config.hostSockets && ((host, port) => config.hostSockets!.connect(host, port)),
  });
  opened.defer(() => registries.close());
  const remoteImages = new RemoteImages(registries);
  const registryRoots = new RegistryRoots(new RegistryRecords(db), new ImageStore(db));
  const { images: imageService, parts: imageParts } = await openImages({
    registry: remoteImages,
    policyFile: config.imagePolicy,
    root: dataRoot,
    db,
    snapshotter,
    temporary,
    publish: publish('image'),
    containers: () =>
      containerStore.list().flatMap(({ id, imageId, mounts, state }) => {
        const images = new Set([imageId, ...mounts.flatMap(({ image }) => image?.id ?? [])]);
        return [...images].map((used) => ({ id, imageId: used, running: hasProcess(state) }));
      }),
    otherChains: () => [...buildRecords.chains(), ...mountedImages.chains(), ...trashedChains(trashRecords)],
    keepsChain: (chain) => buildRecords.hasChain(chain),
    otherBlobs: () => [...registryRoots.blobs(), ...trashedBlobs(trashRecords)],
    otherActive: () => trashRecords.containerIds(),
    trash,
    admit: () => {
      trash.changed(); // room may be short
      diskKeeper.admit();
    },
    used: (id) => imageUses.mark(id),
  });
  const diskKeeper = openDiskKeeper({
    config,
    images: imageParts,
    uses: imageUses,
    builds: () => builder,
    trash,
    publish: (action, attributes) => events.publish('daemon', `disk-${action}`, '', attributes),
  });
  opened.defer(() => diskKeeper.close());
  events.watch(({ Type, Action, Actor }) => {
    const record = Type === 'container' ? containerStore.get(Actor.ID) : undefined;
    if (record && ['create', 'start', 'die'].includes(Action)) imageUses.mark(record.imageId);
    if (Type === 'image' ? !['untag', 'delete', 'prune'].includes(Action) : Action === 'die') diskKeeper.changed();
  });

  // volumes and networks
  const volumeStore = new VolumeStore(db);
  const runMounts = new RunMounts(join(execRoot, 'mounts'));
  const driver = new LocalDriver(join(dataRoot, 'volumes'));
  const volumes = new Volumes({
    store: volumeStore,
    containers: containerStore,
    driver,
    runMounts,
    events,
    trash,
    usage: async (directory, signal) => (await diskUsage(directory, { signal })).bytes,
  });
  const containerVolumes = new EngineContainerVolumes({
    volumes,
    store: volumeStore,
    containers: containerStore,
    driver,
    runMounts,
    images: imageService,
    mountedImages,
    snapshots: snapshotter,
    userOf: (record, rootfs) => specs.user(record, rootfs),
    dataRoot,
    report,
  });
  const secretFiles = new SecretFiles(runMounts);
  const secrets = new Secrets({
    store: new SecretStore(db),
    keys: new KeyFile(config.secretKeyFile ?? join(dataRoot, 'secrets.key')),
    containers: containerStore,
    files: secretFiles,
    events,
    findContainer: (name) => findContainer(context, name),
    findImage: (name) => imageOnDisk(imageParts, name),
    logPath: (record) => taskLog(context, record).path,
    kill: (id, signal) => containers.kill(id, signal),
    report,
  });
  const network = openNetworks({
    db,
    config,
    containers: new StoredContainers(containerStore, config),
    publishEvent: publish('network'),
    trash,
  });
  const { networks, networking } = network;
  opened.defer(() => network.close());

  // processes
  const cgroups = new CgroupHierarchy();
  const removeCgroupParent = (): void => {
    const parent = plainCgroup(`${host.cgroup.base}${config.cgroupParent}`);
    if (parent !== undefined) cgroups.removeEmpty(parent);
  };
  opened.defer(removeCgroupParent);
  const tasks = new ConmonTaskRunner({
    execRoot,
    dataRoot,
    runtimes: programs.runtimes,
    conmonPath: programs.conmon,
  });
  opened.defer(() => tasks.close());
  const specs = new EngineSpecs({
    host,
    runtimes: Object.keys(programs.runtimes),
    config,
  });

  // containers
  const background = new BackgroundWork(report);
  const closing = new AbortController();
  const context: ContainerContext = {
    config,
    store: containerStore,
    idsFor: (hostConfig) =>
      idsFor(hostConfig, containerStore.list(), { remap, pool: host.groups === undefined ? idPool : undefined }),
    trash,
    live: new LiveContainers(),
    locks: new KeyedMutex(),
    background,
    events,
    images: imageService,
    snapshots: snapshotter,
    roots: new SnapshotRoots(snapshotter, execRoot, {
      root: join(dataRoot, 'snapshots'),
      idsOf: (id) => containerStore.get(id)?.ids,
    }),
    volumes: containerVolumes,
    secrets: new EngineContainerSecrets(secrets, secretFiles),
    networking,
    findNetwork: async (name) => {
      const found = await networks.inspect(name).catch(() => undefined);
      return found && { name: found.Name, internal: found.Internal };
    },
    specs,
    tasks,
    logs: recordLogs,
    files: new SnapshotFiles(snapshotter),
    committer: imageService,
    execIds: (id) => execs.idsOf(id),
    isFrozen,
    readStats: readContainerSample,
    closing: closing.signal,
  };
  const execs = new Execs(context);
  const containers = new Containers(context);
  opened.defer(async () => {
    closing.abort();
    context.live.rest();
    await background.settled();
  });

  const restoreVolumes = async (names: readonly string[]): Promise<void> => {
    for (const { seq, content } of trashRecords.list('volume').toReversed()) {
      if (content.kind !== 'volume' || !names.includes(content.record.name)) continue;
      if (volumeStore.get(content.record.name)) continue;
      await volumes.restore(content.record, content.place, () => trashRecords.delete(seq));
    }
  };
  const shelves: TrashShelves = {
    container: new ContainerShelf(context, {
      restoreVolumes,
      collect: async (chain) => {
        await imageParts.collector.collect({ blobs: [], snapshots: chainsBelow(snapshotter, chain) });
      },
    }),
    image: new ImageShelf(imageParts),
    volume: {
      size: async ({ place }) => (await diskUsage(driver.discardedPath(place))).bytes,
      dispose: ({ place }) => driver.removeDiscarded(place),
      restore: ({ record, place }, taken) => volumes.restore(record, place, taken),
    },
    network: {
      size: async () => 0,
      dispose: async () => {},
      restore: ({ record }, taken) => networks.restore(record, taken),
    },
  };

  const builder = openBuilder({
    tasks,
    specs,
    networking,
    logs: recordLogs,
    defaultRuntime: config.defaultRuntime,
    images: imageService,
    imageParts,
    records: buildRecords,
    background,
    cacheLimits: config.buildCache,
    deviceDirectories: config.deviceDirectories,
    idsFor: context.idsFor,
    layersRoot: join(dataRoot, 'snapshots'),
    engineSecret: (name) => secrets.valueOf(name),
    searchSecrets: (image, names) =>
      void background.run(`search for secrets in the image ${image}`, () => secrets.imageMade(image, names)),
    publishBuilt: () => {},
  });
  const system = new System({
    id: engineId(db),
    config,
    host,
    containers: containerStore,
    imageCount: () => imageService.count,
    listenerCount: () => events.listeners,
    runtimes: programs.runtimes,
    services: { containers, images: imageService, volumes, builder },
    onDisk: (signal) =>
      partsOnDisk(
        {
          dataRoot,
          snapshots: snapshotter,
          imageChains: () => new Set(imageParts.images.list().flatMap((image) => chainsOf(image.config))),
        },
        signal,
      ),
    components: programs.components,
    authenticate: (credentials) => remoteImages.login(credentials),
  });

  // a crash came between a network's being back and the end of its entry
  for (const { seq, content } of trashRecords.list('network'))
    if (networks.has(content.record.id)) trashRecords.delete(seq);
  reclaimNullDevice(); // an engine may have died while a container was made
  await reconcile(context, trashRecords.containerIds());
  containerVolumes.recover();
  await volumes.recover();
  secrets.recover();
  diskKeeper.changed();
  trash.recover();
  removeCgroupParent();
  startByPolicy(context);

  const scopes = new Scopes(new ScopeStore(db), dataRoot);
  const registry = new RegistryListeners(
    new EngineRegistry(
      imageParts,
      registryRoots,
      report,
      config.hostSockets && ((host, port) => config.hostSockets!.listening(host, port)),
    ),
    new KeptListeners(db),
    report,
  );
  opened.defer(() => registry.close());

  const resources = opened.move();
  const close = (): Promise<void> => resources.disposeAsync();
  return {
    containers,
    execs,
    images: imageService,
    networks,
    volumes,
    secrets,
    builder,
    system,
    events,
    trash,
    registry,
    scopes,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/**
 * What was being made when an engine ended. It goes to the trash of the snapshots, which is emptied in the background: it
 * may be large. Nothing may be mounted below when files are deleted: it could be someone's data.
 */
async function emptyDirectory(directory: string, trash: string): Promise<void> {
  for (const { mountPoint } of readMounts().toReversed()) {
    if (mountPoint !== directory && isBelow(mountPoint, directory)) unmount(mountPoint, { detach: true });
  }
  await mkdir(trash, { recursive: true, mode: 0o700 });
  try {
    await rename(directory, join(trash, `tmp-${process.pid}-${Date.now()}`));
  } catch {
    await rm(directory, { recursive: true, force: true }); // not there, or on another filesystem
  }
  await mkdir(directory, { recursive: true, mode: 0o711 });
}

function engineId(db: Database): string {
  const known = db.get("SELECT value FROM meta WHERE key = 'engine-id'")?.['value'];
  if (typeof known === 'string') return known;
  const id = newId();
  db.run("INSERT INTO meta (key, value) VALUES ('engine-id', ?)", id);
  return id;
}
