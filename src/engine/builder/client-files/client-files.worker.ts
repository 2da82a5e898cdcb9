import { createHash, hash, type Hash } from 'node:crypto';
import { constants, fchmodSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { threadId } from 'node:worker_threads';
import type { ByteString } from '../../../base/byte-string.ts';
import { EngineError, errorCode, errorMessage } from '../../../base/errors.ts';
import type { JobContext, Jobs } from '../../../base/worker-server.ts';
import { CONTEXT_TIME } from '../../../build/copy-files.ts';
import {
  closeFd,
  makeDirectoryAt,
  makeNodeAt,
  openAt,
  renameAt,
  setTimes,
  setTimesAt,
  statAt,
  statFd,
  symlinkAt,
  tryCreateAt,
  unlinkAt,
} from '../../../linux/files.ts';
import { Writeback } from '../../../linux/writeback.ts';
import { removeTreeAt } from '../../../snapshot/remove-tree.ts';
import { RootedDirectory } from '../../../snapshot/rooted-directory.ts';
import type { Plan, ReceivedFiles } from './client-files.ts';
import {
  type ClientEntry,
  isDirectory,
  isFile,
  isSame,
  isSymlink,
  readManifest,
  type StoredEntry,
  unstamped,
} from './manifest.ts';
import { readStoredHead, takeStored, takenStored, writeStored } from './stored-manifest.ts';

/** A list of files larger than this is refused: some two million files. */
const MAX_MANIFEST = 256 << 20;
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
/** What is made of them must not depend on who checked them out, and layers may share the files as they are. */
const TIME = BigInt(CONTEXT_TIME) * 1_000_000_000n;
const FRAME = 12;
/** A file that fits is taken as it came, if all of it is there. */
const CHUNK = 256n << 10n;
const GONE = 0xffffffffffffffffn;

export const jobs: Jobs = {
  /**
   * Reads the client's list and compares it with what is there, and makes the directory what it says but for the files that
   * are needed. `tree` tells the list from others, where that is known.
   */
  plan: async ({ directory, plan, tree: known }: PlanParameters, context: JobContext): Promise<Plan> => {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of context.input) {
      size += chunk.length;
      if (size > MAX_MANIFEST) throw new EngineError('too-large', 'the context has too many files for one build');
      chunks.push(chunk);
    }
    const bytes = Buffer.concat(chunks);
    const tree = known ?? createHash('sha256').update(bytes).digest('hex');
    if (readStoredHead(directory).tree === tree) return { needed: [], same: true, bytes: 0 };
    const entries = readManifest(bytes.toString('utf8'));
    // From here on what is there is neither the old nor the new; without a list it is taken for nothing.
    lists = { plan, entries, before: takeStored(directory) };
    using files = new ClientTree(directory, lists);
    try {
      writeFileSync(join(directory, INCOMING), bytes);
      files.removeOld(context);
      files.makeOthers(context);
    } catch (error) {
      files.writeDown('');
      throw error;
    }
    const needed = files.needed();
    return { needed, same: false, bytes: needed.reduce((sum, index) => sum + entries[index]![2], 0) };
  },
  /** Content of needed files comes in: of all or some of them, as several jobs may share them. Gives what came, also where that is not all. */
  receive: async (
    { directory, plan, needed }: PlanParameters & { readonly needed: readonly number[] },
    context: JobContext,
  ): Promise<ReceivedFiles> => {
    using files = new ClientTree(directory, listsOf(directory, plan));
    return await files.receive(needed, context);
  },
  /** Writes down what is there. */
  finish: ({
    directory,
    plan,
    tree: known,
    received,
  }: PlanParameters & { readonly received: readonly ReceivedFiles[] }): void => {
    using files = new ClientTree(directory, listsOf(directory, plan));
    lists = undefined;
    for (const part of received) files.add(part);
    let tree = '';
    try {
      if (!files.hasAll) return;
      files.finish();
      if (files.isSteady) tree = known ?? hash('sha256', readFileSync(join(directory, INCOMING)), 'hex');
    } finally {
      files.writeDown(tree);
      rmSync(join(directory, INCOMING), { force: true });
    }
  },
};

