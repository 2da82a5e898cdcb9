/**
 * What the engine offers, to the daemon's handlers and to programs that import it: these interfaces, and nothing else.
 *
 * Documents (`ContainerCreateRequest`, `ContainerInspect`, …) are the Engine API's newest shape, from `api/`: there is one
 * set of them, and what older API versions look like is the daemon's business alone. Names resolve as Docker resolves
 * them: full id, name, or a unique prefix of an id. Every method throws `EngineError`.
 */
import type { DockerfileSource } from '../build/dockerfile/source.ts';
import type { Inventory } from '../api/inventory.ts';
import type {
  BuildCheckDocument,
  BuildDescriptionDocument,
  CacheMountDocument,
  DiskPart,
  RecentBuildDocument,
  RegistryListenerDocument,
  VolumeFilesDocument,
} from '../api/gantry.ts';
import type { AuthConfig } from '../api/auth.ts';
import type {
  ContainerCreateRequest,
  ContainerCreateResponse,
  ContainerInspect,
  ContainerStats,
  ContainerSummary,
  ContainerTop,
  ContainerUpdateRequest,
  FilesystemChange,
  PathStat,
  PruneContainersReport,
} from '../api/container.ts';
import type { ExecCreateRequest, ExecInspect } from '../api/exec.ts';
import type { Filters } from '../api/filters.ts';
import type { NameTraceDocument, PortChangeDocument, PortsDocument } from '../api/gantry.ts';
import type { ImageDeleteItem, ImageHistoryItem, ImageInspect, ImageSummary, PruneImagesReport } from '../api/image.ts';
import type {
  NetworkConnectRequest,
  NetworkCreateRequest,
  NetworkCreateResponse,
  NetworkDisconnectRequest,
  NetworkInspect,
} from '../api/network.ts';
import type {
  Secret,
  SecretEnsured,
  SecretRotateRequest,
  SecretRotation,
  SecretScanReport,
  SecretScanRequest,
  SecretSpec,
} from '../api/secret.ts';
import type { BuildCacheRecord, DiskUsage, EngineEvent, SystemInfo, SystemVersion } from '../api/system.ts';
import type { PruneVolumesReport, Volume, VolumeCreateRequest, VolumeListResponse } from '../api/volume.ts';
import type { TrashDocument, TrashEmptyReport, TrashRestoreReport, TrashRestoreRequest } from '../api/trash.ts';
import type { WhyDocument } from '../api/why.ts';
import type { VolumeCopyRequest } from '../api/gantry.ts';
import type { Scope, ScopeCreated, ScopeCreateRequest } from '../api/scope.ts';
import type { OperationOptions } from '../base/operation.ts';
import type { Bytes } from '../content/content-store.ts';
import type { Digest } from '../oci/digest.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { RegistrySettings } from '../registry/server/settings.ts';
import type { OutputChunk } from '../runtime/task.ts';
import type { CollectionRule, PruneOptions } from './builder/build-cache.ts';
import type { GraphBuild, GraphBuildOptions } from './builder/graph/graph-build.ts';
import type { BuildEvent } from './builder/build-event.ts';
import type { BuildSession } from './builder/build-session.ts';
import type { ClientOutput } from './builder/outputs/deliver.ts';
import type { SolvedImage } from './builder/solved-build.ts';
import type { SourceRules } from './builder/sources/source-rules.ts';
import type { BuildOutputRequest } from './builder/outputs/output.ts';

export type { BuildEvent } from './builder/build-event.ts';
export type { BuildSession, FailedStep, StepShell, TerminalSize } from './builder/build-session.ts';
export type { ClientDirectorySource } from './builder/client-files/client-files.ts';

export interface EngineServices extends AsyncDisposable {
  readonly containers: ContainerService;
  readonly execs: ExecService;
  readonly images: ImageService;
  readonly networks: NetworkService;
  readonly volumes: VolumeService;
  readonly secrets: SecretService;
  readonly builder: BuildService;
  readonly system: SystemService;
  readonly events: EventService;
  readonly trash: TrashService;
  readonly registry: RegistryService;
  readonly scopes: ScopeService;
  /** Lets go of everything; containers go on running. */
  close(): Promise<void>;
}

