import { createHash, hash, type Hash } from 'node:crypto';
import { constants, fchmodSync, ftruncateSync, readSync, writeSync } from 'node:fs';
import type { ByteString } from '../../../base/byte-string.ts';
import { CONTEXT_TIME } from '../../../build/copy-files.ts';
import type { TarHeader } from '../../../content/tar/header.ts';
import {
  closeFd,
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
import type { FileKeeper, KeptFile } from '../../../snapshot/extractor.ts';

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

/**
 * Files of contexts by content and mode, which contexts have as hard links: what was sent before costs a digest or a
 * comparison, and no write. `<store>/objects/<sha256>-<mode>` are whole and never written to again;
 * `<store>/large/<digest of path, size, mode>` is a link to the name of the object that was there last.
 */
export class KeptFiles implements FileKeeper, AsyncDisposable {
  readonly #objects: number;
  readonly #large: number;
  readonly #closing = new Set<Promise<void>>();
  /** Of each kept file that is in place: sha256 of its content in hex, by its path. */
  readonly digests = new Map<ByteString, string>();
  /** Called with each one. */
  readonly #onKept: (digest: string) => void;

  constructor(store: string, onKept: (digest: string) => void) {
    this.#objects = openDirectory(`${store}/objects`);
    this.#large = openDirectory(`${store}/large`);
    this.#onKept = onKept;
  }

  begin(header: TarHeader, path: ByteString): KeptFile {
    return header.size <= SMALL ? this.#small(header, path) : new LargeFile(this, header, path);
  }

  forget(path: ByteString): void {
    this.digests.delete(path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#closing);
    closeFd(this.#objects);
    closeFd(this.#large);
  }

  #small(header: TarHeader, path: ByteString): KeptFile {
    let content: Buffer | undefined;
    return {
      data: (chunk, offset) => {
        // All of it is in its place before the chunk is another's again.
        if (chunk.length === header.size) return void (content = chunk);
        // Holes of a sparse file stay zeros.
        content ??= Buffer.alloc(header.size);
        chunk.copy(content, offset);
      },
      place: (parent, name) => {
        content ??= Buffer.alloc(header.size);
        const digest = hash('sha256', content);
        const object = objectName(digest, header);
        if (!this.link(object, parent, name)) {
          const fd = openAt(parent, name, CREATE, 0o600);
          try {
            writeAll(fd, content, 0);
            describe(fd, header);
          } finally {
            closeFd(fd);
          }
          this.#keep(parent, name, object);
        }
        this.placed(path, digest);
      },
      abandon: () => {},
    };
  }

  placed(path: ByteString, digest: string): void {
    this.digests.set(path, digest);
    this.#onKept(digest);
  }

  /** False when there is no such object, or it has too many names. */
  link(object: ByteString, parent: number, name: ByteString): boolean {
    try {
      linkAt(this.#objects, object, parent, name);
      return true;
    } catch (error) {
      const { code } = error as { code?: unknown };
      // A new one takes its place.
      if (code === 'EMLINK') this.#remove(object);
      else if (code !== 'ENOENT') throw error;
      return false;
    }
  }

  /** A name of this job's for the object that stood at that path last; undefined when there is none of that size and mode. */
  candidate(header: TarHeader, path: ByteString): { readonly own: ByteString; readonly digest: string } | undefined {
    const object = tryReadLinkAt(this.#large, largeName(header, path));
    if (object === undefined) return undefined;
    const own = incomingName();
    return this.link(object, this.#objects, own) ? { own, digest: object.slice(0, 64) } : undefined;
  }

  create(): IncomingFile {
    const own = incomingName();
    const fd = openAt(this.#objects, own, CREATE, 0o600);
    return { own, fd, writeback: new Writeback(fd) };
  }

  /** As soon as the disk was told of all that it is told of before the end. */
  close({ fd, writeback }: IncomingFile): void {
    const closing = writeback.end().finally(() => {
      closeFd(fd);
      this.#closing.delete(closing);
    });
    this.#closing.add(closing);
  }

  open(own: ByteString): number | undefined {
    return tryOpenAt(this.#objects, own, READ);
  }

  /** Puts an incoming file at its place, and gives up the name it came by. */
  placeOwn(own: ByteString, parent: number, name: ByteString): void {
    linkAt(this.#objects, own, parent, name);
    this.#remove(own);
  }

  /** An incoming file is whole: it becomes an object, and the one to be compared with. */
  keepOwn(own: ByteString, digest: string, header: TarHeader, path: ByteString): void {
    const object = objectName(digest, header);
    // Whether or not it was there: what has a name of the old one keeps it.
    linkAt(this.#objects, own, this.#objects, `${own}-object`);
    renameAt(this.#objects, `${own}-object`, this.#objects, object);
    const next = incomingName();
    symlinkAt(object, this.#large, next);
    renameAt(this.#large, next, this.#large, largeName(header, path));
  }

  abandon(own: ByteString): void {
    this.#remove(own);
  }

  #keep(parent: number, name: ByteString, object: ByteString): void {
    try {
      linkAt(parent, name, this.#objects, object);
    } catch (error) {
      // Another build has kept the same meanwhile.
      if ((error as { code?: unknown }).code !== 'EEXIST') throw error;
    }
  }

  #remove(name: ByteString): void {
    try {
      unlinkAt(this.#objects, name);
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'ENOENT') throw error;
    }
  }
}

interface IncomingFile {
  readonly own: ByteString;
  readonly fd: number;
  readonly writeback: Writeback;
}

/** A file that is compared with the one that was there last, and written from where they differ. */
class LargeFile implements KeptFile {
  readonly #files: KeptFiles;
  readonly #header: TarHeader;
  readonly #path: ByteString;
  readonly #hash: Hash = createHash('sha256');
  #candidate: { readonly own: ByteString; readonly digest: string; readonly fd: number } | undefined;
  #written: IncomingFile | undefined;
  #end = 0;

  constructor(files: KeptFiles, header: TarHeader, path: ByteString) {
    this.#files = files;
    this.#header = header;
    this.#path = path;
    const found = files.candidate(header, path);
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

  place(parent: number, name: ByteString): void {
    const { size } = this.#header;
    if (this.#candidate && this.#end < size) this.#diverge();
    if (this.#candidate) {
      this.#files.placeOwn(this.#candidate.own, parent, name);
      this.#files.placed(this.#path, this.#candidate.digest);
      return closeFd(this.#candidate.fd);
    }
    const written = this.#written!;
    const { own, fd } = written;
    this.#zeros(size);
    ftruncateSync(fd, size);
    describe(fd, this.#header);
    const digest = this.#hash.digest('hex');
    this.#files.keepOwn(own, digest, this.#header, this.#path);
    this.#files.placeOwn(own, parent, name);
    this.#files.placed(this.#path, digest);
    this.#files.close(written);
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

function objectName(digest: string, { mode }: TarHeader): ByteString {
  return `${digest}-${(mode & 0o7777).toString(8)}`;
}

function largeName({ size, mode }: TarHeader, path: ByteString): ByteString {
  return createHash('sha256')
    .update(`${size} ${mode & 0o7777} ${path}`, 'latin1')
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
