import { createHash, hash, type Hash } from 'node:crypto';
import { constants, fchmodSync, ftruncateSync, mkdirSync, readSync, writeSync } from 'node:fs';
import type { ByteString } from '../../../base/byte-string.ts';
import { CONTEXT_TIME } from '../../../build/copy-files.ts';
import type { TarHeader } from '../../../content/tar/header.ts';
import {
  closeFd,
  existsAt,
  linkAt,
  openAt,
  openDirectory,
  renameAt,
  setTimes,
  statFd,
  symlinkAt,
  tryOpenAt,
  tryReadLinkAt,
  unlinkAt,
} from '../../../linux/files.ts';
import { Writeback } from '../../../linux/writeback.ts';

/** A file of at most so many bytes is known by its digest before anything is written; a larger one is compared as it comes. */
const SMALL = 1 << 20;
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const READ = constants.O_RDONLY | constants.O_NOFOLLOW;
const TIME = BigInt(CONTEXT_TIME) * 1_000_000_000n;
/** Of files on their way. */
export const INCOMING = '.incoming-';
const BLOCK = Buffer.allocUnsafe(1 << 20);
const ZEROS = Buffer.alloc(1 << 16);
let count = 0;

/** A file of an archive on its way into what is kept. Finished or abandoned before the next. */
export interface IncomingFile {
  /** As of a `TarHandler`. */
  data(chunk: Buffer, offset: number): void;
  /** The content is complete, and kept. Gives its sha256 in hex. */
  finish(): string;
  abandon(): void;
}

/**
 * Files of contexts by content and mode, which contexts have as hard links: what was sent before costs a digest or a
 * comparison, and no write. `<store>/objects/<sha256>-<mode>` are whole and never written to again;
 * `<store>/large/<digest of name, size, mode>` is a link to the name of the object that was there last.
 *
 * It holds the directories themselves: should their names become those of others meanwhile, what was kept can be linked
 * from as long as it is not removed.
 */
export class KeptFiles implements AsyncDisposable {
  readonly #objects: number;
  readonly #large: number;
  readonly #closing = new Set<Promise<void>>();

  constructor(store: string) {
    this.#objects = openMade(`${store}/objects`);
    this.#large = openMade(`${store}/large`);
  }

  take(header: TarHeader): IncomingFile {
    return header.size <= SMALL ? this.#small(header) : new LargeFile(this, header);
  }