/** What was removed, while it can be brought back. Empty where `trash` is not configured. */
export interface TrashService {
  list(): Promise<TrashDocument>;
  /** By operation or name; none is the last operation. What cannot be brought back stays, and is told. Throws `not-found`. */
  restore(request: TrashRestoreRequest): Promise<TrashRestoreReport>;
  /** Deletes for good; without ids all of it. Throws `not-found`. */
  empty(ids?: readonly string[]): Promise<TrashEmptyReport>;
}

export interface ContainerService {
  /** Throws `not-found` (`No such image: …`), `conflict` (name in use), `invalid-argument`. Nothing is left of a failed create. */
  create(
    request: ContainerCreateRequest,
    options?: { name?: string; platform?: string },
  ): Promise<ContainerCreateResponse>;
  /** Throws `not-modified` when it runs already. */
  start(id: string): Promise<void>;
  /** Sends the stop signal, after `timeoutSeconds` SIGKILL (-1: never). Throws `not-modified` when it does not run. */
  stop(id: string, options?: { signal?: string; timeoutSeconds?: number; abort?: AbortSignal }): Promise<void>;
  restart(id: string, options?: { signal?: string; timeoutSeconds?: number }): Promise<void>;
  kill(id: string, signal?: string): Promise<void>;
  pause(id: string): Promise<void>;
  unpause(id: string): Promise<void>;
  rename(id: string, name: string): Promise<void>;
  update(id: string, request: ContainerUpdateRequest): Promise<{ Warnings: string[] }>;
  /**
   * Publishes ports and takes published ones back, of a running container at once and for every later run. What is removed
   * goes first. Connections that exist go on. Throws `not-found` for a port that is not published, `conflict`.
   */
  changePorts(id: string, change: PortChangeDocument): Promise<PortsDocument>;
  remove(id: string, options?: { force?: boolean; volumes?: boolean; link?: boolean }): Promise<void>;
  /** Registers at once (so that nothing started afterwards is missed) and resolves to the outcome when the condition holds. */
  wait(
    id: string,
    condition: 'not-running' | 'next-exit' | 'removed',
    signal?: AbortSignal,
  ): Promise<{ outcome: Promise<{ exitCode: number; error?: string }> }>;
  inspect(id: string, options?: { size?: boolean }): Promise<ContainerInspect>;
  /** Why it stopped, restarts, is unhealthy or cannot be reached, from what was recorded; of one that was removed lately too. */
  why(id: string): Promise<WhyDocument>;
  list(options?: { all?: boolean; limit?: number; size?: boolean; filters?: Filters }): Promise<ContainerSummary[]>;
  top(id: string, psArgs?: string): Promise<ContainerTop>;
  /** One sample, or one a second until `signal` aborts or the container goes. `oneShot` skips the sample before. */
  stats(
    id: string,
    options: { stream: boolean; oneShot?: boolean; signal?: AbortSignal },
  ): Promise<AsyncIterable<ContainerStats>>;
  /** Throws `not-found`, `unimplemented` (a log driver that cannot be read). Consecutive lines of one stream may come in one chunk. */
  logs(id: string, options: LogOptions): Promise<{ tty: boolean; output: AsyncIterable<OutputChunk> }>;
  /** Attaches before anything is printed by a later `start`. */
  attach(id: string, options: AttachOptions): Promise<AttachSession>;
  resize(id: string, size: { rows: number; columns: number }): Promise<void>;
  changes(id: string): Promise<FilesystemChange[]>;
  export(id: string, options?: OperationOptions): Promise<Bytes>;
  /** Follows no symlink out of the container's root. Throws `not-found` (`Could not find the file … in container …`). */
  archiveStat(id: string, path: string): Promise<PathStat>;
  archiveGet(id: string, path: string, options?: OperationOptions): Promise<{ stat: PathStat; tar: Bytes }>;
  archivePut(
    id: string,
    path: string,
    tar: Bytes,
    options?: OperationOptions & { noOverwriteDirNonDir?: boolean; copyUidGid?: boolean },
  ): Promise<void>;
  commit(id: string, options: CommitOptions): Promise<{ Id: string }>;
  prune(filters: Filters): Promise<PruneContainersReport>;
}

