/**
 * Endpoints that Docker does not have, below `/gantry` (behind the version: `/v1.51/gantry/…`). Those of images answer with
 * JSON lines: progress as in a pull, one `aux` with the result, or one `error` at the end.
 *
 * Of volumes besides those below: `POST /gantry/volumes/{name}/rename?name=…` answers with the `Volume`, `GET
 * /gantry/volumes/{name}/archive` with a tar, and `PUT` there takes one and answers with the `Volume`.
 */
import type { PortBinding } from './network.ts';
import type { ProgressMessage } from './progress.ts';

/** `POST /gantry/images/bootstrap`, body `BootstrapRequestDocument`, answer lines of `BootstrapMessage`. */
export const BOOTSTRAP_PATH = '/gantry/images/bootstrap';
/** `POST /gantry/images/fsck?repair=1`, answer lines of `FsckMessage`. */
export const FSCK_PATH = '/gantry/images/fsck';

/**
 * Registries over the engine's images. `POST`, body the settings of a registry (docs/registries.md) with full paths of the
 * engine's machine: answer lines of `RegistryMessage`, the first with its address, and it is open as long as the client
 * stays; with `detach=1` the answer is `{"Address":…}`, and it is open until `DELETE …/{address}`, by each next engine too.
 * `GET` lists `RegistryListenerDocument`.
 */
export const REGISTRIES_PATH = '/gantry/registries';

export interface RegistryMessage {
  /** `127.0.0.1:5000` */
  readonly Address?: string;
  /** A line of JSON about a request. */
  readonly Audit?: string;
  /** Audit lines before this one that the client was too slow for. */
  readonly Dropped?: number;
}

export interface RegistryListenerDocument {
  readonly Address: string;
  readonly Tls: boolean;
  readonly Logins: boolean;
  /** `client`: as long as that stays. `kept`: until it is stopped. `daemon`: by the engine's own settings. */
  readonly From: 'client' | 'kept' | 'daemon';
  /** Why it is not served. */
  readonly Error?: string;
}

/** `GET /gantry/system/disk`: what the files of the data root take, by what they are for. Answers `DiskPart[]`. */
export const DISK_PATH = '/gantry/system/disk';

export interface DiskPart {
  /** `layers`, `blobs`, `containers`, `logs and files`, `volumes`, `build cache`, `reserve`, `other` */
  readonly Name: string;
  readonly Bytes: number;
}

/** The body of a bootstrap: what `BootstrapRequest` of the engine is, on the wire. */
export interface BootstrapRequestDocument {
  /** `debian:bookworm-slim`, `debian:trixie`, `ubuntu:noble`. */
  readonly Base: string;
  readonly Include?: readonly string[];
  readonly Suite?: string;
  readonly Mirror?: string;
  /** `linux/arm64`; the default is the engine's own. */
  readonly Platform?: string;
  readonly Tags?: readonly string[];
}

export interface BootstrapMessage extends ProgressMessage {
  /** Once, at the end of a success. */
  readonly aux?: { readonly ID: string; readonly Tags?: readonly string[] };
}

export interface FsckReportDocument {
  readonly Blobs: number;
  readonly Bytes: number;
  readonly Problems: readonly {
    readonly Kind: string;
    readonly What: string;
    readonly Detail: string;
    readonly Repaired: boolean;
  }[];
}

export interface FsckMessage extends ProgressMessage {
  /** Once, at the end. */
  readonly aux?: FsckReportDocument;
}

/**
 * `POST /gantry/containers/{id}/ports`, body `PortChangeDocument`, answer `PortsDocument`. An endpoint of its own and no
 * field of an update: an engine that does not know it says so, where dockerd would drop the field and report success.
 */
export function containerPortsPath(id: string): string {
  return `/gantry/containers/${id}/ports`;
}

/** Both as `PortBindings` of a container's `HostConfig`. */
export interface PortChangeDocument {
  readonly Add?: Record<string, PortBinding[] | null> | null;
  /** An empty `HostIp` or `HostPort` is any; a port of the container without bindings is all of its bindings. */
  readonly Remove?: Record<string, PortBinding[] | null> | null;
}