interface PlanParameters {
  readonly directory: string;
  /** One for each time that the directory is changed. */
  readonly plan: string;
  readonly tree?: string | undefined;
}

/** The client's list, and what was there before. */
interface Lists {
  readonly plan: string;
  readonly entries: readonly ClientEntry[];
  readonly before: readonly StoredEntry[];
}

const INCOMING = 'incoming';

/** Those of this thread's last job: the next is mostly about the same. */
let lists: Lists | undefined;

function listsOf(directory: string, plan: string): Lists {
  if (lists?.plan === plan) return lists;
  const entries = readManifest(readFileSync(join(directory, INCOMING), 'utf8'));
  return { plan, entries, before: takenStored(directory) };
}

/** The digest of one that was gone when it was asked for. */
const NO_DIGEST = '-'.repeat(64);

class ClientTree implements Disposable {
  readonly #directory: string;
  readonly #root: RootedDirectory;
  readonly #fresh: RootedDirectory;
  readonly #entries: readonly ClientEntry[];
  readonly #before: ReadonlyMap<ByteString, StoredEntry>;
  /** Digest of each file that is in place, by index. */
  readonly #digests = new Map<number, string>();
  /** Files that changed while they were sent: what is here is what was sent, and is asked for again next time. */
  readonly #unsteady = new Set<number>();
  /** Files that were gone when they were asked for. */
  readonly #gone = new Set<number>();
  #others = false;
  #finished = false;
  #bytes = 0;
  readonly #modes = new Map<number, boolean>();

  constructor(directory: string, { entries, before }: Lists) {
    this.#directory = directory;
    this.#root = new RootedDirectory(join(directory, 'files'));
    this.#fresh = new RootedDirectory(join(directory, 'fresh'));
    this.#entries = entries;
    this.#before = new Map(before.map((stored) => [stored[0][0], stored]));
    if (before.length === 0) return;
    for (const [index, entry] of entries.entries()) {
      const known = this.#before.get(entry[0]);
      if (known && isFile(entry) && known[1] !== '' && isSame(known[0], entry)) this.#digests.set(index, known[1]);
    }
  }

