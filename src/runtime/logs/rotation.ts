import {
  closeSync,
  fstatSync,
  linkSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  watch,
  type FSWatcher,
} from 'node:fs';
import { basename, dirname } from 'node:path';
import type { TaskLog } from '../task.ts';
import { inodeOf, writeCut } from './log-files.ts';
import { unfinishedStreams } from './record.ts';

/** Bytes after which the monitor begins a new file by itself, whatever the engine does: the bound while none lives. 0 is never. */
export function monitorLogLimit(log: TaskLog): number {
  return log.maxBytes > 0 ? Math.max(2 * log.maxBytes, 64 * 1024 * 1024) : 0;
}

/**
 * Keeps a log within its bounds without losing a line (docs/decisions/0004-log-record.md).
 *
 * The monitor begins a new file by renaming `<log>.tmp` over `<log>`: what was there keeps only the names we gave it.
 * So `<log>.current` is always a second name of the file in use, and `<log>.tmp` lies ready with `<log>.next` as its
 * second name. Two rotations may happen before we look, and each file still has a name.
 */
export class LogRotation {
  readonly #log: TaskLog;
  readonly #reopen: () => void;
  #timer: NodeJS.Timeout | undefined;
  #watcher: FSWatcher | undefined;
  #last = { inode: 0n, size: 0, time: 0 };
  #asked: { readonly inode: bigint; readonly time: number } | undefined;
  #closed = false;

  /** `reopen` asks the monitor to begin a new file. */
  constructor(options: { readonly log: TaskLog; readonly reopen: () => void }) {
    this.#log = options.log;
    this.#reopen = options.reopen;
  }

  /** Watches the size from now on, after `prepareLog`. */
  start(): void {
    this.#tick();
  }

  /** Looks no more; the names that the next engine needs stay. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#watcher?.close();
  }

  readonly #tick = (): void => {
    if (this.#closed) return;
    let delay: number | undefined;
    try {
      settleLog(this.#log);
      delay = this.#look();
    } catch {
      delay = PAUSE_AFTER_ERROR_MS; // a full disk, or the container was removed: seen again, or closed
    }
    if (delay === undefined) this.#sleep();
    else this.#timer = setTimeout(this.#tick, delay).unref();
  };

  /** Milliseconds until the next look; undefined when nothing was written since the last one. */
  #look(): number | undefined {
    const { ino, size: bytes } = statSync(this.#log.path, { bigint: true });
    const size = Number(bytes);
    const time = performance.now();
    if (size >= this.#log.maxBytes) {
      // One request at a time: the monitor carries out the first of two that come together twice.
      if (this.#asked?.inode !== ino || time - this.#asked.time > ASK_AGAIN_MS) {
        this.#asked = { inode: ino, time };
        this.#reopen();
      }
      return 1;
    }
    const grown = this.#last.inode === ino ? size - this.#last.size : size;
    const rate = grown / Math.max(1, time - this.#last.time);
    this.#last = { inode: ino, size, time };
    if (grown === 0) return undefined;
    return Math.min(MAX_PAUSE_MS, Math.max(MIN_PAUSE_MS, (this.#log.maxBytes - size) / Math.max(rate, 1)));
  }

  /** Until the file changes: an idle container costs nothing. */
  #sleep(): void {
    const wake = (): void => {
      this.#watcher?.close();
      this.#watcher = undefined;
      if (!this.#closed) this.#timer = setTimeout(this.#tick, MIN_PAUSE_MS).unref();
    };
    try {
      this.#watcher = watch(this.#log.path, { persistent: false }, wake);
      this.#watcher.on('error', wake);
    } catch {
      this.#timer = setTimeout(this.#tick, PAUSE_AFTER_ERROR_MS).unref(); // no watch to be had
    }
  }
}

const MIN_PAUSE_MS = 5;
const MAX_PAUSE_MS = 50;
const ASK_AGAIN_MS = 1000;
const PAUSE_AFTER_ERROR_MS = 1000;

/** Makes the log ready for a run: it exists, and has its second name. Synchronous, as all that readers must see as one. */
export function prepareLog(log: TaskLog): void {
  closeSync(openSync(log.path, 'a', 0o600));
  if (log.maxBytes > 0) {
    settleLog(log);
    rmSync(`${log.path}.tmp`, { force: true }); // of a monitor that died while it rotated
    prepareSpare(log.path);
  }
}

/** Puts every file that was rotated away in its place, and drops the oldest beyond the bound. Idempotent, also after a crash in its middle. */
export function settleLog(log: TaskLog): void {
  const { path } = log;
  const current = inodeOf(path);
  if (current === undefined || inodeOf(`${path}.current`) === current) return;
  const spare = inodeOf(`${path}.tmp`);
  for (const name of [`${path}.current`, `${path}.next`]) {
    const inode = inodeOf(name);
    if (inode !== undefined && inode !== current && inode !== spare) putBehind(path, name);
  }
  linkSync(path, `${path}.current`);
  prepareSpare(path);
  dropOldest(log);
}

/** Takes away the names that only a running monitor needs. */
export function finishLog(log: TaskLog): void {
  if (log.maxBytes <= 0) return;
  settleLog(log);
  for (const suffix of ['.tmp', '.next', '.current']) rmSync(log.path + suffix, { force: true });
}

/** `name` becomes `<log>.1`; what had that name is `.2`, and so on. */
function putBehind(path: string, name: string): void {
  for (const number of numbers(path).reverse()) renameSync(`${path}.${number}`, `${path}.${number + 1}`);
  renameSync(name, `${path}.1`);
}

/** The file that the monitor will find as `.tmp`. It appears there with its second name already given. */
function prepareSpare(path: string): void {
  rmSync(`${path}.next`, { force: true });
  closeSync(openSync(`${path}.next`, 'wx', 0o600));
  try {
    linkSync(`${path}.next`, `${path}.tmp`);
  } catch (error) {
    // The monitor is just rotating with a file of its own.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    rmSync(`${path}.next`, { force: true });
  }
}

/** Keeps as many bytes as `maxFiles` full files hold: the monitor's own rotations make shorter ones between them. */
function dropOldest(log: TaskLog): void {
  let newer = 0;
  let kept = log.path;
  const dropped: string[] = [];
  for (const number of numbers(log.path)) {
    const file = `${log.path}.${number}`;
    if (newer >= (log.maxFiles - 1) * log.maxBytes) {
      dropped.push(file);
    } else {
      newer += statSync(file).size;
      kept = file;
    }
  }
  if (dropped.length === 0) return;
  writeCut(log.path, statSync(kept, { bigint: true }).ino, unfinishedStreams(readEndOf(dropped[0]!)));
  for (const file of dropped) rmSync(file);
}

/** As much as shows, in all likelihood, the last line of each stream. */
function readEndOf(path: string): Buffer {
  const fd = openSync(path, 'r');
  try {
    const size = fstatSync(fd).size;
    const block = Buffer.alloc(Math.min(size, 64 * 1024));
    readSync(fd, block, 0, block.length, size - block.length);
    return block;
  } finally {
    closeSync(fd);
  }
}

/** Of the rotated files there are, the newest first. */
function numbers(path: string): number[] {
  const prefix = `${basename(path)}.`;
  return readdirSync(dirname(path))
    .filter((name) => name.startsWith(prefix) && /^[1-9]\d{0,5}$/.test(name.slice(prefix.length)))
    .map((name) => Number(name.slice(prefix.length)))
    .sort((a, b) => a - b);
}