/** What is published now, as `NetworkSettings.Ports`; empty when the container does not run. */
export interface PortsDocument {
  readonly Ports: Record<string, PortBinding[] | null>;
}

/** `POST /gantry/volumes/{name}/clone` and `…/snapshot`; both answer with the new `Volume`. */
export interface VolumeCopyRequest {
  /** A snapshot without a name is named by the time. */
  Name?: string;
  Labels?: Record<string, string>;
  /** Copy although a running container writes into it: file by file, so what belongs together may be torn apart. */
  Live?: boolean;
}

/** On a container: `restart` begins a new run when its health check has failed for good. */
export const ON_UNHEALTHY_LABEL = 'gantry.on-unhealthy';

/** Of a copy: the volume that it was made from. */
export const VOLUME_SOURCE_LABEL = 'gantry.volume.source';

/** `GET /gantry/dns/trace?name=…&container=…` */
export const NAME_TRACE_PATH = '/gantry/dns/trace';

export interface NameTraceDocument {
  readonly Name: string;
  /** In the order in which they were asked; servers that race, as they answered. */
  readonly Steps: readonly {
    /** `web A` */
    readonly Question: string;
    readonly Source: string;
    readonly Result: string;
    readonly Milliseconds: number;
  }[];
  /** Empty when the name was not found. */
  readonly Addresses: readonly string[];
}

/**
 * `GET /gantry/build/mounts`: the directories of RUN --mount=type=cache. `GET …/archive?id=…` gives one as a tar, `PUT` there
 * takes one, `DELETE /gantry/build/mounts?id=…` removes one.
 */
export const CACHE_MOUNTS_PATH = '/gantry/build/mounts';

export interface CacheMountDocument {
  readonly Id: string;
  readonly InUse: boolean;
  /** Bytes. */
  readonly Size: number;
}

/**
 * `GET /gantry/build/outputs/{ticket}`: a tar that a build has ready. The ticket comes in the build's progress, as `aux`
 * with a `BuildOutputNotice`; the build waits until the stream was read.
 */
export function buildOutputPath(ticket: string): string {
  return `/gantry/build/outputs/${ticket}`;
}

/**
 * `PUT /gantry/build/inputs/{ticket}`: a file of the directory that a cache is read from (`type=local`), asked for by a
 * `BuildInputNotice` in the build's progress; with `?absent=1` and no body when there is none.
 */
export function buildInputPath(ticket: string): string {
  return `/gantry/build/inputs/${ticket}`;
}

export interface BuildInputNotice {
  readonly Input: {
    /** Of `cachefrom` in the request. */
    readonly Index: number;
    /** `index.json`, `blobs/sha256/…` */
    readonly Path: string;
    readonly Ticket: string;
  };
}

export interface BuildOutputNotice {
  readonly Output: {
    /** Which list of the request `Index` is of: `outputs`, or `cacheto`. */
    readonly Kind: 'output' | 'cache';
    /** Of `outputs` in the request, a list of `{"Type":…,"Attrs":{…}}` as JSON. */
    readonly Index: number;
    readonly Ticket: string;
  };
}

/** `POST /gantry/build/check?dockerfile=…`, body a build context of which only the Dockerfile and its ignore file count, answer `BuildCheckDocument`. */
export const BUILD_CHECK_PATH = '/gantry/build/check';

/** What a build did: `aux` `{ Report }` of a build with `report=1`, for each platform. */
export interface BuildReportDocument {
  readonly Platform: string;
  readonly Stages: readonly BuildReportStage[];
}

