import { createHash } from 'node:crypto';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ByteString } from '../../../base/byte-string.ts';
import { EngineError } from '../../../base/errors.ts';
import { CONTEXT_TIME } from '../../../build/copy-files.ts';
import { NO_XATTRS, type TarEntryType, type TarHeader, tarHeader } from '../../../content/tar/header.ts';
import type { TarHandler } from '../../../content/tar/parser.ts';
import { closeFd, existsAt, openDirectory } from '../../../linux/files.ts';
import { MAX_ENTRIES } from '../../../snapshot/apply-layer-job.ts';
import { extractionError, Extractor, type FileKeeper, type KeptFile } from '../../../snapshot/extractor.ts';
import { type IncomingFile, KeptFiles } from './kept-files.ts';
import type { ReceivedContext, ReceiveParameters } from './uploaded-contexts.ts';

/** Entries that are remembered before a tree is made of them: about 200 bytes each. */
const MAX_PENDING = 200_000;
const TIME = BigInt(CONTEXT_TIME) * 1_000_000_000n;

/**
 * Takes the entries of a context. No tree is made of them before all are there: until then there is a list of what they
 * are, and files are only kept by content. Then a tree of the same list may be there from before, and else it is made of
 * that list. An archive that no list says all of (attributes), or that is too long for one, goes into a directory of the
 * build's own as it comes.
 */
export class ContextReceiver implements TarHandler, AsyncDisposable {
  readonly #parameters: ReceiveParameters;
  readonly #maxBytes: number;
  readonly #files: KeptFiles;
  readonly #keeper: ContextFiles;
  readonly #trees: number;
  readonly #tree = new TextDigest();
  /** Of each entry what `describe` says; behind a file's the digest of its content. */
  readonly #pending: string[] = [];
  #incoming: { readonly header: TarHeader; readonly file: IncomingFile } | undefined;
  #direct: Extractor | undefined;
  #bytes = 0;
  /** False when a list of digests does not say all of it. */
  #whole = true;

  /** @param maxBytes of all files together */
  constructor(parameters: ReceiveParameters, maxBytes: number) {
    this.#parameters = parameters;
    this.#maxBytes = maxBytes;
    this.#files = new KeptFiles(parameters.store);
    this.#keeper = new ContextFiles(this.#files, (digest) => this.#tree.add(digest));
    this.#trees = openDirectory(parameters.trees);
  }

