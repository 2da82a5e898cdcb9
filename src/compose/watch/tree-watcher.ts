import fs from 'node:fs';
import { dirname, join } from 'node:path';

export interface TreeWatcherOptions {
  /** Files and directories, absolute. */
  readonly paths: readonly string[];
  /** Directories that are not looked into. */
  readonly skips: (path: string) => boolean;
  /** Paths that changed, appeared or went, once nothing more comes for a moment. */
  readonly onChanges: (paths: ReadonlySet<string>) => void;
  readonly onError: (error: Error) => void;
}

/** Editors write in bursts: a change is told when this long nothing followed it. */
const QUIET_MS = 25;
/** And no later than this. */
const LONGEST_MS = 150;

/** Watches trees of files, directories that appear later too. One inotify watch for each directory. */
export class TreeWatcher {
  readonly #options: TreeWatcherOptions;
  readonly #watchers = new Map<string, fs.FSWatcher>();
  readonly #files = new Set<string>();
  #changed = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #since = 0;

  constructor(options: TreeWatcherOptions) {
    this.#options = options;
    for (const path of options.paths) {
      if (fs.statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) this.#watch(path, false);
      else {
        // A file that is saved by renaming is another file: its directory sees both.
        this.#files.add(path);
        this.#watch(dirname(path), false, false);
      }
    }
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  /** `isNew`: what is in it already is a change. */
  #watch(directory: string, isNew: boolean, whole = true): void {
    if (whole && this.#options.skips(directory)) return;
    if (!this.#watchers.has(directory)) {
      try {
        const watcher = fs.watch(directory, (_, name) => {
          if (name !== null) this.#on(join(directory, name));
        });
        watcher.on('error', () => this.#forget(directory));
        this.#watchers.set(directory, watcher);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
        this.#options.onError(
          (error as NodeJS.ErrnoException).code === 'ENOSPC'
            ? new Error(
                `too many directories to watch: raise fs.inotify.max_user_watches, or ignore some (${directory})`,
              )
            : (error as Error),
        );
        return;
      }
    }
    if (!whole) return;
    let entries: fs.Dirent[];
    try {
      entries = fs.readdirSync(directory, { withFileTypes: true });
    } catch {
      return; // it went
    }
    for (const entry of entries) {
      const path = join(directory, entry.name);
      if (isNew) this.#tell(path);
      if (entry.isDirectory()) this.#watch(path, isNew);
    }
  }

  #on(path: string): void {
    const watched = this.#options.paths.some((one) => path === one || path.startsWith(`${one}/`));
    if (!watched && !this.#files.has(path)) return;
    const stat = fs.lstatSync(path, { throwIfNoEntry: false });
    if (!stat) this.#forget(path);
    else if (stat.isDirectory() && !this.#watchers.has(path)) this.#watch(path, true);
    this.#tell(path);
  }

  #forget(directory: string): void {
    for (const [path, watcher] of this.#watchers)
      if (path === directory || path.startsWith(`${directory}/`)) {
        watcher.close();
        this.#watchers.delete(path);
      }
  }

  #tell(path: string): void {
    if (this.#changed.size === 0) this.#since = performance.now();
    this.#changed.add(path);
    clearTimeout(this.#timer);
    const left = LONGEST_MS - (performance.now() - this.#since);
    this.#timer = setTimeout(() => this.#flush(), Math.max(0, Math.min(QUIET_MS, left)));
  }

  #flush(): void {
    const changed = this.#changed;
    this.#changed = new Set();
    this.#options.onChanges(changed);
  }
}
