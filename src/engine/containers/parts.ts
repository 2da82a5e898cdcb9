import type { ContainerConfig, ContainerInspect, FilesystemChange, HostConfig, PathStat } from '../../api/container.ts';
import type { ExecSecret, SecretReference } from '../../api/secret.ts';
import type { OperationOptions } from '../../base/operation.ts';
import type { Bytes } from '../../content/content-store.ts';
import type { ChainId, Digest } from '../../oci/digest.ts';
import type { ImageConfig, ImageRunConfig } from '../../oci/image.ts';
import type { UserMount } from '../../runtime/spec/mounts.ts';
import type { OciSpec, ProcessSpec, LinuxResources } from '../../runtime/spec/oci-spec.ts';
import type { OutputChunk, TaskLog } from '../../runtime/task.ts';
import type { ContainerIds, ContainerMount, ContainerRecord } from '../../state/containers.ts';
import type { PreparedNetwork } from '../networks/networking.ts';
import type { TrashTicket } from '../trash/trash.ts';

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
  /** Mounts of the engine's own, seen with the ids of the container's user namespace where it has one. Undone by `unmount`. */
  shifted(record: ContainerRecord, mounts: readonly UserMount[]): Promise<readonly UserMount[]>;
  /** After every run, or a failed start: undoes what `prepare` mounted on the host. Idempotent. */
  unmount(record: ContainerRecord): Promise<void>;
  /** The container is gone: nothing keeps its volumes any more; the anonymous ones are deleted when asked. */
  release(
    record: ContainerRecord,
    options: { readonly anonymous: boolean; readonly ticket?: TrashTicket | undefined },
  ): Promise<void>;
}

export interface ContainerSecrets {
  /** The references of a create, each with the secret's id and name. Throws `invalid-argument`. */
  plan(references: readonly SecretReference[]): SecretReference[];
  /** Before every start: the secrets as files in memory, beside the run's other mounts. Undone by the volumes' `unmount`. */
  prepare(record: ContainerRecord, others: readonly UserMount[]): readonly UserMount[];
  /** For one exec: descriptors that only its process gets, and the variables that tell where they are. The caller closes them. */
  forExec(secrets: readonly ExecSecret[]): { readonly fds: readonly number[]; readonly env: readonly string[] };
  /** A run has ended: looks for the values in its output. */
  runEnded(record: ContainerRecord): Promise<void>;
  /** An image was made of the container: looks for the values in it. */
  committed(record: ContainerRecord, image: string): Promise<void>;
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
  /** Refuses what can never start; gives the warnings for what this host will not honour. A host name is there only when it was asked for. Throws `invalid-argument`. */
  check(config: ContainerConfig, hostConfig: HostConfig): readonly string[];
  /** What was asked, or this host's default. */
  cgroupNamespace(hostConfig: HostConfig): 'private' | 'host';
  /** The API's name of the AppArmor profile that the container has when it runs; empty where the host has none. */
  appArmorProfile(hostConfig: HostConfig): string;
  build(request: SpecRequest): Promise<OciSpec>;
  /** A further process in the running container: its user looked up in the container's own files. */
  process(record: ContainerRecord, rootfs: string, request: ExecProcessRequest): Promise<ProcessSpec>;
  /** Throws `invalid-argument` when the container has no such user or group; empty is its own. */
  checkUser(record: ContainerRecord, rootfs: string, user: string): void;
  resources(hostConfig: HostConfig): LinuxResources;
  /** Ids of the container's user, looked up in its files. */
  user(record: ContainerRecord, rootfs: string): Promise<{ readonly uid: number; readonly gid: number }>;
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

/** Readers of the record of output that the monitors write. Each has its own cursor: reading slows no container. */
export interface ContainerLogs {
  /** Behind the last byte written now: where a client begins that attaches. */
  end(log: TaskLog): LogPosition;
  read(log: TaskLog, options: LogReadOptions): AsyncIterable<OutputChunk>;
}

/** A place in the record that rotation does not move. Its content is the reader's own. */
export type LogPosition = object;

export interface LogReadOptions {
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Undefined is the oldest line kept. */
  readonly from?: LogPosition | undefined;
  /** Lines from the end. */
  readonly tail?: number | undefined;
  /** Nanoseconds since the epoch, both included. */
  readonly since?: bigint | undefined;
  readonly until?: bigint | undefined;
  readonly timestamps?: boolean | undefined;
  /** Put before each line, after the time (`--details`). */
  readonly details?: string | undefined;
  /** Go on with what comes, until this resolves; then what is there is read to its end. Undefined: only what is there. */
  readonly follow?: Promise<unknown> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Files of containers; `ids` are those of a user namespace, which `root` is seen with. `root` is hostile ground: no link in it leads out. `container` is what the user called it, for messages. */
export interface ContainerFiles {
  /** What the container's snapshot changed. */
  changes(record: ContainerRecord): Promise<FilesystemChange[]>;
  export(root: string, options?: OperationOptions & { ids?: ContainerIds | undefined }): Promise<Bytes>;
  /** Throws `not-found`: `Could not find the file … in container …`. */
  stat(root: string, path: string, container: string): Promise<PathStat>;
  get(
    root: string,
    path: string,
    container: string,
    options?: OperationOptions & { ids?: ContainerIds | undefined },
  ): Promise<{ stat: PathStat; tar: Bytes }>;
  put(
    root: string,
    path: string,
    tar: Bytes,
    container: string,
    options?: OperationOptions & {
      noOverwriteDirNonDir?: boolean;
      owner?: { readonly uid: number; readonly gid: number };
      ids?: ContainerIds | undefined;
    },
  ): Promise<void>;
}

/** Makes an image of a container's changes. */
export interface ContainerCommitter {
  /** `config` is the new image's run configuration, whole. Gives its id. */
  commit(request: {
    readonly record: ContainerRecord;
    readonly config: ImageRunConfig;
    readonly repository: string | undefined;
    readonly tag: string | undefined;
    readonly author: string;
    readonly comment: string;
  }): Promise<{ readonly id: string; readonly reference: string | undefined }>;
}

/**
 * The containers' root filesystems, mounted where their tasks expect them. Several may hold one: a run, a copy out of
 * a stopped container; the last to let go unmounts it.
 */
export interface ContainerRoots {
  /** Gives the path. */
  hold(id: string): Promise<string>;
  release(id: string): Promise<void>;
  /** Where it is while somebody holds it. */
  path(id: string): string;
  /** A run that an earlier engine started holds its root already. */
  adopt(id: string): void;
  /** A run of an earlier engine is over: its root goes once `ended` has resolved, before anybody holds it again. */
  clear(id: string, ended: Promise<unknown>): Promise<void>;
  /** Unmounts what an earlier engine left, but for those of `keep`. */
  sweep(keep: ReadonlySet<string>): Promise<void>;
}
