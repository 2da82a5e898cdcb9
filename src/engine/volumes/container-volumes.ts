import { statSync } from 'node:fs';
import type { MountRequest } from '../../api/container.ts';
import { EngineError, errorMessage } from '../../base/errors.ts';
import type { ChainId } from '../../oci/digest.ts';
import { DEFAULT_SHM_SIZE, type UserMount } from '../../runtime/spec/mounts.ts';
import type { Snapshotter } from '../../snapshot/snapshotter.ts';
import type { ContainerIds, ContainerMount, ContainerRecord, ContainerStore } from '../../state/containers.ts';
import type { VolumeStore } from '../../state/volumes.ts';
import { type Ownership, parseBind } from '../../volume/bind.ts';
import { changeOwner } from '../../volume/change-owner.ts';
import { copyUp } from '../../volume/copy-up.ts';
import type { LocalDriver } from '../../volume/local-driver.ts';
import { mountPoint } from '../../volume/mount-point.ts';
import { checkMount, destinationOf } from '../../volume/mount-request.ts';
import { parseVolumesFrom } from '../../volume/volumes-from.ts';
import type {
  ContainerImages,
  ContainerSpecs,
  ContainerVolumes,
  PreparedMounts,
  VolumePlanRequest,
} from '../containers/parts.ts';
import { checkBindSource, requireBindSource } from './bind-source.ts';
import type { MountedImages } from './mounted-images.ts';
import type { TrashTicket } from '../trash/trash.ts';
import type { RunMounts } from './run-mounts.ts';
import type { Volumes } from './volumes.ts';

export interface EngineContainerVolumesOptions {
  readonly volumes: Volumes;
  readonly store: VolumeStore;
  readonly containers: ContainerStore;
  readonly driver: LocalDriver;
  readonly runMounts: RunMounts;
  readonly images: Pick<ContainerImages, 'resolve'>;
  readonly mountedImages: MountedImages;
  readonly snapshots: Pick<Snapshotter, 'mounts'>;
  /** Ids of the container's user, looked up in its files. */
  readonly userOf: ContainerSpecs['user'];
  readonly dataRoot: string;
  /** Says what went wrong where nobody waits for it. */
  readonly report: (message: string) => void;
}

/** The mounts of containers: which they are, at create; ready on the host, before each run. */
export class EngineContainerVolumes implements ContainerVolumes {
  readonly #volumes: Volumes;
  readonly #store: VolumeStore;
  readonly #containers: ContainerStore;
  readonly #driver: LocalDriver;
  readonly #runMounts: RunMounts;
  readonly #images: Pick<ContainerImages, 'resolve'>;
  readonly #mountedImages: MountedImages;
  readonly #snapshots: Pick<Snapshotter, 'mounts'>;
  readonly #userOf: ContainerSpecs['user'];
  readonly #dataRoot: string;
  readonly #report: (message: string) => void;

  constructor(options: EngineContainerVolumesOptions) {
    this.#volumes = options.volumes;
    this.#store = options.store;
    this.#containers = options.containers;
    this.#driver = options.driver;
    this.#runMounts = options.runMounts;
    this.#images = options.images;
    this.#mountedImages = options.mountedImages;
    this.#snapshots = options.snapshots;
    this.#userOf = options.userOf;
    this.#dataRoot = options.dataRoot;
    this.#report = options.report;
  }

