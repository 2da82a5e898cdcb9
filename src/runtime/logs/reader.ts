import { existsSync, watch } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { nowNanos } from '../../base/time.ts';
import type { OutputChunk } from '../task.ts';
import { cutStreams, inodeOf, logEnd, logFiles, type LogPosition } from './log-files.ts';
import { decodeLines, findLastLines, RecordDecoder, type RecordFilter, type RecordLine } from './record.ts';

export interface ReadLogOptions extends RecordFilter {
  /** Of the current file; rotated ones are found beside it. */
  readonly path: string;
  /** Only what comes behind this position (`logEnd` taken earlier). Excludes `tail`. */
  readonly from?: LogPosition | undefined;
  /** Lines from the end, of both streams together; undefined is all. */
  readonly tail?: number | undefined;
  /** Go on with what comes, until `ended` resolves and all is read, or `until` has passed. */
  readonly follow?: boolean | undefined;
  /** The end of the run that is followed. */
  readonly ended?: Promise<unknown> | undefined;
  /** Ends the reading, without an error. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads a log from its files, each byte printed once and in order, also across rotation. Memory is bounded, and a reader
 * that is not asked for more does nothing at all: it holds one open file.
 */
export async function* readLog(options: ReadLogOptions): AsyncGenerator<OutputChunk, void, undefined> {
  const decoder = new RecordDecoder(options);
  const { start, end } = await span(options);
  if (start.offset === 0) {
    const files = logFiles(options.path);
    const first = start.inode === 0n || start.inode === files[0]?.inode;
    for (const stream of first ? cutStreams(options.path, files) : []) decoder.skipRest(stream);
  }
  const cursor = new LogCursor(options.path, start, end);
  const follower = options.follow ? new Follower(options) : undefined;
  try {
    for (;;) {
      if (options.signal?.aborted) return;
      const final = follower === undefined || follower.over; // asked before reading: what comes before it is read then
      const block = await cursor.read();
      if (block) {
        const { chunks, consumed, past } = decoder.decode(block.data);
        cursor.keep(block.data.subarray(consumed));
        for (const chunk of chunks) {
          yield chunk;
          if (options.signal?.aborted) return;
        }
        if (past) return;
        follower?.sawData();
      } else if (final) {
        return;
      } else {
        await follower?.wait();
      }
    }
  } finally {
    follower?.close();
    await cursor.close();
  }
}

/** A stretch of a record, and where the next one begins. */
export interface RecordStretch {
  readonly lines: readonly RecordLine[];
  readonly next: LogPosition;
}

/** As `readLog`, line by line with their times, for one who notes how far it came: `from` may be a place of another day. */
export async function* readLines(
  options: Pick<ReadLogOptions, 'path' | 'ended' | 'signal'> & { readonly from: LogPosition },
): AsyncGenerator<RecordStretch, void, undefined> {
  const cursor = new LogCursor(options.path, options.from, undefined);
  const follower = new Follower({ ...options, stdout: true, stderr: true });
  try {
    for (;;) {
      if (options.signal?.aborted) return;
      const final = follower.over;
      const block = await cursor.read();
      if (block) {
        const { lines, consumed } = decodeLines(block.data);
        cursor.keep(block.data.subarray(consumed));
        yield { lines, next: cursor.unread };
        follower.sawData();
      } else if (final) {
        return;
      } else {
        await follower.wait();
      }
    }
  } finally {
    follower.close();
    await cursor.close();
  }
}

const SMALL_BLOCK = 16 * 1024;
const LARGE_BLOCK = 256 * 1024;
/** No line of the record is longer; what is, is damaged. */
const LONGEST_LINE = 64 * 1024;

/** Reads through the files of a log, oldest to newest, as they are rotated under it. */
class LogCursor {
  readonly #path: string;
  #position: LogPosition;
  /** Where to stop, however much is written meanwhile. */
  readonly #end: LogPosition | undefined;
  #file: { readonly handle: FileHandle; readonly inode: bigint } | undefined;
  #blockSize = SMALL_BLOCK;
  /** The beginning of a line whose end is not written yet. */
  #rest: Buffer = Buffer.alloc(0);

  constructor(path: string, position: LogPosition, end: LogPosition | undefined) {
    this.#path = path;
    this.#position = position;
    this.#end = end;
  }