  entry(header: TarHeader): void {
    const text = describe(header);
    this.#tree.add(text);
    if (header.xattrs.size > 0) this.#whole = false;
    if (!this.#direct && (!this.#whole || this.#pending.length >= MAX_PENDING))
      this.#direct = this.#materialize(this.#parameters.directory);
    if (this.#direct) return this.#direct.entry(header);
    this.#bytes += header.size;
    if (this.#bytes > this.#maxBytes)
      throw new EngineError(
        'too-large',
        `the archive's files are more than the ${this.#maxBytes} bytes there is room for`,
      );
    this.#pending.push(text);
    if (header.type === 'file')
      this.#guard(header, () => (this.#incoming = { header, file: this.#files.take(header) }));
  }

  data(chunk: Buffer, offset: number): void {
    if (this.#direct) return this.#direct.data(chunk, offset);
    const incoming = this.#incoming;
    if (incoming) this.#guard(incoming.header, () => incoming.file.data(chunk, offset));
  }

  entryEnd(): void {
    if (this.#direct) return this.#direct.entryEnd();
    const incoming = this.#incoming;
    if (!incoming) return;
    this.#guard(incoming.header, () => {
      const digest = incoming.file.finish();
      this.#incoming = undefined;
      this.#pending.push(digest);
      this.#tree.add(digest);
    });
  }

  /** Call after the last entry. */
  finish(): ReceivedContext {
    const tree = this.#tree.end();
    if (this.#direct) {
      this.#direct.finish();
      if (this.#whole) this.#writeList(this.#parameters.list);
      return { tree: this.#whole ? tree : undefined, kept: false };
    }
    if (!existsAt(this.#trees, tree)) this.#make(tree);
    return { tree, kept: true };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#incoming?.file.abandon();
    this.#direct?.[Symbol.dispose]();
    closeFd(this.#trees);
    await this.#files[Symbol.asyncDispose]();
  }

  /** The tree gets its name when it is whole. */
  #make(tree: string): void {
    const { incoming, trees } = this.#parameters;
    mkdirSync(incoming, { mode: 0o700 });
    using extractor = this.#materialize(join(incoming, 'files'));
    extractor.finish();
    this.#writeList(join(incoming, 'list'));
    try {
      renameSync(incoming, join(trees, tree));
    } catch (error) {
      const { code } = error as { code?: unknown };
      // Another build has made the same meanwhile.
      if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
    }
  }

  /** Makes what was received so far. */
  #materialize(directory: string): Extractor {
    mkdirSync(directory, { recursive: true, mode: 0o755 });
    const extractor = new Extractor(directory, {
      whiteouts: 'literal',
      keeper: this.#keeper,
      maxEntries: MAX_ENTRIES,
      maxBytes: this.#maxBytes,
    });
    try {
      for (let at = 0; at < this.#pending.length; at++) {
        const header = described(this.#pending[at]!);
        if (header.type === 'file') this.#keeper.ready = this.#pending[++at]!;
        extractor.entry(header);
        extractor.entryEnd();
      }
    } catch (error) {
      extractor[Symbol.dispose]();
      throw error;
    }
    this.#pending.length = 0;
    return extractor;
  }

  #writeList(path: string): void {
    writeFileSync(path, `\n${JSON.stringify([...this.#keeper.digests].map(([name, digest]) => [[name], digest]))}`);
  }

  #guard(header: TarHeader, work: () => void): void {
    try {
      work();
    } catch (error) {
      throw extractionError(error, header.name);
    }
  }
}

/** Gives an extractor the files of a context: those that are kept already, and those that come. */
class ContextFiles implements FileKeeper {
  readonly #files: KeptFiles;
  readonly #onDigest: (digest: string) => void;
  /** Of each file that is in place: sha256 of its content in hex, by its path. */
  readonly digests = new Map<ByteString, string>();
  /** Of the next file: its content is kept, and does not come. */
  ready: string | undefined;

  /** @param onDigest called with each file's that comes */
  constructor(files: KeptFiles, onDigest: (digest: string) => void) {
    this.#files = files;
    this.#onDigest = onDigest;
  }

  begin(header: TarHeader, path: ByteString): KeptFile {
    const { ready } = this;
    this.ready = undefined;
    const place = (digest: string, parent: number, name: ByteString): void => {
      this.#files.link(digest, header, parent, name);
      this.digests.set(path, digest);
    };
    if (ready !== undefined)
      return { data: () => {}, place: (parent, name) => place(ready, parent, name), abandon: () => {} };
    const file = this.#files.take(header);
    return {
      data: (chunk, offset) => file.data(chunk, offset),
      place: (parent, name) => {
        const digest = file.finish();
        this.#onDigest(digest);
        place(digest, parent, name);
      },
      abandon: () => file.abandon(),
    };
  }

  forget(path: ByteString): void {
    this.digests.delete(path);
  }

  /** Where a link takes the place of a directory, a digest by the old name would be said of another file: a step's cache would be another's. */
  forgetAll(): void {
    this.digests.clear();
  }
}

/** The digest of many short texts, one after the other. */
class TextDigest {
  readonly #hash = createHash('sha256');
  #waiting = '';

  add(text: string): void {
    this.#waiting += text;
    if (this.#waiting.length > TOGETHER) this.#pass();
  }

  end(): string {
    this.#pass();
    return this.#hash.digest('hex');
  }

  #pass(): void {
    this.#hash.update(this.#waiting, 'latin1');
    this.#waiting = '';
  }
}

const TOGETHER = 16 << 10;

type Described = [TarEntryType, ByteString, ByteString, number, number, number, number];

/** All that an entry is but its times and its owner, which no step sees. */
function describe({ type, name, linkName, size, mode, deviceMajor, deviceMinor }: TarHeader): string {
  return JSON.stringify([type, name, linkName, size, mode, deviceMajor, deviceMinor] satisfies Described);
}

function described(text: string): TarHeader {
  const [type, name, linkName, size, mode, deviceMajor, deviceMinor] = JSON.parse(text) as Described;
  const rest = { linkName, size, mode, deviceMajor, deviceMinor, mtime: TIME, xattrs: NO_XATTRS };
  return tarHeader({ type, name, ...rest });
}