  /** Indexes of the files that are not as the list says. */
  needed(): number[] {
    const needed: number[] = [];
    for (const [index, entry] of this.#entries.entries())
      if (isFile(entry) && !this.#digests.has(index)) needed.push(index);
    return needed;
  }

  /** What came for some of the files. */
  add({ needed, digests, unsteady }: ReceivedFiles): void {
    this.#others = true;
    for (let n = 0; n * 64 < digests.length; n++) {
      const digest = digests.slice(n * 64, n * 64 + 64);
      if (digest === NO_DIGEST) this.#gone.add(needed[n]!);
      else this.#digests.set(needed[n]!, digest);
    }
    for (const index of unsteady) this.#unsteady.add(index);
  }

  /** Whether nothing is still to come. */
  get hasAll(): boolean {
    return this.#others && this.needed().every((index) => this.#gone.has(index));
  }

  /** Whether all is as the list says, and was steady. */
  get isSteady(): boolean {
    return this.#unsteady.size === 0 && this.#gone.size === 0;
  }

  /** What is not in the list, or is of another kind there. */
  removeOld(context: JobContext): void {
    const now = new Map(this.#entries.map((entry) => [entry[0], entry]));
    const old = [...this.#before.values()].map(([entry]) => entry).reverse();
    for (const entry of old) {
      context.check();
      const next = now.get(entry[0]);
      if (next && isDirectory(next) === isDirectory(entry) && (isDirectory(entry) || isSame(entry, next))) continue;
      // A file that comes again is replaced in one step by its new self.
      if (next && isFile(next) && isFile(entry)) continue;
      const parts = entry[0].split('/');
      if (!this.#root.stat(parts, { follow: false })) continue;
      const [parent, name] = this.#place(entry[0]);
      removeTreeAt(parent, name, () => context.check());
      this.#root.forget();
    }
  }

  makeOthers(context: JobContext): void {
    for (const entry of this.#entries) {
      context.check();
      const [path, mode, , , , link] = entry;
      if (isFile(entry)) continue;
      const [parent, name] = this.#place(path);
      if (statAt(parent, name)) continue;
      if (isDirectory(entry)) makeDirectoryAt(parent, name, 0o700);
      else if (isSymlink(entry)) {
        symlinkAt(link!, parent, name);
        setTimesAt(parent, name, TIME);
      } else {
        makeNodeAt(parent, name, 'fifo', mode & 0o7777, { major: 0, minor: 0 });
        setTimesAt(parent, name, TIME);
      }
    }
    this.#others = true;
  }

  /**
   * Frames of `index (u32) size (u64) content changed (u8)`, in the order of `needed`; the size of one that is gone is all
   * ones. What came before something went wrong is told with it.
   */
  async receive(needed: readonly number[], context: JobContext): Promise<ReceivedFiles> {
    const frames = new FrameReader(context);
    const digests: string[] = [];
    const unsteady: number[] = [];
    const received = (): ReceivedFiles => ({ needed, digests: digests.join(''), unsteady, bytes: this.#bytes });
    try {
      for (const index of needed) {
        const head = frames.now(FRAME) ?? (await frames.take(FRAME));
        const entry = this.#entries[index];
        const size = head.readBigUInt64BE(4);
        if (!entry || !isFile(entry) || head.readUInt32BE(0) !== index) throw torn();
        const [parent, name] = this.#place(entry[0]);
        if (size === GONE) {
          if (statAt(parent, name)) unlinkAt(parent, name);
          digests.push(NO_DIGEST);
          continue;
        }
        const digest = await this.#file(entry, frames, { parent, name, size });
        const end = frames.now(1) ?? (await frames.take(1));
        if (end[0] !== 0 || Number(size) !== entry[2]) unsteady.push(index);
        digests.push(digest);
        context.check();
      }
      await frames.end();
      return received();
    } catch (error) {
      return { ...received(), failure: { code: errorCode(error), message: errorMessage(error) } };
    }
  }

  /** Puts a file in its place. */
  async #file(
    entry: ClientEntry,
    frames: FrameReader,
    { parent, name, size }: { readonly parent: number; readonly name: ByteString; readonly size: bigint },
  ): Promise<string> {
    const mode = entry[1] & 0o7777;
    // What was there may be part of a layer by a hard link: it is replaced, never written to.
    const made = tryCreateAt(parent, name, CREATE, mode);
    const temporary = `file-${threadId}`;
    const fd = made ?? openAt(this.#fresh.fd, temporary, CREATE, mode);
    let digest: string;
    try {
      const whole = size <= CHUNK ? frames.now(Number(size)) : undefined;
      if (whole) {
        digest = hash('sha256', whole);
        writeAll(fd, whole);
        this.#bytes += whole.length;
      } else digest = await this.#content(frames, fd, Number(size));
      if (!this.#isGiven(mode, fd)) fchmodSync(fd, mode);
      setTimes(fd, TIME);
    } catch (error) {
      if (made === undefined) unlinkAt(this.#fresh.fd, temporary);
      else unlinkAt(parent, name);
      throw error;
    } finally {
      closeFd(fd);
    }
    if (made === undefined) renameAt(this.#fresh.fd, temporary, parent, name);
    return digest;
  }

  /** Whether new files have just the mode that they are made with: the process or an ACL of the directory may take from it. */
  #isGiven(mode: number, fd: number): boolean {
    if (mode > 0o777) return false;
    let given = this.#modes.get(mode);
    if (given === undefined) this.#modes.set(mode, (given = statFd(fd).mode === mode));
    return given;
  }

  /** Gives the digest. */
  async #content(frames: FrameReader, fd: number, size: number): Promise<string> {
    const content: Hash = createHash('sha256');
    const writeback = new Writeback(fd);
    try {
      for (let left = size; left > 0;) {
        const piece = await frames.some(left);
        content.update(piece);
        writeAll(fd, piece);
        writeback.wrote(piece.length);
        left -= piece.length;
        this.#bytes += piece.length;
      }
    } finally {
      await writeback.end();
    }
    return content.digest('hex');
  }

  /** Modes and times of directories, when nothing more is put into them. */
  finish(): void {
    for (let index = this.#entries.length - 1; index >= 0; index--) {
      const entry = this.#entries[index]!;
      if (!isDirectory(entry)) continue;
      const [parent, name] = this.#place(entry[0]);
      const fd = openAt(parent, name, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
      try {
        fchmodSync(fd, entry[1] & 0o7777);
        setTimes(fd, TIME);
      } finally {
        closeFd(fd);
      }
    }
    this.#finished = true;
  }

  /** Makes the list of what is in place the one that counts. `tree` as in `StoredManifest`. */
  writeDown(tree: string): void {
    writeStored(this.#directory, { tree, entries: this.#stored() });
  }

  /** A stamp is kept only where the next comparison may trust it. */
  #stored(): StoredEntry[] {
    const stored: StoredEntry[] = [];
    const known = new Set<ByteString>();
    for (const [index, entry] of this.#entries.entries()) {
      const digest = this.#digests.get(index);
      if (isFile(entry) ? digest === undefined : !this.#others) continue;
      known.add(entry[0]);
      stored.push([this.#unsteady.has(index) ? unstamped(entry) : entry, digest ?? '']);
    }
    // Of work that was broken off: what may still be there from before, so that it is found and removed.
    if (!this.#finished) {
      for (const [path, [entry]] of this.#before) if (!known.has(path)) stored.push([unstamped(entry), '']);
      stored.sort(([a], [b]) => (a[0] < b[0] ? -1 : 1));
    }
    return stored;
  }

  [Symbol.dispose](): void {
    this.#root[Symbol.dispose]();
    this.#fresh[Symbol.dispose]();
  }

  #place(path: ByteString): [number, ByteString] {
    const parts = path.split('/');
    const name = parts.pop()!;
    return [this.#root.directory(parts, { follow: false }), name];
  }
}

/** Bytes of a stream of chunks by number. */
class FrameReader {
  readonly #context: JobContext;
  readonly #chunks: AsyncIterator<Buffer>;
  /** As it came. */
  #last: Buffer | undefined;
  /** What is left of it. */
  #chunk: Buffer = Buffer.alloc(0);

  constructor(context: JobContext) {
    this.#context = context;
    this.#chunks = context.input[Symbol.asyncIterator]();
  }

  /** Exactly so many, where they are there. As of all of these, the bytes are lent until the next are asked for. */
  now(size: number): Buffer | undefined {
    if (this.#chunk.length < size) return undefined;
    const taken = this.#chunk.subarray(0, size);
    this.#chunk = this.#chunk.subarray(size);
    return taken;
  }

  /** Exactly so many. */
  async take(size: number): Promise<Buffer> {
    while (this.#chunk.length < size) {
      const rest = Buffer.from(this.#chunk);
      const next = await this.#next();
      this.#chunk = rest.length === 0 ? next : Buffer.concat([rest, next]);
    }
    const taken = this.#chunk.subarray(0, size);
    this.#chunk = this.#chunk.subarray(size);
    return taken;
  }

  /** At least one, at most so many. */
  async some(most: number): Promise<Buffer> {
    if (this.#chunk.length === 0) this.#chunk = await this.#next();
    const taken = this.#chunk.subarray(0, most);
    this.#chunk = this.#chunk.subarray(taken.length);
    return taken;
  }

  async end(): Promise<void> {
    if (this.#chunk.length > 0 || (await this.#chunks.next()).done !== true) throw torn();
  }

  async #next(): Promise<Buffer> {
    if (this.#last) this.#context.giveBack(this.#last);
    const next = await this.#chunks.next();
    if (next.done === true) throw torn();
    this.#last = next.value;
    return next.value;
  }
}

function writeAll(fd: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done);
}

function torn(): EngineError {
  return new EngineError('invalid-argument', 'the files that the client sends are not those that were asked for');
}
