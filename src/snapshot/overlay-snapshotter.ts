import { createHash } from 'node:crypto';
import { closeSync, constants, existsSync, mkdirSync, openSync, readlinkSync, symlinkSync } from 'node:fs';
import { chmod, chown, mkdir, readdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError } from '../base/errors.ts';
import { type ChainId, sha256 } from '../oci/digest.ts';
import type { Database } from '../state/database.ts';
import { type SnapshotRecord, SnapshotRecords } from '../state/snapshots.ts';
import { beginSync } from '../linux/files.ts';
import { inUserNamespace } from '../linux/user-namespace-ids.ts';
import { diskUsage } from './disk-usage.ts';
import { filesystemWorker } from './filesystem-worker.ts';
import { makeScaffold, type ScaffoldEntry } from './scaffold.ts';
import { probeOverlay } from './overlay-probe.ts';
import type { LayerInfo, Mount, SnapshotInfo, Snapshotter } from './snapshotter.ts';
import { Trash } from './trash.ts';

/**
 * Snapshots as directories that overlayfs stacks: `<root>/<n>/fs` holds the changes, `<root>/<n>/work` is overlayfs's own,
 * `<root>/<n>/scaffold` a link to a layer of mount points that is nobody's change: all snapshots over one parent that ask
 * for the same share it, in `<root>/scaffolds`. It is thrown away with its parent.
 * A directory keeps its place for life; what it is called and what lies below it are rows of the database.
 *
 * Order of effects: a directory is made before its row and renamed to the trash after its row is gone, so a directory
 * without a row is rubbish, whenever the engine died.
 */
export class OverlaySnapshotter implements Snapshotter {
  readonly name = 'overlay';
  readonly #root: string;
  readonly #records: SnapshotRecords;
  readonly #trash: Trash;
  /** Open for as long as this is: a write that failed meanwhile is told by its next sync, whoever else was told. */
  readonly #filesystem: number;
  #next: number;
  #problem: string | undefined;
  /** What a mount may have whose writes nobody waits for: nothing before Linux 5.10. */
  #unsyncedFeatures: readonly string[] = [];
  /** Committed, and perhaps not on the disk yet. */
  readonly #unsynced = new Set<string>();
  /** A wait for the disk that has not begun: it serves all who come until then. */
  #nextSync: Promise<void> | undefined;
  #lastSync: Promise<void> = Promise.resolve();
  #begunSync: Promise<void> | undefined;
  /** Those that are being made: of many that ask for the same at once, one makes it. */
  readonly #scaffoldsInMaking = new Map<string, Promise<void>>();

  private constructor(root: string, records: SnapshotRecords, next: number) {
    this.#root = root;
    this.#records = records;
    this.#trash = new Trash(join(root, 'trash'));
    this.#filesystem = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
    this.#next = next;
  }