export interface BuildReportStage {
  readonly Index: number;
  readonly Name: string;
  /** `FROM node:22 AS build` */
  readonly Text: string;
  readonly Base: { readonly Stage?: number; readonly Image?: string };
  /** Bytes of the layers that the stage begins with. */
  readonly BaseSize: number;
  readonly Key: string;
  readonly Steps: readonly {
    readonly Text: string;
    readonly Line: number;
    /** `cached`, `shared`, `run`; empty for what is no step of its own. */
    readonly Origin: string;
    readonly Key: string;
    /** Bytes of its layer. */
    readonly Size: number;
    readonly HasLayer: boolean;
    readonly Milliseconds: number;
    /** Stages and images that it takes files from. */
    readonly From: readonly string[];
  }[];
}

/** `POST /gantry/build/describe?dockerfile=…&target=…&buildargs=…`, body as of a check, answer `BuildDescriptionDocument`. */
export const BUILD_DESCRIBE_PATH = '/gantry/build/describe';

export interface BuildDescriptionDocument {
  readonly Targets: BuildTargetsDocument;
  /** Of the target asked for. */
  readonly Outline: BuildOutlineDocument;
}

/** Lines of the Dockerfile, from 1. */
interface DockerfileLines {
  readonly ranges: readonly { readonly start: { readonly line: number }; readonly end: { readonly line: number } }[];
}

/** BuildKit's own JSON of `--call targets`. */
export interface BuildTargetsDocument {
  readonly targets: readonly {
    readonly name?: string;
    readonly default?: boolean;
    readonly description?: string;
    readonly base: string;
    readonly platform?: string;
    readonly location: DockerfileLines;
  }[];
  /** The Dockerfile, in base64. */
  readonly sources: readonly string[];
}

/** BuildKit's own JSON of `--call outline`. */
export interface BuildOutlineDocument {
  readonly name?: string;
  readonly description?: string;
  readonly args?: readonly {
    readonly name: string;
    readonly description?: string;
    readonly value?: string;
    readonly location: DockerfileLines;
  }[];
  readonly secrets?: readonly BuildNeedDocument[];
  readonly ssh?: readonly BuildNeedDocument[];
  readonly cache?: readonly { readonly ID: string; readonly location: DockerfileLines }[];
  /** The Dockerfile, in base64. */
  readonly sources: readonly string[];
}

interface BuildNeedDocument {
  readonly name: string;
  readonly required?: boolean;
  readonly location: DockerfileLines;
}

export interface BuildCheckDocument {
  readonly Warnings: readonly {
    readonly Rule: string;
    readonly Message: string;
    /** Of the Dockerfile, from 1. */
    readonly Line: number;
    /** The lines meant, marked. */
    readonly Excerpt: string;
    /** A rule that BuildKit does not have: advice. */
    readonly Own: boolean;
  }[];
  /** The Dockerfile asks for warnings to be errors. */
  readonly Fails: boolean;
  /** Every image that it names: FROM, COPY --from, RUN --mount=from. */
  readonly Images: readonly string[];
}

/**
 * `POST /gantry/build?…`, query as of `POST /build`, body `BuildDocument`, answer lines of `BuildMessage`: a build whose
 * client answers questions while it runs. An engine that does not know it says so, before anything was sent.
 */
export const BUILD_PATH = '/gantry/build';

/** `POST …?absent=1` when the client has nothing of that name. The body is the answer; of an ssh agent the connection itself. */
export function buildAnswerPath(token: string, id: number | string): string {
  return `/gantry/build/${token}/answers/${id}`;
}

export interface BuildDocument {
  /** 32 hex digits of chance: who knows them may answer for the client. */
  readonly Token: string;
  /** Names that the client has an answer for. */
  readonly Secrets?: readonly string[];
  readonly Ssh?: readonly string[];
  readonly Directories?: readonly BuildDirectoryDocument[];
  /** Stores with an OCI layout. */
  readonly Layouts?: readonly string[];
  /** The context is a tar, compressed or not. */
  readonly Archive?: boolean;
  /** The Dockerfile, when it is not in the context; `dockerfile` of the query is its name then. */
  readonly Dockerfile?: string;
  /** Lines of the ignore file that the client goes by. */
  readonly Ignore?: readonly string[];
}