  /** In Docker's order: what is taken from other containers gives way to what is asked, that to nothing; the image's volumes come last. */
  async plan(request: VolumePlanRequest): Promise<readonly ContainerMount[]> {
    const { config, hostConfig } = request;
    const asked = askedMounts(request);
    const inherited = (hostConfig.VolumesFrom ?? []).flatMap((spec) => this.#inherited(spec));
    const taken = new Set(asked.map((mount) => destinationOf(mount.request.Target)));
    for (const { request: mount, mode } of asked) {
      if (mount.Type === 'bind' && mode === undefined) checkBindSource(mount);
    }
    const mounts = new Map<string, ContainerMount>();
    for (const mount of inherited) if (!taken.has(mount.point.Destination)) mounts.set(mount.point.Destination, mount);
    try {
      for (const { request: mount, mode, ownership } of asked) {
        const planned = await this.#mount(request.id, mount, mode);
        mounts.set(destinationOf(mount.Target), { ...planned, ...(ownership && { ownership }) });
      }
      for (const target of Object.keys(hostConfig.Tmpfs ?? {})) mounts.delete(destinationOf(target));
      for (const target of Object.keys(config.Volumes ?? {})) {
        const destination = destinationOf(target);
        if (destination === '/')
          throw new EngineError('invalid-argument', "invalid specification: destination can't be '/'");
        if (mounts.has(destination) || Object.hasOwn(hostConfig.Tmpfs ?? {}, destination)) continue;
        const mount = await this.#mount(request.id, { Type: 'volume', Target: destination }, undefined);
        mounts.set(destination, { ...mount, point: { ...mount.point, Mode: '' } });
      }
      for (const mount of inherited) await this.#hold(mount, request.id);
    } catch (error) {
      this.#unreserve(request.id);
      await this.#volumes.removePending(request.id);
      throw error;
    }
    return [...mounts.values()];
  }

  async prepare(record: ContainerRecord, rootfs: string): Promise<PreparedMounts> {
    this.#unreserve(record.id);
    const mounts: UserMount[] = [];
    try {
      for (const mount of record.mounts) mounts.push(await this.#prepare(record, mount, rootfs));
      return { mounts, shm: this.#sharedMemory(record) };
    } catch (error) {
      await this.unmount(record);
      throw error;
    }
  }

  async unmount(record: ContainerRecord): Promise<void> {
    this.#runMounts.release(record.id);
    for (const { point } of record.mounts) {
      const name = point.Type === 'volume' ? point.Name : undefined;
      if (name === undefined || this.#store.get(name)?.options == null) continue;
      if (this.#runningUsers(name, record.id) === 0) {
        try {
          this.#driver.unmount(name);
        } catch (error) {
          this.#report(`volume ${name}: ${errorMessage(error)}`);
        }
      }
    }
  }

  async release(
    record: ContainerRecord,
    options: { readonly anonymous: boolean; readonly ticket?: TrashTicket | undefined },
  ): Promise<void> {
    this.#unreserve(record.id);
    const made = this.#containers.get(record.id) !== undefined;
    if (!made) await this.#volumes.removePending(record.id);
    for (const { point, anonymous } of record.mounts) {
      if (point.Type !== 'volume' || point.Name === undefined) continue;
      if (options.anonymous && anonymous) await this.#volumes.removeAnonymous(point.Name, record.id, options.ticket);
      else if (made) await this.#volumes.settle(point.Name);
    }
  }

  async shifted({ id, ids }: ContainerRecord, mounts: readonly UserMount[]): Promise<readonly UserMount[]> {
    if (!ids) return mounts;
    const shown: UserMount[] = [];
    for (const mount of mounts) {
      shown.push(
        mount.type === 'bind' ? { ...mount, source: await this.#runMounts.shifted(id, mount.source, ids) } : mount,
      );
    }
    return shown;
  }

  /** At the engine's start, when it is known which containers still run: undoes what was mounted for those that do not. */
  recover(): void {
    const running = this.#containers.list().filter(({ state }) => RUNNING.includes(state.status));
    this.#runMounts.sweep(new Set(running.map(({ id }) => id)));
    const used = new Set(running.flatMap(({ mounts }) => mounts.map(({ point }) => point.Name)));
    for (const { name, options } of this.#store.list()) {
      if (options !== null && !used.has(name)) this.#driver.unmount(name);
    }
  }

  async #mount(id: string, request: MountRequest, mode: string | undefined): Promise<ContainerMount> {
    const dataRoot = this.#dataRoot;
    if (request.Type === 'image') return this.#image(id, request);
    if (request.Type !== 'volume') return { point: mountPoint(request, { mode, dataRoot }), anonymous: false, request };
    const { DriverConfig, Labels } = request.VolumeOptions ?? {};
    const record = await this.#ensure(id, {
      ...(request.Source && { Name: request.Source }),
      ...(DriverConfig?.Name && { Driver: DriverConfig.Name }),
      ...(DriverConfig?.Options && { DriverOpts: DriverConfig.Options }),
      ...(Labels && { Labels }),
    });
    const volume = { name: record.name, path: this.#driver.dataPath(record.name) };
    return {
      point: mountPoint(request, { mode, dataRoot, volume }),
      anonymous: !request.Source,
      request: { ...request, Source: record.name },
    };
  }

  async #image(id: string, request: MountRequest): Promise<ContainerMount> {
    const image = await asInvalid(() => this.#images.resolve(request.Source!));
    if (image.chain === undefined) {
      throw new EngineError('invalid-argument', `cannot mount the image ${request.Source}: it has no files`);
    }
    this.#mountedImages.reserve(id, image.chain);
    const path = this.#runMounts.imagePath(id, destinationOf(request.Target));
    return {
      point: mountPoint(request, { dataRoot: this.#dataRoot, image: { path } }),
      anonymous: false,
      request,
      image: { id: image.id, chain: image.chain },
    };
  }

  #unreserve(id: string): void {
    this.#volumes.unreserve(id);
    this.#mountedImages.unreserve(id);
  }

  async #ensure(id: string, request: Parameters<Volumes['ensure']>[0]): ReturnType<Volumes['ensure']> {
    return asInvalid(() => this.#volumes.ensure(request, id));
  }

  /** Those of another container: binds and volumes, at most as writable as there. */
  #inherited(spec: string): ContainerMount[] {
    const { container, readOnly } = parseVolumesFrom(spec);
    const other = this.#find(container);
    return other.mounts
      .filter(({ point }) => point.Type === 'bind' || point.Type === 'volume')
      .map((mount) => ({
        point: { ...mount.point, RW: mount.point.RW && !readOnly },
        anonymous: false,
        ...(mount.ownership === 'idmap' && { ownership: mount.ownership }),
        ...(mount.request && { request: withoutCopy(mount.request) }),
      }));
  }

  #find(name: string): ContainerRecord {
    const byPrefix = this.#containers.byPrefix(name);
    const found =
      this.#containers.get(name) ??
      this.#containers.byName(name.replace(/^\//, '')) ??
      (byPrefix.length === 1 ? byPrefix[0] : undefined);
    // not `not-found`, see #ensure
    if (!found) throw new EngineError('invalid-argument', `No such container: ${name}`);
    return found;
  }

  /** A volume of another container must not go while this one is being made. */
  async #hold(mount: ContainerMount, id: string): Promise<void> {
    if (mount.point.Type === 'volume') await this.#ensure(id, { Name: mount.point.Name! });
  }

  async #prepare(record: ContainerRecord, mount: ContainerMount, rootfs: string): Promise<UserMount> {
    const { point, request } = mount;
    const destination = point.Destination;
    if (point.Type === 'tmpfs') return { type: 'tmpfs', destination, options: tmpfsMountOptions(request) };
    const options = request?.BindOptions;
    let source = point.Source;
    let propagation = point.Propagation;
    if (point.Type === 'volume') source = await this.#prepareVolume(record, mount, rootfs);
    else if (mount.image) source = await this.#prepareImage(record.id, mount, mount.image.chain);
    else {
      propagation = await requireBindSource(point, request);
      const recursive = options?.NonRecursive !== true;
      if (options?.Subpath) source = this.#runMounts.subpath(record.id, source, options.Subpath, { recursive });
    }
    if (mount.ownership !== undefined) {
      const own = await this.#userOf(record, rootfs);
      // what a volume's files have on the disk are the container's own ids
      const user = point.Type === 'volume' || !record.ids ? own : onHost(own, record.ids);
      if (mount.ownership === 'chown') await changeOwner({ path: source, ...user });
      else source = await this.#runMounts.idmapped(record.id, source, user);
      if (source !== point.Source) propagation = '';
    }
    if (record.ids && point.Type === 'volume') source = await this.#runMounts.shifted(record.id, source, record.ids);
    return {
      type: 'bind',
      destination,
      source,
      readOnly: !point.RW,
      recursive: options?.NonRecursive !== true,
      // a file has nothing below it, and some runtimes want a directory for the recursive kind
      readOnlyRecursion:
        options?.ReadOnlyNonRecursive === true || !isDirectory(source)
          ? 'off'
          : options?.ReadOnlyForceRecursive === true
            ? 'force'
            : 'best-effort',
      propagation,
    };
  }

