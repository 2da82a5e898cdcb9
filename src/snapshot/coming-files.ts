import type { ByteString } from '../base/byte-string.ts';

/** A file that is not yet where an archive is to have it. */
export interface ComingFile {
  /** The twelve permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes. */
  readonly size: number;
  /** Nanoseconds since the epoch. */
  readonly mtime: bigint;
  /** False where it is known to have no extended attributes. */
  readonly xattrs: boolean;
  /** A descriptor to read it by, to be closed. Nobody writes into the file. */
  open(): number;
}

/** Files that are put into a tree while it is archived: they are taken from where they are until then. */
export interface ComingFiles {
  /**
   * Those of a directory by their names, whatever of these names is there now; undefined where there are none. `prefix` is
   * the directory's path, empty or with a slash at its end. All these directories are there.
   */
  in(prefix: ByteString): ReadonlyMap<ByteString, ComingFile> | undefined;
}
