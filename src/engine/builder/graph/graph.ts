import type { RunMount } from '../../../build/run-mount.ts';
import type { ModeChange } from '../../../build/file-mode.ts';
import type { Digest } from '../../../oci/digest.ts';
import type { Bytes } from '../../../content/content-store.ts';
import type { BuildRequest } from '../../engine.ts';
import type { ClientDirectorySource } from '../client-files/client-files.ts';
import type { SolvedImage } from '../solved-build.ts';
import type { GitAddress } from '../sources/git-address.ts';

/** One result of an operation: it may have several. */
export interface GraphOutput {
  readonly vertex: Digest;
  readonly index: number;
}

/** An operation with its inputs. The digest names it within its graph, nothing more: the cache asks what goes in. */
export interface GraphVertex {
  readonly digest: Digest;
  /** For people. */
  readonly name: string;
  readonly inputs: readonly GraphOutput[];
  /** `linux/arm64`; undefined is this machine's. */
  readonly platform: string | undefined;
  /** It is made again whatever is known of it. */
  readonly fresh: boolean;
  readonly operation: GraphOperation;
}

/** A build as a graph of operations, whoever wrote it: each vertex stands behind its inputs. */
export interface BuildGraph {
  readonly vertices: readonly GraphVertex[];
  /** Undefined: nothing, an empty filesystem. */
  readonly result: GraphOutput | undefined;
}

export type GraphOperation =
  | { readonly kind: 'source'; readonly source: GraphSource }
  | ExecOperation
  | { readonly kind: 'file'; readonly actions: readonly FileAction[] }
  /** The layers of all inputs, one upon the other. */
  | { readonly kind: 'merge'; readonly inputs: readonly number[] }
  /** The layers that `upper` has on `lower`; -1 is nothing. */
  | { readonly kind: 'diff'; readonly lower: number; readonly upper: number };

/** What comes from elsewhere. */
export type GraphSource =
  | {
      readonly kind: 'image';
      readonly reference: string;
      readonly pull: boolean;
      /** Only its first layers. */
      readonly layers: number | undefined;
      readonly checksum: string | undefined;
    }
  | { readonly kind: 'client'; readonly directory: ClientDirectorySource }
  | {
      readonly kind: 'git';
      readonly address: GitAddress;
      readonly keepGitDir: boolean;
      readonly checksum: string | undefined;
    }
  | {
      readonly kind: 'http';
      readonly url: string;
      readonly checksum: string | undefined;
      readonly filename: string | undefined;
      readonly mode: number | undefined;
      readonly owner: { readonly uid: number; readonly gid: number };
    }
  /** An image in a directory of the client: files of an OCI layout by their paths. */
  | {
      readonly kind: 'layout';
      /** Of its manifest, or of an index. */
      readonly digest: Digest;
      readonly read: (path: string) => Promise<Bytes | undefined>;
    }
  /** What another solve of the same client gave. */
  | { readonly kind: 'result'; readonly image: SolvedImage };

export interface ExecOperation {
  readonly kind: 'exec';
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly workingDir: string;
  readonly user: string;
  readonly hostname: string | undefined;
  readonly network: 'default' | 'host' | 'none';
  /** Variables that are no part of what it is. */
  readonly proxies: readonly string[];
  readonly request: Pick<BuildRequest, 'extraHosts' | 'ulimits' | 'limits'>;
  /** Codes that are no failure; 0 when there are none. */
  readonly validExitCodes: readonly number[];
  /** The first is the root. */
  readonly filesystems: readonly ExecFilesystem[];
  /** Everything that is mounted and is none of the above: `from` of a bind or cache is the number of an input. */
  readonly mounts: readonly RunMount[];
}

/** Files that a command may change, or that are its root. */
export interface ExecFilesystem {
  readonly target: string;
  /** -1: an empty one. */
  readonly input: number;
  readonly selector: string;
  readonly readOnly: boolean;
  /** Number of the result that it becomes; undefined when what was written is dropped. */
  readonly output: number | undefined;
}

/** Inputs count first, then the results of the actions in front; -1 is nothing. */
export interface FileAction {
  readonly input: number;
  /** Number of the vertex's result that it is; undefined when only other actions use it. */
  readonly output: number | undefined;
  readonly change: FileChange;
}

/** User and group by number, or by name as the files of an input say. */
export interface FileOwner {
  readonly user: string | undefined;
  readonly userInput: number;
  readonly group: string | undefined;
  readonly groupInput: number;
}

interface Placed {
  readonly owner: FileOwner | undefined;
  /** Nanoseconds since the epoch; undefined: now, or what the source has. */
  readonly time: bigint | undefined;
}

export type FileChange =
  | CopyChange
  | (Placed & { readonly kind: 'file'; readonly path: string; readonly mode: number; readonly data: Uint8Array })
  | (Placed & { readonly kind: 'directory'; readonly path: string; readonly mode: number; readonly parents: boolean })
  | (Placed & { readonly kind: 'symlink'; readonly path: string; readonly target: string })
  | {
      readonly kind: 'remove';
      readonly path: string;
      readonly allowMissing: boolean;
      readonly wildcard: boolean;
    };

export interface CopyChange extends Placed {
  readonly kind: 'copy';
  /** Where it comes from, counted as the action's input. */
  readonly from: number;
  readonly source: string;
  readonly destination: string;
  readonly mode: ModeChange | undefined;
  readonly followLinks: boolean;
  /** What is in a directory, not the directory. */
  readonly contents: boolean;
  readonly unpack: boolean;
  readonly makeParents: boolean;
  readonly wildcard: boolean;
  readonly allowNothing: boolean;
  /** What is there and is of another kind is replaced; otherwise it is an error. */
  readonly replace: boolean;
  /** Below the source, and have to be there. */
  readonly required: readonly string[];
  readonly include: readonly string[];
  readonly exclude: readonly string[];
}

/** What happens while a graph is solved, in order for each vertex. Times are milliseconds since the epoch. */
export type GraphEvent =
  | { readonly type: 'started'; readonly vertex: GraphVertex; readonly time: number }
  | { readonly type: 'output'; readonly vertex: GraphVertex; readonly time: number; readonly text: string }
  | { readonly type: 'done'; readonly vertex: GraphVertex; readonly time: number; readonly cached: boolean }
  | { readonly type: 'failed'; readonly vertex: GraphVertex; readonly time: number; readonly message: string };