  /** What comes next, behind what was kept; undefined when all that is written was read. */
  async read(): Promise<{ readonly data: Buffer } | undefined> {
    for (;;) {
      if (!this.#file && !(await this.#openNext())) return undefined;
      const data = await this.#readBlock();
      if (data) return { data };
      if (this.#file!.inode === this.#end?.inode) return undefined;
      const next = this.#successor();
      if (next === undefined) return undefined;
      // The file was exchanged, perhaps after a last line that came since we looked.
      const last = await this.#readBlock();
      if (last) return { data: last };
      await this.close();
      this.#rest = Buffer.alloc(0);
      this.#position = { inode: next, offset: 0 };
    }
  }

  /** Behind the last byte that was read and not kept. */
  get unread(): LogPosition {
    return { inode: this.#position.inode, offset: this.#position.offset - this.#rest.length };
  }

  /** Puts the unfinished end of a block before the next one. */
  keep(rest: Buffer): void {
    this.#rest = rest.length > LONGEST_LINE ? Buffer.from('\n') : Buffer.from(rest);
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.handle.close();
  }

  async #readBlock(): Promise<Buffer | undefined> {
    const kept = this.#rest.length;
    const bound = this.#file!.inode === this.#end?.inode ? this.#end.offset - this.#position.offset : Infinity;
    const size = Math.min(this.#blockSize, bound);
    if (size <= 0) return undefined;
    const block = Buffer.allocUnsafe(kept + size);
    const { bytesRead } = await this.#file!.handle.read(block, kept, size, this.#position.offset);
    if (bytesRead === 0) return undefined;
    block.set(this.#rest);
    this.#rest = Buffer.alloc(0);
    this.#position = { inode: this.#position.inode, offset: this.#position.offset + bytesRead };
    this.#blockSize = bytesRead === this.#blockSize ? LARGE_BLOCK : SMALL_BLOCK;
    return block.subarray(0, kept + bytesRead);
  }

  /** Opens the file of the position, or the oldest there is when that one is gone. */
  async #openNext(): Promise<boolean> {
    for (let attempt = 0; attempt < 10; attempt++) {
      const files = logFiles(this.#path);
      const wanted = files.find((file) => file.inode === this.#position.inode);
      const file = wanted ?? files[0];
      if (!file) return false;
      // all that was to be read has been dropped meanwhile
      if (this.#end && !files.some(({ inode }) => inode === this.#end!.inode)) return false;
      let handle: FileHandle;
      try {
        handle = await open(file.path, 'r');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
        throw error;
      }
      const inode = (await handle.stat({ bigint: true })).ino;
      if (inode !== file.inode) {
        await handle.close(); // rotated between the two looks
        continue;
      }
      this.#file = { handle, inode };
      this.#position = { inode, offset: wanted ? this.#position.offset : 0 };
      return true;
    }
    return false;
  }

  /** The file after ours; undefined while ours is the newest. */
  #successor(): bigint | undefined {
    // mostly it is: one look, where the list of files takes six
    if (inodeOf(this.#path) === this.#file!.inode) return undefined;
    const files = logFiles(this.#path);
    const own = files.findIndex((file) => file.inode === this.#file!.inode);
    return files[own + 1]?.inode; // ours was dropped: the oldest that is left
  }
}

/** Waits for more to be written, or for the end of the following. */
class Follower {
  readonly #path: string;
  readonly #signal: AbortSignal | undefined;
  #over = false;
  #wake: (() => void) | undefined;
  #changed = false;
  #watcher: { close(): void } | undefined;
  #untilTimer: NodeJS.Timeout | undefined;
  #quietReads = 0;

  constructor(options: ReadLogOptions) {
    this.#path = options.path;
    this.#signal = options.signal;
    void options.ended?.then(this.#finish, this.#finish);
    this.#signal?.addEventListener('abort', this.#finish, { once: true });
    if (options.until !== undefined) {
      const left = Number((options.until - nowNanos()) / 1_000_000n) + 1;
      if (left < 2 ** 31) this.#untilTimer = setTimeout(this.#finish, Math.max(left, 0));
    }
  }

  /** Nothing that is to be followed will come any more. */
  get over(): boolean {
    return this.#over;
  }

  sawData(): void {
    this.#quietReads = 0;
    this.#disarm();
  }

  /**
   * Resolves when it may be worth to read again. While output flows that is every few milliseconds, not every write; a
   * log that stands still is watched, and costs nothing.
   */
  async wait(): Promise<void> {
    if (this.#over || this.#changed) {
      this.#changed = false;
      return;
    }
    if (this.#quietReads < BUSY_READS) {
      this.#quietReads++;
      const timer = setTimeout(this.#onChange, BUSY_PAUSE_MS);
      await this.#sleep();
      clearTimeout(timer);
    } else if (!this.#watcher) {
      this.#watcher = watchFile(this.#path, this.#onChange); // then to be read once more: it may just have grown
    } else {
      await this.#sleep();
    }
    this.#changed = false;
  }

  close(): void {
    clearTimeout(this.#untilTimer);
    this.#signal?.removeEventListener('abort', this.#finish);
    this.#disarm();
  }

  readonly #finish = (): void => {
    this.#over = true;
    this.#onChange();
  };

  readonly #onChange = (): void => {
    this.#changed = true;
    this.#wake?.();
  };

  async #sleep(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    await promise;
    this.#wake = undefined;
  }

  #disarm(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }
}

/** Calls when the file changes or gives its name away; while it does not exist, when its directory changes. */
function watchFile(path: string, onChange: () => void): { close(): void } {
  try {
    const watcher = watch(existsSync(path) ? path : dirname(path), onChange);
    watcher.on('error', onChange);
    return watcher;
  } catch {
    // The host's limit of watches is reached.
    const timer = setInterval(onChange, 200);
    return { close: () => clearInterval(timer) };
  }
}

const BUSY_READS = 3;
const BUSY_PAUSE_MS = 4;

/** From where to where is read. Without an end: until the following ends. */
async function span(options: ReadLogOptions): Promise<{ start: LogPosition; end: LogPosition | undefined }> {
  const written = options.follow ? { inode: 0n, offset: 0 } : logEnd(options.path);
  // no file there: one is being put in its place
  const end = written.inode === 0n ? undefined : written;
  if (options.from) return { start: options.from, end };
  if (options.tail === undefined) return { start: { inode: 0n, offset: 0 }, end };
  const tail = await findTail(options.path, Math.max(0, options.tail));
  return { start: tail.first, end: options.follow ? undefined : tail.end };
}

/** Reads the files backwards, block by block, until it has met `count` lines. */
async function findTail(
  path: string,
  count: number,
  attempts = 10,
): Promise<{ first: LogPosition; end: LogPosition | undefined }> {
  let left = count;
  let first: LogPosition = { inode: 0n, offset: 0 };
  let last: LogPosition | undefined;
  const files = [...logFiles(path)].reverse();
  for (const [index, file] of files.entries()) {
    let handle: FileHandle;
    try {
      handle = await open(file.path, 'r');
    } catch {
      // it was rotated between the two looks: from the beginning, or all would be read for a tail
      if (attempts > 0) return findTail(path, count, attempts - 1);
      break;
    }
    try {
      const { ino: inode, size } = await handle.stat({ bigint: true });
      let end = await lastLineEnd(handle, Number(size));
      last ??= { inode, offset: end };
      let isEnd = index === 0;
      while (end > 0) {
        const start = Math.max(0, end - LARGE_BLOCK);
        const block = Buffer.allocUnsafe(end - start);
        const { bytesRead } = await handle.read(block, 0, block.length, start);
        if (bytesRead < block.length) break; // nothing shortens these files
        const { offset, found, done } = findLastLines(block, left, { isEnd, isStart: start === 0 });
        first = { inode, offset: start + offset };
        if (done) return { first, end: last };
        left -= found;
        if (offset === block.length && start > 0) return { first, end: last }; // a line longer than a block: damaged
        end = start + offset;
        isEnd = false;
      }
    } finally {
      await handle.close();
    }
  }
  return { first, end: last };
}

/** The end of the last whole line: one may be in the middle of being written. */
async function lastLineEnd(handle: FileHandle, size: number): Promise<number> {
  const start = Math.max(0, size - LONGEST_LINE);
  const block = Buffer.allocUnsafe(size - start);
  await handle.read(block, 0, block.length, start);
  const newline = block.lastIndexOf('\n');
  return newline < 0 ? 0 : start + newline + 1;
}
