import type { ChainId, DiffId } from '../oci/digest.ts';
import type { ScaffoldEntry } from './scaffold.ts';

/** A mount to perform, as `mount(2)` wants it; `options` keeps `lowerdir=` and the like whole, one per entry. */
export interface Mount {
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

/**
 * Filesystems built as changes on top of changes.
 *
 * An *active* snapshot is writable and known by a key its user picks (a container's id, a build step's);
 * a *committed* one is immutable and known by its chain id. Only committed snapshots have children.
 *
 *     prepare(key, parent) ── write ──► commit(chainId, key)     a layer
 *     prepare(key, parent) ── run   ──► remove(key)              a container
 *
 * Metadata is in the database, files are below the data root; what the database does not know is swept at start.
 * Removal answers as soon as the name is gone; the files go in the background (and at the next start, after a crash).
 */
export interface Snapshotter {
  readonly name: string;
  /** Why snapshots do not work on this host, as a sentence; undefined when they do. */
  readonly problem: string | undefined;
  /**
   * Creates a writable snapshot over `parent` (`undefined`: empty). The entries of `scaffold` that the layers lack are there
   * too, and are no changes: mount points of a container, which `docker diff` and `commit` do not show.
   * Throws `already-exists`, `not-found` (parent), `unavailable` (`problem`).
   */
  prepare(
    key: string,
    parent: ChainId | undefined,
    options?: { readonly scaffold?: readonly ScaffoldEntry[] },
  ): Promise<void>;
  /**
   * Puts an active snapshot that was prepared over nothing, for a layer without a scaffold, over `parent`. Its root
   * directory becomes a copy of that below, unless it is its `ownRoot`. Throws `not-found`, `conflict`.
   */
  rebase(key: string, parent: ChainId, options: { readonly ownRoot: boolean }): Promise<void>;
  /**
   * Turns the active snapshot `key` into the committed `chainId`; `key` is gone afterwards. The files are synced first:
   * a committed snapshot survives a power cut. Idempotent by content: when `chainId` exists already, `key` is removed.
   * With `sync: false` it does so only after `sync`: until then nothing durable may refer to it.
   */
  commit(
    chainId: ChainId,
    key: string,
    layer: LayerInfo,
    options?: { readonly sync?: boolean | undefined },
  ): Promise<void>;
  /** Lets the disk begin with all that waits for it, so that a `sync` soon after has less to wait for. Nobody waits. */
  beginSync(): void;
  /** Waits for the disk where one of these committed snapshots still needs it, whoever committed it. */
  sync(chainIds: readonly ChainId[]): Promise<void>;
  /**
   * The mounts of an active snapshot (read-write), or of a committed one (read-only). With `unsynced`, where the kernel can,
   * nothing that is written through them is waited for when somebody inside syncs, nor when they are unmounted (an overlay's
   * last unmount writes out its whole filesystem otherwise): `commit` does that. For one mount in the snapshot's life,
   * which ends in `commit` or `remove`. Throws `not-found`.
   */
  mounts(name: string, options?: { readonly unsynced?: boolean }): Promise<readonly Mount[]>;
  /** The directory that holds only this snapshot's own changes, in overlay form (character device 0:0 whiteouts, opaque xattr). */
  changesDir(name: string): string;
  /** The changes directories of the layers below, top first: for `changes` and `applyLayer`. Throws `not-found`. */
  lowerDirs(name: string): readonly string[];
  stat(name: string): SnapshotInfo | undefined;
  /** Disk used by this snapshot alone, in bytes and inodes. Walks the files of active snapshots: not cheap. */
  usage(name: string, options?: { signal?: AbortSignal }): Promise<{ bytes: number; inodes: number }>;
  /** Throws `conflict` while a snapshot has children. */
  remove(name: string): Promise<void>;
  list(): readonly SnapshotInfo[];
  /** Resolves when the files of everything removed so far are gone: what `prune` frees is free then. */
  settled(): Promise<void>;
  /** Stops the work in the background; the next start goes on with it. */
  close(): Promise<void>;
}

export interface SnapshotInfo {
  readonly name: string;
  readonly kind: 'active' | 'committed';
  readonly parent: ChainId | undefined;
  readonly createdAt: Date;
  readonly layer: LayerInfo | undefined;
}

/** What is known of a committed layer. */
export interface LayerInfo {
  readonly diffId: DiffId;
  /** Bytes of the files' content, as `docker history` shows them. */
  readonly size: number;
}
