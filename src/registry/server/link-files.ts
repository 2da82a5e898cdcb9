/** Small files by path, as links are kept: in a directory, or in a bucket. */
export interface LinkFiles {
  /** Others change them too: nothing may be remembered of what is there. */
  readonly shared: boolean;
  /** Names directly below a path, of files and of what has files below; none when it is not there. */
  list(path: string): Promise<string[]>;
  /** The files directly below a path. */
  entries(path: string): Promise<{ readonly name: string; readonly modifiedAt: Date }[]>;
  read(path: string): Promise<string | undefined>;
  modifiedAt(path: string): Promise<Date | undefined>;
  /** Whole or not at all, and durable. With `once`, false where there is one already. */
  write(path: string, text: string, options?: { once?: boolean }): Promise<boolean>;
  /** An empty file that was written now. */
  touch(path: string): Promise<void>;
  /** Says whether there was one. */
  remove(path: string): Promise<boolean>;
}