  /** Gives the directory to mount: of the volume, or of a part of it. */
  async #prepareVolume(record: ContainerRecord, mount: ContainerMount, rootfs: string): Promise<string> {
    const name = mount.point.Name!;
    const volume = await this.#volumes.ensure({ Name: name }, record.id);
    this.#volumes.unreserve(record.id);
    await this.#volumes.settle(name);
    const data = this.#driver.dataPath(name);
    if (volume.options !== null) await this.#driver.mount(name, volume.options);
    const subpath = mount.request?.VolumeOptions?.Subpath ?? '';
    const firstRun = record.state.status === 'created';
    if (firstRun && subpath === '' && mount.request !== undefined && mount.request.VolumeOptions?.NoCopy !== true) {
      const others = this.#runningUsers(name, record.id) > 0;
      const stage = others || volume.options !== null ? undefined : this.#driver.stagePath(name);
      // in a user namespace the image is seen with its ids: so is the volume, then
      const shown = record.ids ? await this.#runMounts.shifted(record.id, data, record.ids) : data;
      await copyUp({ rootfs, path: mount.point.Destination, data: shown, stage: record.ids ? undefined : stage });
    }
    return subpath === '' ? data : this.#runMounts.subpath(record.id, data, subpath);
  }

  /** Gives the directory or file to mount: of the image, or of a part of it. */
  async #prepareImage(id: string, { point, request }: ContainerMount, chain: ChainId): Promise<string> {
    const [first, ...rest] = await this.#snapshots.mounts(chain);
    if (!first || rest.length > 0) throw new Error(`layer ${chain} is not one mount`);
    const path = this.#runMounts.image(first, point.Source);
    const subpath = request?.ImageOptions?.Subpath ?? '';
    return subpath === '' ? path : this.#runMounts.subpath(id, path, subpath);
  }

  #sharedMemory({ id, hostConfig }: ContainerRecord): string | undefined {
    const mode = hostConfig.IpcMode ?? '';
    if (mode === 'shareable') return this.#runMounts.makeSharedMemory(id, hostConfig.ShmSize || DEFAULT_SHM_SIZE);
    if (!mode.startsWith('container:')) return undefined;
    const other = this.#find(mode.slice('container:'.length));
    // whoever shares the host's has the host's to give
    if (other.hostConfig.IpcMode === 'host') return '/dev/shm';
    const shared = this.#runMounts.sharedMemory(other.id);
    if (shared !== undefined) return shared;
    throw new EngineError(
      'invalid-argument',
      `failed to join IPC namespace: container ${other.id}: non-shareable IPC ` +
        '(hint: use IpcMode:shareable for the donor container)',
    );
  }

  #runningUsers(name: string, except: string): number {
    return this.#volumes
      .usersOf(name, except)
      .filter((id) => RUNNING.includes(this.#containers.get(id)?.state.status ?? '')).length;
  }
}