export interface SecretService {
  /** Throws `conflict` when the name is taken, `invalid-argument`. */
  create(spec: SecretSpec): Promise<{ ID: string }>;
  list(filters?: Filters): Promise<Secret[]>;
  inspect(name: string): Promise<Secret>;
  /** Throws `conflict` while a container has it. */
  remove(name: string): Promise<void>;
  /** Labels only, and only of the version that is current. */
  update(name: string, version: number, spec: SecretSpec): Promise<void>;
  /** A new value, which running containers get at once when asked, others at their next start. */
  rotate(name: string, request: SecretRotateRequest): Promise<SecretRotation>;
  /** Makes it when it is not there; another value replaces the one it has, in running containers too. */
  ensure(spec: SecretSpec): Promise<SecretEnsured>;
  /** Seals every secret with a new key and forgets the old one. */
  rotateKey(): Promise<{ Secrets: number }>;
  /** Searches a container's log or an image for values of secrets. */
  scan(request: SecretScanRequest): Promise<SecretScanReport>;
}

export interface LogOptions extends OperationOptions {
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly follow?: boolean;
  /** Nanoseconds since the epoch, both ends included. */
  readonly since?: bigint;
  readonly until?: bigint;
  readonly timestamps?: boolean;
  readonly details?: boolean;
  /** Lines from the end; undefined is all. */
  readonly tail?: number;
}