  /**
   * Opens the snapshots below `root`, made when missing, and sweeps: removes directories that the database does not know,
   * and makes empty ones for active snapshots whose own a power cut took before they were on the disk. One process at a
   * time may have them open. Where overlayfs does not work, `problem` says why and nothing new can be prepared. Throws `invalid-argument` for a path that mount options cannot carry.
   */
  static async open(root: string, db: Database): Promise<OverlaySnapshotter> {
    if (/[:,\\"\s]/.test(root)) {
      throw new EngineError(
        'invalid-argument',
        `the data root ${root} has a character that overlay mounts cannot carry (: , \\ " or white space): use another path`,
      );
    }
    await mkdir(root, { recursive: true, mode: 0o700 });
    const records = new SnapshotRecords(db);
    const directories = (await readdir(root)).filter((name) => /^\d+$/.test(name));
    const used = [...directories, ...records.list().map((record) => record.directory)].map(Number);
    const snapshotter = new OverlaySnapshotter(root, records, Math.max(0, ...used) + 1);
    await snapshotter.#sweep(directories);
    snapshotter.#probe();
    return snapshotter;
  }

  #probe(): void {
    const place = join(this.#root, 'trash', `probe-${process.pid}-${Date.now()}`);
    // The better one is tried first: its unmount waits for no disk.
    if (probeOverlay(place, [...FEATURES, ...UNSYNCED]) === undefined) this.#unsyncedFeatures = UNSYNCED;
    else this.#problem = probeOverlay(place, FEATURES);
  }

  get problem(): string | undefined {
    return this.#problem;
  }

  async prepare(
    key: string,
    parent: ChainId | undefined,
    { scaffold = [] }: { scaffold?: readonly ScaffoldEntry[] } = {},
  ): Promise<void> {
    if (this.#problem !== undefined) {
      throw new EngineError('unavailable', `overlayfs does not work below ${this.#root}: ${this.#problem}`);
    }
    if (this.#records.get(key)) throw new EngineError('already-exists', `the snapshot ${key} exists`);
    const below = parent === undefined ? undefined : this.#records.get(parent);
    if (parent !== undefined && below?.kind !== 'committed') {
      throw new EngineError('not-found', `No such snapshot: ${parent}`);
    }
    const directory = String(this.#next++);
    try {
      await this.#makeDirectories(directory, below);
      if (scaffold.length > 0) await this.#linkScaffold(directory, parent, scaffold);
      const createdAt = new Date();
      this.#records.insert({ name: key, kind: 'active', parent, directory, createdAt, layer: undefined });
    } catch (error) {
      await this.#trash.throwAway(join(this.#root, directory));
      throw error;
    }
  }

  async rebase(key: string, parent: ChainId, { ownRoot }: { readonly ownRoot: boolean }): Promise<void> {
    const record = this.#active(key);
    const below = this.#records.get(parent);
    if (below?.kind !== 'committed') throw new EngineError('not-found', `No such snapshot: ${parent}`);
    if (record.parent !== undefined) throw new EngineError('conflict', `the snapshot ${key} is over ${record.parent}`);
    if (!ownRoot) await copyRoot(this.#fs(below), this.#fs(record));
    this.#records.rebase(key, parent);
  }

  async commit(
    chainId: ChainId,
    key: string,
    layer: LayerInfo,
    { sync = true }: { readonly sync?: boolean | undefined } = {},
  ): Promise<void> {
    const record = this.#active(key);
    const expected = record.parent === undefined ? layer.diffId : sha256(`${record.parent} ${layer.diffId}`);
    if (expected !== chainId) {
      throw new EngineError('invalid-argument', `the layer ${layer.diffId} over ${record.parent} is not ${chainId}`);
    }
    if (this.#records.get(chainId)) return this.remove(key);
    if (sync) await filesystemWorker.run({ job: 'sync', parameters: { directory: this.#fs(record) } });
    try {
      if (!sync) this.#unsynced.add(chainId);
      this.#records.commit(key, chainId, layer);
      if (sync) await this.#records.durable();
    } catch (error) {
      // Somebody else made the same layer meanwhile.
      if (!(error instanceof EngineError && error.code === 'already-exists')) throw error;
      await this.remove(key);
      return;
    }
    await this.#trash.throwAway(this.#work(record));
    await this.#trash.throwAway(join(this.#root, record.directory, 'scaffold'));
  }

  beginSync(): void {
    // What comes while one runs is left to the sync at the end.
    if (this.#begunSync) return;
    const own = openSync(this.#root, constants.O_RDONLY | constants.O_DIRECTORY);
    this.#begunSync = beginSync(own).finally(() => {
      closeSync(own);
      this.#begunSync = undefined;
    });
  }

  async sync(chainIds: readonly ChainId[]): Promise<void> {
    if (!chainIds.some((chainId) => this.#unsynced.has(chainId))) return;
    this.#nextSync ??= this.#lastSync.then(async () => {
      this.#nextSync = undefined;
      const waiting = [...this.#unsynced];
      const trees = waiting.flatMap((chainId) => this.#records.get(chainId) ?? []).map((record) => this.#fs(record));
      const synced = filesystemWorker.run({
        job: 'sync-trees',
        parameters: { trees, top: this.#root, filesystem: this.#filesystem },
      });
      this.#lastSync = synced.then(
        () => {},
        () => {},
      ); // told to those who wait for it
      await synced;
      for (const chainId of waiting) this.#unsynced.delete(chainId);
    });
    await this.#nextSync;
  }

  async mounts(name: string, { unsynced = false }: { readonly unsynced?: boolean } = {}): Promise<readonly Mount[]> {
    const [top, ...below] = this.#records.ancestry(name) as [SnapshotRecord, ...SnapshotRecord[]];
    const writable = top.kind === 'active';
    const lowerDirs = [...this.#scaffold(top), ...below.map((record) => this.#fs(record))];
    if (lowerDirs.length === 0) {
      return [{ type: 'bind', source: this.#fs(top), options: ['bind', writable ? 'rw' : 'ro'] }];
    }
    const lower = (writable ? lowerDirs : [this.#fs(top), ...lowerDirs]).join(':');
    const options = writable
      ? [`lowerdir=${lower}`, `upperdir=${this.#fs(top)}`, `workdir=${this.#work(top)}`]
      : ['ro', `lowerdir=${lower}`];
    const more = writable && unsynced ? this.#unsyncedFeatures : [];
    return [{ type: 'overlay', source: 'overlay', options: [...options, ...FEATURES, ...more] }];
  }

  changesDir(name: string): string {
    const record = this.#records.get(name);
    if (!record) throw new EngineError('not-found', `No such snapshot: ${name}`);
    return this.#fs(record);
  }

  lowerDirs(name: string): string[] {
    const [top, ...below] = this.#records.ancestry(name) as [SnapshotRecord, ...SnapshotRecord[]];
    return [...this.#scaffold(top), ...below.map((record) => this.#fs(record))];
  }

  stat(name: string): SnapshotInfo | undefined {
    const record = this.#records.get(name);
    return record && infoOf(record);
  }

  async usage(name: string, { signal }: { signal?: AbortSignal } = {}): Promise<{ bytes: number; inodes: number }> {
    return diskUsage(this.changesDir(name), { signal });
  }

  async remove(name: string): Promise<void> {
    const record = this.#records.remove(name);
    this.#unsynced.delete(name);
    // An active one that a power cut brings back has no owner, and is swept; a layer that came back would be used.
    if (record.kind === 'committed') {
      await this.#records.durable();
      await this.#dropScaffolds(record.name as ChainId);
    }
    await this.#trash.throwAway(join(this.#root, record.directory));
  }

  list(): readonly SnapshotInfo[] {
    return this.#records.list().map(infoOf);
  }

  async settled(): Promise<void> {
    await this.#trash.settled();
  }

  async close(): Promise<void> {
    await this.#trash.close();
    await Promise.allSettled([this.#begunSync, this.#nextSync]);
    await this.#lastSync;
    closeSync(this.#filesystem);
  }

  #active(key: string): SnapshotRecord {
    const record = this.#records.get(key);
    if (record?.kind !== 'active') throw new EngineError('not-found', `No such active snapshot: ${key}`);
    return record;
  }

  #fs(record: Pick<SnapshotRecord, 'directory'>): string {
    return join(this.#root, record.directory, 'fs');
  }

  #work(record: Pick<SnapshotRecord, 'directory'>): string {
    return join(this.#root, record.directory, 'work');
  }

  async #linkScaffold(
    directory: string,
    parent: ChainId | undefined,
    entries: readonly ScaffoldEntry[],
  ): Promise<void> {
    const digest = createHash('sha256').update(JSON.stringify(entries)).digest('hex');
    const name = `${scaffoldPrefix(parent)}${digest.slice(0, 16)}`;
    if (!existsSync(join(this.#root, 'scaffolds', name))) {
      let making = this.#scaffoldsInMaking.get(name);
      if (!making) {
        making = this.#makeScaffold(directory, name, parent, entries);
        this.#scaffoldsInMaking.set(name, making);
      }
      try {
        await making;
      } finally {
        this.#scaffoldsInMaking.delete(name);
      }
    }
    symlinkSync(`../scaffolds/${name}`, join(this.#root, directory, 'scaffold'));
  }

  /** Made aside and synced before it has its name: what is there is whole, after a power cut too. */
  async #makeScaffold(
    directory: string,
    name: string,
    parent: ChainId | undefined,
    entries: readonly ScaffoldEntry[],
  ): Promise<void> {
    const lowerDirs = parent === undefined ? [] : this.#records.ancestry(parent).map((record) => this.#fs(record));
    const target = join(this.#root, directory, 'scaffold.new');
    const shared = join(this.#root, 'scaffolds', name);
    mkdirSync(target, { mode: 0o755 });
    makeScaffold(target, lowerDirs, entries);
    await mkdir(join(this.#root, 'scaffolds'), { recursive: true, mode: 0o700 });
    await filesystemWorker.run({ job: 'sync', parameters: { directory: target } });
    await rename(target, shared);
  }

  /** The layer of mount points right below an active snapshot, if it has one. */
  #scaffold({ kind, directory }: SnapshotRecord): string[] {
    if (kind !== 'active') return [];
    try {
      return [join(this.#root, directory, readlinkSync(join(this.#root, directory, 'scaffold')))];
    } catch {
      return [];
    }
  }

  /** Those over a parent that is gone: nothing was above it any more. */
  async #dropScaffolds(parent: ChainId): Promise<void> {
    const directory = join(this.#root, 'scaffolds');
    const names = await readdir(directory).catch(() => []);
    for (const name of names) {
      if (name.startsWith(scaffoldPrefix(parent))) await this.#trash.throwAway(join(directory, name));
    }
  }

  /** The root of an overlay mount is the upper directory's own: it starts as a copy of the one below. */
  async #makeDirectories(directory: string, below: SnapshotRecord | undefined): Promise<void> {
    const fs = this.#fs({ directory });
    await makeDirectory(join(this.#root, directory), 0o700);
    await makeDirectory(this.#work({ directory }), 0o700);
    await makeDirectory(fs, 0o777);
    if (below) return copyRoot(this.#fs(below), fs);
    await chown(fs, 0, 0);
    await chmod(fs, 0o755);
  }

  async #sweep(directories: readonly string[]): Promise<void> {
    await this.#trash.empty();
    const records = new Map(this.#records.list().map((record) => [record.directory, record]));
    for (const directory of directories) {
      if (!records.has(directory)) await this.#trash.throwAway(join(this.#root, directory));
    }
    const present = new Set(directories);
    for (const record of records.values()) {
      if (record.kind !== 'active' || present.has(record.directory)) continue;
      await this.#makeDirectories(
        record.directory,
        record.parent === undefined ? undefined : this.#records.get(record.parent),
      );
    }
  }
}

/**
 * Features of overlayfs that keep marks in extended attributes which a layer's tar cannot carry are off: a directory's
 * changes must be whole in it (`metacopy`), renamed directories are copied (`redirect_dir`; nor is a redirect ever
 * followed that somebody smuggled in), and lower files may change their inode when copied up (`index`).
 */
const FEATURES: readonly string[] = [
  'index=off',
  'metacopy=off',
  'redirect_dir=nofollow',
  ...(inUserNamespace() ? ['userxattr'] : []),
];

const UNSYNCED = ['volatile'] as const;

function scaffoldPrefix(parent: ChainId | undefined): string {
  return `${parent === undefined ? 'none' : parent.slice(parent.indexOf(':') + 1)}-`;
}

function infoOf({ name, kind, parent, createdAt, layer }: SnapshotRecord): SnapshotInfo {
  return { name, kind, parent, createdAt, layer };
}

async function copyRoot(from: string, to: string): Promise<void> {
  const { uid, gid, mode } = await stat(from);
  await chown(to, uid, gid);
  await chmod(to, mode & 0o7777);
}

/** Unless it is there. Not the recursive kind, which says of a read-only or broken disk that something is not there. */
async function makeDirectory(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    if ((error as { code?: string }).code !== 'EEXIST') throw error;
  }
}
