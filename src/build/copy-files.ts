import type { Digest } from '../oci/digest.ts';
import { WorkerThreads } from '../base/worker-job.ts';

/** What a COPY or ADD takes from where. Paths are as the Dockerfile has them after expansion. */
export interface CopySelection {
  /** Root directory of the context, a stage or an image: no path leads out of it. */
  readonly root: string;
  /** Relative to `root`; with Go's wildcards. */
  readonly sources: readonly string[];
  /** Lines of `.dockerignore` and `--exclude`: what they match is not there. */
  readonly exclude: readonly string[];
  /** Keep owner and group of the source (`--from`); otherwise 0:0. */
  readonly keepOwner: boolean;
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
  /** Permission bits for files and directories alike. */
  readonly mode?: number | undefined;
  /** For messages: `build context`, or the stage. */
  readonly sourceName: string;
}

export interface CopyTarget {
  /** Root directory, mounted, that the files go to. */
  readonly root: string;
  /** Absolute. Ends with `/` when it must be a directory. */
  readonly destination: string;
}

const threads = new WorkerThreads('build/copy-files');

/**
 * What the selection is, by content: names, kinds, modes, owners, bytes and link targets, not times.
 * Throws `not-found` (`COPY failed: …`) when a source without wildcards matches nothing.
 */
export async function digestSelection(
  selection: CopySelection,
  signal?: AbortSignal,
): Promise<{ digest: Digest; files: number; bytes: number }> {
  return threads.run({ job: 'digest', parameters: { selection }, signal });
}

/** Copies the selection below the target's root, parents made as 0:0 0755; symlinks of the target never lead out of it. */
export async function copySelection(selection: CopySelection, target: CopyTarget, signal?: AbortSignal): Promise<void> {
  await threads.run({ job: 'copy', parameters: { selection, target }, signal });
}