export interface AttachOptions {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Send what is already in the log first. */
  readonly logs: boolean;
  /** Follow what comes; false only with `logs`. */
  readonly stream: boolean;
  readonly detachKeys?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A client at a container's streams. Its pace is its own: nothing here slows the container. */
export interface AttachSession {
  readonly tty: boolean;
  /** Ends when the container's run ends, or the client detached by its keys. */
  readonly output: AsyncIterable<OutputChunk>;
  /** Gives `detached` once the detach keys were typed: nothing further is passed on. */
  write(data: Uint8Array): Promise<'passed' | 'detached'>;
  /** The client sends no more (half-close). */
  endInput(): Promise<void>;
  /** The client is gone. */
  close(): void;
}

export interface CommitOptions {
  readonly repo?: string;
  readonly tag?: string;
  readonly comment?: string;
  readonly author?: string;
  readonly pause?: boolean;
  /** Dockerfile instructions. */
  readonly changes?: readonly string[];
  readonly config?: Record<string, unknown>;
}

export interface ExecService {
  /** Throws `not-found`, `conflict` (not running, paused), `invalid-argument` (`No exec command specified`). */
  create(containerId: string, request: ExecCreateRequest): Promise<{ Id: string }>;
  /** Starts without a client. */
  startDetached(id: string): Promise<void>;
  start(
    id: string,
    options: { tty: boolean; consoleSize?: { rows: number; columns: number } | undefined; signal?: AbortSignal },
  ): Promise<AttachSession>;
  resize(id: string, size: { rows: number; columns: number }): Promise<void>;
  inspect(id: string): Promise<ExecInspect>;
}

export interface ImageService {
  list(options?: {
    all?: boolean;
    filters?: Filters;
    sharedSize?: boolean;
    manifests?: boolean;
    digests?: boolean;
  }): Promise<ImageSummary[]>;
  inspect(name: string, options?: { platform?: string; manifests?: boolean }): Promise<ImageInspect>;
  history(name: string, options?: { platform?: string }): Promise<ImageHistoryItem[]>;
  /** Packages installed in an image, of every kind that `scan` knows. */
  inventory(name: string, options?: { platform?: string; signal?: AbortSignal }): Promise<Inventory>;
  pull(
    reference: string,
    options: OperationOptions & { auth?: AuthConfig | undefined; platform?: string | undefined; all?: boolean },
  ): Promise<void>;
  push(
    reference: string,
    options: OperationOptions & { auth?: AuthConfig | undefined; platform?: string | undefined; all?: boolean },
  ): Promise<void>;
  tag(source: string, repository: string, tag?: string): Promise<void>;
  /** Untags, and deletes what nothing refers to any more. */
  remove(
    name: string,
    options?: { force?: boolean; noPrune?: boolean; platforms?: string[] },
  ): Promise<ImageDeleteItem[]>;
  prune(filters: Filters): Promise<PruneImagesReport>;
  /** `docker save`: one archive that is both docker-archive and OCI layout; the same images give the same bytes. */
  save(names: readonly string[], options?: OperationOptions & { platforms?: string[] }): Promise<Bytes>;
  /** Throws `invalid-argument`, `corrupt`; a refused archive leaves nothing. Progress lines are Docker's (`Loaded image: …`). */
  load(archive: Bytes, options?: OperationOptions & { platforms?: string[]; quiet?: boolean }): Promise<void>;
  /** `docker import`: a filesystem tar, any known compression, becomes an image of one layer. */
  import(
    archive: Bytes,
    options?: OperationOptions & {
      repository?: string;
      tag?: string;
      message?: string;
      changes?: readonly string[];
      platform?: string;
    },
  ): Promise<{ id: string }>;
  search(
    term: string,
    options: { limit?: number; filters?: Filters; auth?: AuthConfig | undefined },
  ): Promise<Record<string, unknown>[]>;
  /** What a registry holds under the name: descriptor and platforms. */
  distribution(reference: string, auth?: AuthConfig): Promise<Record<string, unknown>>;
  /** Makes a base image from a distribution's packages. */
  bootstrap(request: BootstrapRequest, options?: OperationOptions): Promise<{ id: string }>;
  /** Reads every blob and layer again; reports what is damaged, missing, or orphaned. */
  fsck(options?: OperationOptions & { repair?: boolean }): Promise<FsckReport>;
}

export interface BootstrapRequest {
  /** `debian:bookworm-slim`, `debian:trixie`, `ubuntu:noble`: distribution, and suite with an optional `-slim`. */
  readonly base: string;
  readonly include?: readonly string[];
  readonly suite?: string;
  readonly mirror?: string;
  /** `linux/arm64`: packages for another platform than this machine's own. */
  readonly platform?: string;
  /** References to give it; none means `base` itself. Labels say that it was bootstrapped here. */
  readonly tags?: readonly string[];
}

export interface FsckReport {
  readonly blobs: number;
  readonly bytes: number;
  readonly problems: readonly {
    readonly kind: string;
    readonly what: string;
    readonly detail: string;
    readonly repaired: boolean;
  }[];
}

export interface NetworkService {
  create(request: NetworkCreateRequest): Promise<NetworkCreateResponse>;
  list(filters?: Filters): Promise<NetworkInspect[]>;
  inspect(id: string, options?: { verbose?: boolean; scope?: string }): Promise<NetworkInspect>;
  remove(id: string): Promise<void>;
  connect(id: string, request: NetworkConnectRequest): Promise<void>;
  disconnect(id: string, request: NetworkDisconnectRequest): Promise<void>;
  /** How a running container finds a name, step by step; without one, how the host does. Throws `not-found`, `conflict`. */
  traceName(name: string, container?: string): Promise<NameTraceDocument>;
  prune(filters: Filters): Promise<{ NetworksDeleted: string[] | null }>;
}

export interface VolumeService {
  create(request: VolumeCreateRequest): Promise<Volume>;
  list(filters?: Filters): Promise<VolumeListResponse>;
  inspect(name: string): Promise<Volume>;
  remove(name: string, options?: { force?: boolean }): Promise<void>;
  prune(filters: Filters): Promise<PruneVolumesReport>;
  /** Throws `conflict` while a container has it, running or not, and when `to` exists. */
  rename(name: string, to: string): Promise<Volume>;
  /** A new volume with the same files: they share their space on the disk where the filesystem can. Nobody sees it before it is whole. */
  clone(name: string, request: VolumeCopyRequest, options?: OperationOptions): Promise<Volume>;
  /** As `clone`, named by the time where no name is given. */
  snapshot(name: string, request?: VolumeCopyRequest, options?: OperationOptions): Promise<Volume>;
  /** All files as a tar, names relative to the volume. */
  export(name: string, options?: OperationOptions): Promise<Bytes>;
  /** What is in a directory of the volume: at most a thousand names. Throws `not-found`, `invalid-argument`. */
  files(name: string, path: string): Promise<VolumeFilesDocument>;
  /** Throws `not-found`, `invalid-argument` when it is no regular file. */
  readFile(name: string, path: string): Promise<{ readonly size: number; readonly content: Bytes }>;
  /** Fills a new volume, or one without files, from a tar, any known compression; all or nothing. Throws `conflict`, `corrupt`, `too-large`. */
  import(name: string, tar: Bytes, options?: OperationOptions): Promise<Volume>;
}

export interface BuildRequest {
  /** Secrets of steps that are the engine's own: its name for each id. */
  readonly engineSecrets?: Readonly<Record<string, string>>;
  /** Digests of the images that may be used, by name with tag; others are refused. Undefined: any, as they are now. */
  readonly pins?: Readonly<Record<string, string>>;
  readonly dockerfile?: string;
  /** The Dockerfile itself, when it is not a file of the context; `dockerfile` is its name then. */
  readonly dockerfileText?: string;
  /** `dockerfileText` is what these files make together, which a door has read. */
  readonly dockerfileSource?: DockerfileSource;
  /** A Dockerfile that is for another frontend (`# syntax=`) than Docker's own is refused; otherwise it is read as what it is. */
  readonly refuseOtherFrontends?: boolean;
  /** Contexts with a name (`--build-context`): `local` for a directory of the session, `docker-image://…`, an address, or `input:name`. */
  readonly contexts?: Readonly<Record<string, string>>;
  /** What steps may ask for that is not theirs: `network.host`, `security.insecure`. */
  readonly allow?: readonly string[];
  /** Stages whose steps are made again whatever is known of them. */
  readonly noCacheFilter?: readonly string[];
  /** Lines of `.dockerignore`, when they are not read from the context. */
  readonly ignore?: readonly string[];
  readonly tags?: readonly string[];
  readonly buildArgs?: Readonly<Record<string, string | null>>;
  readonly labels?: Readonly<Record<string, string>>;
  /** False: the image has none of the labels of what its stage begins with. */
  readonly inheritLabels?: boolean;
  readonly target?: string;
  readonly noCache?: boolean;
  readonly pull?: boolean;
  readonly quiet?: boolean;
  readonly platform?: string;
  readonly networkMode?: string;
  readonly extraHosts?: readonly string[];
  readonly shmSize?: number;
  /** As of a container: `seccomp=…`, `no-new-privileges`. */
  readonly securityOpt?: readonly string[];
  readonly remote?: string;
  /** Names of images that are here, or `type=registry,ref=…`, `type=local,src=…` as buildx writes them. */
  readonly cacheFrom?: readonly string[];
  /** `type=inline`, `type=registry,ref=…,mode=max`, `type=local,dest=…` */
  readonly cacheTo?: readonly string[];
  readonly limits?: {
    readonly memory?: number;
    readonly memorySwap?: number;
    readonly cpuShares?: number;
    readonly cpuPeriod?: number;
    readonly cpuQuota?: number;
    readonly cpusetCpus?: string;
    readonly cpusetMems?: string;
    readonly cgroupParent?: string;
  };
  readonly ulimits?: readonly { readonly Name: string; readonly Soft: number; readonly Hard: number }[];
  readonly squash?: boolean;
  /** Where what is built goes; none is the image store. */
  readonly outputs?: readonly BuildOutputRequest[];
  /** `[manifest|index|manifest-descriptor|index-descriptor[platform]:]key=value` */
  readonly annotations?: readonly string[];
  /** `type=sbom`, `type=provenance,mode=max`: said about the images beside them, in an index. */
  readonly attestations?: readonly string[];
  /** Let the session's user into a step that fails (`BuildSession.shell`), before the build ends. */
  readonly enterFailed?: boolean;
  /** Build again without the cache and compare: throws `conflict` with the first difference, by file and field. */
  readonly verify?: boolean;
  /** Tell at the end what every step was: an `aux` of `{ Report }` for each platform. */
  readonly report?: boolean;
  /** Say of every step that is not cached why, against the record it would have used. */
  readonly explain?: boolean;
  readonly auth?: Readonly<Record<string, AuthConfig>>;
}

/** What a build is given besides its request. */
export interface BuildOptions extends OperationOptions {
  /** Every step as it begins, speaks and ends. Never awaited. */
  readonly onEvent?: ((event: BuildEvent) => void) | undefined;
  /** Steps are told by events alone, not by lines of progress too. */
  readonly eventsOnly?: boolean | undefined;
  /** The client's secrets, ssh agent and directories. */
  readonly session?: BuildSession | undefined;
  /** What another build made that runs now, by the name that `contexts` has for it as `input:name`. */
  readonly inputOf?: ((name: string) => SolvedImage | undefined) | undefined;
  /** What the build may take from elsewhere; anything without them. */
  readonly sourceRules?: SourceRules | undefined;
  /** Reads a file of the directory of the client that `cacheFrom[index]` means; undefined when it is not there. */
  readonly onInput?: ((index: number, path: string) => Promise<Bytes | undefined>) | undefined;
  /**
   * Called when all is built, in place of `outputs` of the request: what becomes of it. Everything stays as it is until the
   * promise is settled; a rejection is the build's.
   */
  readonly outputsOf?: ((images: readonly SolvedImage[]) => Promise<readonly BuildOutputRequest[]>) | undefined;
  /** Takes an output that is a stream (`local`, `tar`, `oci`, `docker` with a destination), or a cache; the build waits until it is through. */
  readonly onOutput?: ((output: ClientOutput) => Promise<void>) | undefined;
}

/** What came of a build. */
export interface BuildResult {
  /** Of the image for this machine's platform, or of the first one. */
  readonly id: string;
  /** Of the manifest or index, where one was made: with outputs that write one down. */
  readonly descriptor?: Descriptor | undefined;
  readonly names?: readonly string[];
}

export interface BuildService {
  /**
   * `context` is a tar, any known compression; without one it is the session's directory `context`. Progress carries the classic builder's
   * stream lines, and `aux: { ID }` at the end.
   */
  build(context: Bytes | undefined, request: BuildRequest, options?: BuildOptions): Promise<BuildResult>;
  /** The configuration of an image as builds see it: from the store, or pulled. Throws `not-found`. */
  imageConfig(
    name: string,
    options?: OperationOptions & { readonly platform?: string; readonly pull?: boolean; readonly auth?: AuthConfig },
  ): Promise<{ readonly reference: string; readonly digest: Digest; readonly config: string }>;
  /** Judges the Dockerfile of a context without building it. */
  check(
    context: Bytes,
    request: Pick<BuildRequest, 'dockerfile' | 'platform' | 'buildArgs'> & {
      /** The context holds all the names that a build would have, be they empty files. */
      readonly namesOnly?: boolean;
    },
    options?: OperationOptions,
  ): Promise<BuildCheckDocument>;
  /** What can be built of a context's Dockerfile, and what a target can be given. Throws `invalid-argument`. */
  describe(
    context: Bytes,
    request: Pick<BuildRequest, 'dockerfile' | 'platform' | 'target' | 'buildArgs'>,
    options?: OperationOptions,
  ): Promise<BuildDescriptionDocument>;
  /** What builds can run here, and what of their cache goes by itself. */
  facts(): Promise<{ readonly platforms: readonly string[]; readonly collection: readonly CollectionRule[] }>;
  /** Opens a place where graphs of operations are solved, for one client: what they give is held until it is disposed. */
  openGraphs(options: GraphBuildOptions): Promise<GraphBuild>;
  cancel(buildId: string): Promise<void>;
  /** Removes what no build uses now, the longest unused first, down to the limits. Throws `invalid-argument`. */
  prune(options: PruneOptions): Promise<{ CachesDeleted: string[] | null; SpaceReclaimed: number }>;
  diskUsage(): Promise<BuildCacheRecord[]>;
  /** Directories of RUN --mount=type=cache, by their ids. */
  readonly cacheMounts: CacheMountService;
  /** Builds of this run of the engine, newest first. */
  recent(): RecentBuildDocument[];
  /** One of them with the end of its output. Throws `not-found`. */
  recentBuild(id: string): RecentBuildDocument;
}

export interface CacheMountService {
  list(): Promise<CacheMountDocument[]>;
  /** Its files as a tar. Throws `not-found`. */
  export(id: string, options?: OperationOptions): Promise<Bytes>;
  /** All or nothing, in the place of what was there. Throws `conflict` while a step uses it, `corrupt`. */
  import(id: string, tar: Bytes, options?: OperationOptions): Promise<CacheMountDocument>;
  /** Throws `not-found`, `conflict`. */
  remove(id: string): Promise<CacheMountDocument>;
}

export interface SystemService {
  version(): Promise<SystemVersion>;
  info(): Promise<SystemInfo>;
  diskUsage(options?: { types?: readonly string[]; signal?: AbortSignal }): Promise<DiskUsage>;
  /** What the files of the data root take, by what they are for. Walks all of them: not cheap. */
  onDisk(signal?: AbortSignal): Promise<readonly DiskPart[]>;
  /** Tries credentials against a registry. */
  auth(config: AuthConfig): Promise<{ Status: string; IdentityToken: string }>;
}

export interface EventService {
  /** Past events since `since` (nanoseconds), then live ones until `until` or the abort. A slow reader loses the oldest, never memory. */
  subscribe(options?: {
    since?: bigint;
    until?: bigint;
    filters?: Filters;
    signal?: AbortSignal;
  }): AsyncIterable<EngineEvent>;
  publish(type: string, action: string, id: string, attributes: Record<string, string>): void;
}

/** The engine's images over the distribution protocol. */
export interface RegistryService {
  /** What a file says, or nothing said without one. Throws `invalid-argument`. */
  settings(file?: string): RegistrySettings;
  /** Settings that came from a client. Throws `invalid-argument`. */
  check(value: unknown): RegistrySettings;
  /** Throws `invalid-argument` for settings that cannot be, `conflict` for an address that is taken. */
  open(settings: RegistrySettings, options?: OpenRegistryOptions): Promise<OpenedRegistry>;
  list(): RegistryListenerDocument[];
  /** Closes it, and forgets it when it was kept. Throws `not-found`, `conflict` for what the daemon's settings say. */
  stop(address: string): Promise<void>;
  /** Opens what was kept. Never throws: what cannot be opened says so in the list. */
  restore(): Promise<void>;
  /** Closes all, after `graceMs` whatever they do. */
  close(options?: { graceMs?: number }): Promise<void>;
}

/** Which scopes there are; the daemon has their doors. */
export interface ScopeService {
  list(): Scope[];
  /** Throws `invalid-argument`, `conflict`. */
  create(request: ScopeCreateRequest): ScopeCreated;
  /** Throws `not-found`. */
  remove(name: string): void;
  byToken(token: string): Scope | undefined;
}

export interface OpenRegistryOptions {
  /** Every next engine opens it too, until it is stopped. */
  readonly keep?: boolean;
  /** Gets the lines about requests, which the engine reports anyway. */
  readonly audit?: (line: string) => void;
  readonly from?: 'client' | 'daemon';
}

export interface OpenedRegistry {
  /** `127.0.0.1:5000` */
  readonly address: string;
  /** Resolves once it is closed, by whomever. */
  readonly ended: Promise<void>;
  close(options?: { graceMs?: number }): Promise<void>;
}