export interface BuildDirectoryDocument {
  /** `context`, or a named context's. */
  readonly Name: string;
  /** The same for the same directory each time, and for no other. */
  readonly Key: string;
  /** For people. */
  readonly Label: string;
  /** sha256 of the manifest, in hex. */
  readonly Tree: string;
}

export interface BuildMessage extends ProgressMessage {
  readonly ask?: BuildQuestion;
  /** Instead of the steps' lines, when the query has `events=1`. */
  readonly event?: BuildEventDocument;
}

/** A step of a build as it begins, prints and ends. Times are milliseconds since the epoch. */
export interface BuildEventDocument {
  readonly Type: 'started' | 'output' | 'done' | 'failed' | 'warning';
  readonly Time?: number;
  readonly Vertex?: BuildVertexDocument;
  /** Of `done`: how the step got its result. */
  readonly Origin?: 'cached' | 'shared' | 'run';
  /** What was printed, what failed, what is warned of. */
  readonly Message?: string;
  /** Of `warning`. */
  readonly Rule?: string;
  readonly Line?: number;
}

export interface BuildVertexDocument {
  /** Unique for its platform in its build. */
  readonly Id: string;
  /** The instruction as written. */
  readonly Text: string;
  /** Index of its stage, and its name where it has one. */
  readonly Stage: number;
  readonly StageName?: string;
  /** Where a build is for several. */
  readonly Platform?: string;
  /** In its stage, from 0, and how many there are. */
  readonly Position: number;
  readonly Total: number;
  /** Of the Dockerfile, from 1. */
  readonly Line: number;
}

export interface BuildQuestion {
  readonly Id: number;
  readonly Kind: 'secret' | 'ssh' | 'manifest' | 'content' | 'archive' | 'file' | 'shell';
  /** Of `shell`: why the step failed. The answer is a connection that becomes a terminal in it, `h` and `w` in the query are its size. */
  readonly Name: string;
  /** Of `content`: which files of the manifest. */
  readonly Needed?: readonly number[];
  /** Of `file`: which one of the layout. */
  readonly Path?: string;
}

/** `GET /gantry/builds` lists them without `Output`, newest first; `GET /gantry/builds/{id}` gives one with it. */
export const RECENT_BUILDS_PATH = '/gantry/builds';

/** A build of this run of the engine. Times are milliseconds since the epoch. */
export interface RecentBuildDocument {
  readonly Id: string;
  readonly Tags: readonly string[];
  readonly Target: string;
  readonly Dockerfile: string;
  readonly Started: number;
  readonly Ended?: number;
  readonly State: 'running' | 'done' | 'failed';
  readonly Error?: string;
  /** Of the image, when it is done. */
  readonly Image?: string;
  readonly Steps: readonly RecentStepDocument[];
  /** The end of what the steps printed. */
  readonly Output?: string;
}

export interface RecentStepDocument {
  readonly Id: string;
  readonly Text: string;
  readonly Stage: number;
  readonly StageName: string;
  readonly Position: number;
  /** Of the Dockerfile, from 1. */
  readonly Line: number;
  readonly Started: number;
  readonly Ended?: number;
  /** `cached`: its record was there; `shared`: another build made it meanwhile; `run`. */
  readonly State: 'running' | 'cached' | 'shared' | 'run' | 'failed';
}

/** `GET /gantry/volumes/{name}/files?path=…` */
export interface VolumeFilesDocument {
  readonly Files: readonly VolumeFileDocument[];
  /** There are more than are told. */
  readonly Truncated: boolean;
}

export interface VolumeFileDocument {
  readonly Name: string;
  readonly Kind: 'file' | 'directory' | 'symlink' | 'character-device' | 'block-device' | 'fifo' | 'socket';
  /** Bytes. */
  readonly Size: number;
  /** The twelve permission bits. */
  readonly Mode: number;
  readonly Uid: number;
  readonly Gid: number;
  /** RFC 3339. */
  readonly Modified: string;
  /** Of a symlink, as it is written. */
  readonly Target?: string;
}
