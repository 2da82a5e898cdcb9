import type { ContainerConfig, ContainerInspect, HostConfig } from '../../api/container.ts';
import type { ChainId, Digest } from '../../oci/digest.ts';
import type { ImageConfig, ImageRunConfig } from '../../oci/image.ts';
import type { UserMount } from '../../runtime/spec/mounts.ts';
import type { OciSpec, ProcessSpec, LinuxResources } from '../../runtime/spec/oci-spec.ts';
import type { OutputChunk, TaskLog } from '../../runtime/task.ts';
import type { ContainerMount, ContainerRecord } from '../../state/containers.ts';
import type { LogOptions } from '../engine.ts';
import type { PreparedNetwork } from '../networks/networking.ts';

/**
 * What the life of a container needs of the other parts of the engine, and no more than that.
 * `engine/open.ts` gives the real ones, unit tests give small ones in memory.
 */
export interface ContainerImages {
  /** Throws `not-found`: `No such image: busybox:latest`. The image is kept from collection while a container has it. */
  resolve(reference: string, platform?: string): Promise<ResolvedImage>;
  /** Ids of the image named and of every image made from it, for the filter `ancestor`; empty when there is none. */
  descendants(reference: string): Promise<ReadonlySet<string>>;
}

export interface ResolvedImage {
  readonly id: Digest;
  readonly config: ImageConfig;
  readonly chain: ChainId | undefined;
  readonly descriptor?: ContainerInspect['ImageManifestDescriptor'];
}

export interface ContainerVolumes {
  /** Resolves binds, mounts, `--volumes-from` and the image's volumes; creates the volumes that do not exist. Undone by `release`. */
  plan(request: VolumePlanRequest): Promise<readonly ContainerMount[]>;
  /** Before every start, with the root mounted: sources exist, volumes are mounted, empty ones are filled from the image. Throws `invalid-argument` in Docker's words. */
  prepare(record: ContainerRecord, rootfs: string): Promise<PreparedMounts>;
  /** After every run, or a failed start: undoes what `prepare` mounted on the host. Idempotent. */
  unmount(record: ContainerRecord): Promise<void>;
  /** The container is gone: nothing keeps its volumes any more; the anonymous ones are deleted when asked. */
  release(record: ContainerRecord, options: { readonly anonymous: boolean }): Promise<void>;
}

/** A run's mounts with their places on the host settled. */
export interface PreparedMounts {
  readonly mounts: readonly UserMount[];
  /** Host directory to be /dev/shm, when other containers may join the IPC namespace. */
  readonly shm?: string | undefined;
}

export interface VolumePlanRequest {
  readonly id: string;
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
  readonly image: ImageRunConfig | undefined;
}

/** From Docker's options to the runtime's documents. */
export interface ContainerSpecs {
  /** Refuses what can never start; gives the warnings for what this host will not honour. Throws `invalid-argument`. */
  check(config: ContainerConfig, hostConfig: HostConfig): readonly string[];
  build(request: SpecRequest): Promise<OciSpec>;
  /** A further process in the running container: its user looked up in the container's own files. */
  process(record: ContainerRecord, rootfs: string, request: ExecProcessRequest): Promise<ProcessSpec>;
  resources(hostConfig: HostConfig): LinuxResources;
}

export interface SpecRequest {
  readonly record: ContainerRecord;
  readonly rootfs: string;
  readonly network: PreparedNetwork;
  readonly mounts: PreparedMounts;
  /** Pid of the container whose namespaces are joined (`container:x`), by kind. */
  readonly joins: { readonly ipc?: number; readonly pid?: number };
}

export interface ExecProcessRequest {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly user: string;
  readonly workingDir: string;
  readonly tty: boolean;
  readonly privileged: boolean;
}

/** Readers of the log record that the monitor writes. */
export interface ContainerLogs {
  read(log: TaskLog, options: LogOptions & { readonly live: boolean }): AsyncIterable<OutputChunk>;
  remove(log: TaskLog): Promise<void>;
}

/** The container's root filesystem, mounted where the task expects it. */
export interface ContainerRoots {
  /** Idempotent. Gives the path. */
  mount(id: string): Promise<string>;
  /** Idempotent. */
  unmount(id: string): Promise<void>;
}
