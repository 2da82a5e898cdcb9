import { constants, readFileSync } from 'node:fs';
import type { ByteString } from '../base/byte-string.ts';
import type { FileKind, FileStat } from '../linux/files.ts';
import { CONTEXT_TIME, type KnownFiles } from './copy-files.ts';

/** Something in a tree of which all is known. */
export interface ListedEntry {
  /** As the kernel would tell it, but for what nobody asks of a file that is never changed. */
  readonly stat: FileStat;
  /** sha256 of a file's content in hex, where a symlink leads to; empty for others. */
  readonly text: string;
  /** Of a directory, in byte order. */
  readonly children: ReadonlyMap<ByteString, ListedEntry>;
}

/** An entry of a list: path, of complete ones also mode with its type, size, time, stamp and target; and the content's digest. */
type Line = readonly [
  entry: readonly [path: ByteString, mode?: number, size?: number, mtime?: string, stamp?: string, link?: ByteString],
  digest: string,
];

type Directory = Omit<ListedEntry, 'children'> & { children: Map<ByteString, ListedEntry> };

/** What a list says of the files of a directory. */
export class KnownList {
  /** The directory itself; undefined when the list does not tell everything. */
  readonly root: ListedEntry | undefined;
  readonly #lines: readonly Line[];
  #digests: ReadonlyMap<ByteString, string> | undefined;

  private constructor(lines: readonly Line[], complete: boolean) {
    this.#lines = lines;
    this.root = complete ? treeOf(lines) : undefined;
  }

  /** Of the last one it is remembered: several jobs in a row are about one. */
  static read(known: KnownFiles): KnownList {
    const key = `${known.tree} ${known.list}`;
    if (last?.key !== key) {
      const text = readFileSync(known.list, 'utf8');
      const lines = JSON.parse(text.slice(text.indexOf('\n'))) as Line[];
      last = { key, list: new KnownList(lines, known.complete === true) };
    }
    return last.list;
  }

  /** Of the content of files, by path. */
  get digests(): ReadonlyMap<ByteString, string> {
    // who walks the list has them from its entries
    return (this.#digests ??= new Map(this.#lines.map(([[path], digest]) => [path, digest])));
  }

  /** What is at `path`, when no symlink is on the way there. */
  find(path: readonly ByteString[]): ListedEntry | undefined {
    let entry = this.root;
    for (const name of path) entry = entry?.children.get(name);
    return entry;
  }
}

let last: { readonly key: string; readonly list: KnownList } | undefined;

const { S_IFMT, S_IFREG, S_IFDIR, S_IFLNK } = constants;
const KINDS: ReadonlyMap<number, FileKind> = new Map([
  [S_IFREG, 'file'],
  [S_IFDIR, 'directory'],
  [S_IFLNK, 'symlink'],
]);
const TIME = BigInt(CONTEXT_TIME) * 1_000_000_000n;
const NONE: Map<ByteString, ListedEntry> = new Map();

function treeOf(lines: readonly Line[]): ListedEntry | undefined {
  const root: Directory = { stat: statOf('directory', 0o755, 0), text: '', children: new Map() };
  const directories = new Map<ByteString, Directory>([['', root]]);
  const unsorted = new Set<Directory>();
  const newest = new Map<Directory, ByteString>();
  let [parent, above]: [Directory, ByteString] = [root, ''];
  for (const [[path, mode = 0, size = 0, , , link], digest] of lines) {
    const kind = KINDS.get(mode & S_IFMT);
    // A FIFO's mode is not the one that was asked for.
    if (kind === undefined) return undefined;
    const cut = path.lastIndexOf('/');
    const folder = cut < 0 ? '' : path.slice(0, cut);
    if (folder !== above) {
      const found = directories.get(folder);
      if (!found) return undefined;
      [parent, above] = [found, folder];
    }
    const name = path.slice(cut + 1);
    if (name < (newest.get(parent) ?? '')) unsorted.add(parent);
    newest.set(parent, name);
    const stat = statOf(kind, kind === 'symlink' ? 0o777 : mode & 0o7777, kind === 'file' ? size : 0);
    const children = kind === 'directory' ? new Map<ByteString, ListedEntry>() : NONE;
    const entry: Directory = { stat, text: link ?? digest, children };
    parent.children.set(name, entry);
    if (kind === 'directory') directories.set(path, entry);
  }
  for (const directory of unsorted) sort(directory);
  return root;
}

function sort(directory: Directory): void {
  directory.children = new Map([...directory.children].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Files of clients are root's and all of one time. */
function statOf(kind: FileKind, mode: number, size: number): FileStat {
  return {
    kind,
    mode,
    size,
    uid: 0,
    gid: 0,
    blocks: 0,
    links: 1,
    inode: 0n,
    device: 0n,
    deviceMajor: 0,
    deviceMinor: 0,
    mtime: TIME,
  };
}