  /** Gives a file that is kept a name that is free. */
  link(digest: string, header: TarHeader, parent: number, name: ByteString): void {
    const object = objectName(digest, header);
    try {
      linkAt(this.#objects, object, parent, name);
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'EMLINK') throw error;
      this.#renew(object, header);
      linkAt(this.#objects, object, parent, name);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#closing);
    closeFd(this.#objects);
    closeFd(this.#large);
  }

  #small(header: TarHeader): IncomingFile {
    let content: Buffer | undefined;
    return {
      data: (chunk, offset) => {
        // All of it is kept before the chunk is another's again.
        if (chunk.length === header.size) return void (content = chunk);
        // Holes of a sparse file stay zeros.
        content ??= Buffer.alloc(header.size);
        chunk.copy(content, offset);
      },
      finish: () => {
        content ??= Buffer.alloc(header.size);
        const digest = hash('sha256', content);
        const object = objectName(digest, header);
        if (!existsAt(this.#objects, object)) this.#write(object, header, content);
        return digest;
      },
      abandon: () => {},
    };
  }

  #write(object: ByteString, header: TarHeader, content: Buffer): void {
    const own = incomingName();
    const fd = openAt(this.#objects, own, CREATE, 0o600);
    try {
      writeAll(fd, content, 0);
      describe(fd, header);
      // Should another build have kept the same meanwhile, it is as good.
      renameAt(this.#objects, own, this.#objects, object);
    } catch (error) {
      this.#remove(own);
      throw error;
    } finally {
      closeFd(fd);
    }
  }

  /** A copy takes the place of an object that has as many names as a file may have. */
  #renew(object: ByteString, header: TarHeader): void {
    const from = openAt(this.#objects, object, READ);
    const own = incomingName();
    try {
      const fd = openAt(this.#objects, own, CREATE, 0o600);
      try {
        for (let at = 0, read = 0; (read = readSync(from, BLOCK, 0, BLOCK.length, at)) > 0; at += read)
          writeAll(fd, BLOCK.subarray(0, read), at);
        describe(fd, header);
        renameAt(this.#objects, own, this.#objects, object);
      } finally {
        closeFd(fd);
      }
    } catch (error) {
      this.#remove(own);
      throw error;
    } finally {
      closeFd(from);
    }
  }

  /** A name of this job's for the object that came by that name last; undefined when there is none of that size and mode. */
  candidate(header: TarHeader): { readonly own: ByteString; readonly digest: string } | undefined {
    const object = tryReadLinkAt(this.#large, largeName(header));
    if (object === undefined) return undefined;
    const own = incomingName();
    try {
      linkAt(this.#objects, object, this.#objects, own);
    } catch (error) {
      const { code } = error as { code?: unknown };
      // Gone, or with too many names: it is written anew.
      if (code === 'EMLINK') this.#remove(object);
      else if (code !== 'ENOENT') throw error;
      return undefined;
    }
    return { own, digest: object.slice(0, 64) };
  }

  create(): WrittenFile {
    const own = incomingName();
    const fd = openAt(this.#objects, own, CREATE, 0o600);
    return { own, fd, writeback: new Writeback(fd) };
  }

  /** As soon as the disk was told of all that it is told of before the end. */
  close({ fd, writeback }: WrittenFile): void {
    const closing = writeback.end().finally(() => {
      closeFd(fd);
      this.#closing.delete(closing);
    });
    this.#closing.add(closing);
  }

  open(own: ByteString): number | undefined {
    return tryOpenAt(this.#objects, own, READ);
  }

  /** An incoming file is whole: it becomes an object, and the one to be compared with. Whether or not there was one: what has a name of the old one keeps it. */
  keepOwn(own: ByteString, digest: string, header: TarHeader): void {
    const object = objectName(digest, header);
    renameAt(this.#objects, own, this.#objects, object);
    const next = incomingName();
    symlinkAt(object, this.#large, next);
    renameAt(this.#large, next, this.#large, largeName(header));
  }

  abandon(own: ByteString): void {
    this.#remove(own);
  }

  #remove(name: ByteString): void {
    try {
      unlinkAt(this.#objects, name);
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'ENOENT') throw error;
    }
  }
}

interface WrittenFile {
  readonly own: ByteString;
  readonly fd: number;
  readonly writeback: Writeback;
}

/** A file that is compared with the one that was there last, and written from where they differ. */
class LargeFile implements IncomingFile {
  readonly #files: KeptFiles;
  readonly #header: TarHeader;
  readonly #hash: Hash = createHash('sha256');
  #candidate: { readonly own: ByteString; readonly digest: string; readonly fd: number } | undefined;
  #written: WrittenFile | undefined;
  #end = 0;

  constructor(files: KeptFiles, header: TarHeader) {
    this.#files = files;
    this.#header = header;
    const found = files.candidate(header);
    const fd = found && files.open(found.own);
    if (found && fd !== undefined) this.#candidate = { ...found, fd };
    else this.#written = files.create();
    if (fd !== undefined && statFd(fd).size !== header.size) this.#diverge();
  }

  data(chunk: Buffer, offset: number): void {
    if (this.#candidate && !(offset === this.#end && this.#isNext(chunk))) this.#diverge();
    if (this.#written) {
      this.#zeros(offset);
      this.#hash.update(chunk);
      writeAll(this.#written.fd, chunk, offset);
      this.#written.writeback.wrote(chunk.length);
    }
    this.#end = offset + chunk.length;
  }

  finish(): string {
    const { size } = this.#header;
    if (this.#candidate && this.#end < size) this.#diverge();
    if (this.#candidate) {
      closeFd(this.#candidate.fd);
      this.#files.abandon(this.#candidate.own);
      return this.#candidate.digest;
    }
    const written = this.#written!;
    this.#zeros(size);
    ftruncateSync(written.fd, size);
    describe(written.fd, this.#header);
    const digest = this.#hash.digest('hex');
    this.#files.keepOwn(written.own, digest, this.#header);
    this.#files.close(written);
    return digest;
  }

  abandon(): void {
    if (this.#candidate) {
      closeFd(this.#candidate.fd);
      this.#files.abandon(this.#candidate.own);
    }
    if (this.#written) {
      this.#files.close(this.#written);
      this.#files.abandon(this.#written.own);
    }
  }

  #isNext(chunk: Buffer): boolean {
    for (let at = 0; at < chunk.length;) {
      const wanted = Math.min(BLOCK.length, chunk.length - at);
      const read = readSync(this.#candidate!.fd, BLOCK, 0, wanted, this.#end + at);
      if (read !== wanted || chunk.compare(BLOCK, 0, read, at, at + read) !== 0) return false;
      at += read;
    }
    return true;
  }

  /** What was the same until here is taken over; the rest is written. */
  #diverge(): void {
    const { own, fd } = this.#candidate!;
    this.#written = this.#files.create();
    for (let at = 0; at < this.#end;) {
      const read = readSync(fd, BLOCK, 0, Math.min(BLOCK.length, this.#end - at), at);
      this.#hash.update(BLOCK.subarray(0, read));
      writeAll(this.#written.fd, BLOCK.subarray(0, read), at);
      this.#written.writeback.wrote(read);
      at += read;
    }
    closeFd(fd);
    this.#files.abandon(own);
    this.#candidate = undefined;
  }

  /** A hole up to `offset`. */
  #zeros(offset: number): void {
    for (let left = offset - this.#end; left > 0; left -= ZEROS.length)
      this.#hash.update(ZEROS.subarray(0, Math.min(left, ZEROS.length)));
    this.#end = Math.max(this.#end, offset);
  }
}

/** Whoever collects the cache may take it in between. */
function openMade(path: string): number {
  for (let tries = 0; ; tries++) {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    try {
      return openDirectory(path);
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'ENOENT' || tries >= 10) throw error;
    }
  }
}

function objectName(digest: string, { mode }: TarHeader): ByteString {
  return `${digest}-${(mode & 0o7777).toString(8)}`;
}

function largeName({ name, size, mode }: TarHeader): ByteString {
  return createHash('sha256')
    .update(`${size} ${mode & 0o7777} ${name}`, 'latin1')
    .digest('hex');
}

function incomingName(): ByteString {
  return `${INCOMING}${process.pid}-${process.hrtime.bigint()}-${++count}`;
}

/** Owner is root's already; contexts are of no age. */
function describe(fd: number, { mode }: TarHeader): void {
  fchmodSync(fd, mode & 0o7777);
  setTimes(fd, TIME);
}

function writeAll(fd: number, bytes: Buffer, offset: number): void {
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done, offset + done);
}