/** What is not there beside the container's own image is no 404: of a create the docker CLI takes that for a missing image, and pulls. */
async function asInvalid<T>(find: () => Promise<T>): Promise<T> {
  try {
    return await find();
  } catch (error) {
    if (!(error instanceof EngineError) || error.code !== 'not-found') throw error;
    throw new EngineError('invalid-argument', error.message, { cause: error });
  }
}

const RUNNING: readonly string[] = ['running', 'paused', 'restarting'];

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

interface AskedMount {
  readonly request: MountRequest;
  /** Undefined of `--mount`. */
  readonly mode: string | undefined;
  readonly ownership?: Ownership | undefined;
}

/** `-v` and `--mount`, checked, no two at one place. Throws `invalid-argument` in Docker's words. */
function askedMounts({ hostConfig }: VolumePlanRequest): AskedMount[] {
  const asked: AskedMount[] = (hostConfig.Binds ?? []).map((spec) => parseBind(spec, hostConfig.VolumeDriver));
  for (const request of hostConfig.Mounts ?? []) {
    checkMount(request);
    asked.push({ request, mode: undefined });
  }
  const taken = new Set(Object.keys(hostConfig.Tmpfs ?? {}).map(destinationOf));
  for (const { request } of asked) {
    const destination = destinationOf(request.Target);
    if (taken.has(destination)) throw new EngineError('invalid-argument', `Duplicate mount point: ${destination}`);
    taken.add(destination);
  }
  return asked;
}

/** A volume of another container is taken as it is. */
function withoutCopy(request: MountRequest): MountRequest {
  if (request.Type !== 'volume') return request;
  return { ...request, VolumeOptions: { ...request.VolumeOptions, NoCopy: true } };
}

function tmpfsMountOptions(request: MountRequest | undefined): string[] {
  const { SizeBytes = 0, Mode, Options } = request?.TmpfsOptions ?? {};
  return [
    ...(request?.ReadOnly === true ? ['ro'] : []),
    ...(Options ?? []).flat(),
    ...(Mode ? [`mode=${Mode.toString(8)}`] : []),
    ...(SizeBytes > 0 ? [`size=${SizeBytes}`] : []),
  ];
}

function onHost(user: { uid: number; gid: number }, ids: ContainerIds): { uid: number; gid: number } {
  return { uid: ids.uid.base + user.uid, gid: ids.gid.base + user.gid };
}
