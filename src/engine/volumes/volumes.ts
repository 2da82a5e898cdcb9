import { listFiles, readVolumeFile } from './browse.ts';
import type { VolumeCopyRequest, VolumeFilesDocument } from '../../api/gantry.ts';
import { type Filters, checkFilters, matchesLabels, NO_FILTERS } from '../../api/filters.ts';
import type { PruneVolumesReport, Volume, VolumeCreateRequest, VolumeListResponse } from '../../api/volume.ts';
import { EngineError } from '../../base/errors.ts';
import { newId } from '../../base/ids.ts';
import { KeyedMutex } from '../../base/mutex.ts';
import type { OperationOptions } from '../../base/operation.ts';
import { formatNanos, nowNanos } from '../../base/time.ts';
import type { Bytes } from '../../content/content-store.ts';
import type { ContainerRecord, ContainerStore } from '../../state/containers.ts';
import type { TrashContent } from '../../state/trash-records.ts';
import { ANONYMOUS_LABEL, isAnonymous, type VolumeRecord, type VolumeStore } from '../../state/volumes.ts';
import type { LocalDriver } from '../../volume/local-driver.ts';
import { checkLocalOptions } from '../../volume/local-options.ts';
import { checkVolumeName } from '../../volume/volume-name.ts';
import type { EventService, VolumeService } from '../engine.ts';
import type { Trash, TrashTicket } from '../trash/trash.ts';
import {
  cloneVolume,
  type CopyParts,
  exportVolume,
  lookInto,
  extract,
  fillVolume,
  type NewVolume,
  snapshotName,
} from './copies.ts';
import type { RunMounts } from './run-mounts.ts';

export interface VolumesOptions {
  readonly store: VolumeStore;
  readonly containers: Pick<ContainerStore, 'list'>;
  readonly driver: LocalDriver;
  readonly runMounts: Pick<RunMounts, 'view' | 'release'>;
  readonly events: Pick<EventService, 'publish'>;
  /** Where removed ones go; undefined: nowhere. */
  readonly trash?: Pick<Trash, 'ticket' | 'put' | 'records'>;
  /** Bytes below a directory. */
  readonly usage: (directory: string, signal?: AbortSignal) => Promise<number>;
}

/**
 * Volumes by name. A volume is in use by every container whose record names it, running or not, and by those that are
 * being created just now.
 */
export class Volumes implements VolumeService {
  readonly #store: VolumeStore;
  readonly #containers: Pick<ContainerStore, 'list'>;
  readonly #driver: LocalDriver;
  readonly #events: Pick<EventService, 'publish'>;
  readonly #usage: VolumesOptions['usage'];
  readonly #trash: VolumesOptions['trash'];
  readonly #copyParts: CopyParts;
  readonly #locks = new KeyedMutex();
  /** Volume → containers whose create has named it, and whose record is not written yet. */
  readonly #reserved = new Map<string, Set<string>>();

  constructor(options: VolumesOptions) {
    this.#store = options.store;
    this.#containers = options.containers;
    this.#driver = options.driver;
    this.#events = options.events;
    this.#usage = options.usage;
    this.#trash = options.trash;
    this.#copyParts = {
      driver: options.driver,
      runMounts: options.runMounts,
      writersOf: (name) => this.#writersOf(name),
      make: (request, fill) => this.#make(request, fill),
      keeping: (name, purpose, work) => this.#keeping(name, purpose, work),
    };
  }

  /** Idempotent by name. Throws `invalid-argument`, `not-found` (driver), `conflict` (it exists with other options). */
  async create(request: VolumeCreateRequest): Promise<Volume> {
    return this.#document(await this.ensure(request));
  }

  /** As `create`; `pendingFor` is the container on whose create it is made, and which has it reserved until `unreserve`. */
  async ensure(request: VolumeCreateRequest, pendingFor?: string): Promise<VolumeRecord> {
    if (request.ClusterVolumeSpec) {
      throw new EngineError(
        'forbidden',
        'volumes of a cluster (--group, --scope, …) need a swarm, which this engine has not',
      );
    }
    const name = request.Name || newId();
    const options = emptyToNull(request.DriverOpts);
    checkDriver(name, request.Driver);
    checkVolumeName(name);
    checkLocalOptions(name, options ?? {});
    return this.#locks.run(name, async () => {
      const existing = this.#store.get(name);
      if (existing && isHidden(existing)) await this.#delete(existing);
      else if (existing) {
        if (options !== null && !sameOptions(options, existing.options)) {
          throw new EngineError(
            'conflict',
            `create ${name}: a volume of this name exists with other options: remove it first, or use another name`,
          );
        }
        if (pendingFor !== undefined) this.#reserve(name, pendingFor);
        else await this.#settle(existing);
        return existing;
      }
      const labels = request.Name ? emptyToNull(request.Labels) : { ...request.Labels, [ANONYMOUS_LABEL]: '' };
      const record: VolumeRecord = {
        ...newRecord(name, { options, labels }),
        ...(pendingFor !== undefined && { pendingFor }),
      };
      await this.#store.insert(record);
      await this.#driver.create(name);
      if (pendingFor !== undefined) this.#reserve(name, pendingFor);
      this.#events.publish('volume', 'create', name, { driver: 'local' });
      return record;
    });
  }

  async list(filters: Filters = NO_FILTERS): Promise<VolumeListResponse> {
    checkFilters(filters, ['dangling', 'driver', 'label', 'name']);
    const dangling = truthFilter(filters, 'dangling');
    const used = dangling === undefined ? new Set<string>() : this.#usedNames();
    const found = this.#store
      .list()
      .filter((record) => matches(record, filters) && (dangling === undefined || used.has(record.name) !== dangling));
    return { Volumes: found.map((record) => this.#document(record)), Warnings: null };
  }

  async inspect(name: string): Promise<Volume> {
    return this.#document(this.#get(name));
  }

  /** Throws `conflict` while a container has it (`volume is in use - [id]`). */
  async remove(name: string, options: { force?: boolean } = {}): Promise<void> {
    const ticket = this.#trash?.ticket();
    if (options.force === true && !this.#store.get(name)) return;
    this.#get(name);
    await this.#locks.run(name, async () => {
      const record = this.#get(name);
      const users = this.usersOf(name);
      if (users.length > 0) {
        throw new EngineError('conflict', `remove ${name}: volume is in use - [${users.join(', ')}]`);
      }
      await this.#delete(record, ticket);
    });
  }

  /** Without `all=1` only volumes that nobody named. */
  async prune(filters: Filters): Promise<PruneVolumesReport> {
    const ticket = this.#trash?.ticket();
    checkFilters(filters, ['all', 'label', 'label!']);
    const all = truthFilter(filters, 'all') ?? false;
    const deleted: string[] = [];
    let reclaimed = 0;
    for (const { name, filling } of this.#store.list()) {
      if (filling) continue;
      await this.#locks.run(name, async () => {
        const record = this.#store.get(name);
        if (!record || record.filling || (!all && !isAnonymous(record)) || this.usersOf(name).length > 0) return;
        if (!matchesLabels(filters, record.labels) || excluded(record, filters)) return;
        // what somebody gave options to is more than a directory of ours: as in Docker, it goes by name alone
        if (record.options !== null) return;
        const bytes = await this.#usage(this.#driver.dataPath(name));
        // the walk took its time: a container may have been created with it
        if (this.usersOf(name).length > 0) return;
        await this.#delete(record, ticket);
        deleted.push(name);
        reclaimed += bytes;
      });
    }
    this.#events.publish('volume', 'prune', '', { reclaimed: String(reclaimed) });
    return { VolumesDeleted: deleted, SpaceReclaimed: reclaimed };
  }

  async rename(name: string, to: string): Promise<Volume> {
    this.#get(name);
    checkVolumeName(to);
    const [first, second] = [name, to].sort() as [string, string];
    if (first === second) throw new EngineError('conflict', `rename ${name}: that is its name already`);
    return this.#locks.run(first, () =>
      this.#locks.run(second, async () => {
        const record = this.#get(name);
        const users = this.usersOf(name);
        if (users.length > 0) {
          throw new EngineError('conflict', `rename ${name}: volume is in use - [${users.join(', ')}]`);
        }
        if (this.#store.get(to)) throw new EngineError('conflict', `rename ${name}: a volume named ${to} exists`);
        await this.#store.update({ ...record, renamingTo: to });
        const renamed = await this.#finishRename(record, to);
        this.#events.publish('volume', 'rename', to, { driver: 'local', oldName: name });
        return this.#document(renamed);
      }),
    );
  }

  clone(name: string, request: VolumeCopyRequest, options?: OperationOptions): Promise<Volume> {
    return cloneVolume(this.#copyParts, name, request, options);
  }

  snapshot(name: string, request: VolumeCopyRequest = {}, options?: OperationOptions): Promise<Volume> {
    const Name = request.Name || snapshotName(name, new Date());
    return cloneVolume(this.#copyParts, name, { ...request, Name }, options);
  }

  async export(name: string, options?: OperationOptions): Promise<Bytes> {
    return exportVolume(this.#copyParts, name, options);
  }

  async files(name: string, path: string): Promise<VolumeFilesDocument> {
    return lookInto(this.#copyParts, name, async (files) => listFiles(files, path));
  }

  /** The file is open when this resolves: that the volume goes away does not end the reading. */
  async readFile(name: string, path: string): Promise<{ readonly size: number; readonly content: Bytes }> {
    return lookInto(this.#copyParts, name, (files) => readVolumeFile(files, path));
  }

  async import(name: string, tar: Bytes, options?: OperationOptions): Promise<Volume> {
    const existing = this.#store.get(name);
    if (!existing || isHidden(existing)) {
      return this.#make({ name, labels: {} }, (directory) => extract(tar, directory, options));
    }
    return this.#locks.run(name, async () => {
      const record = this.#get(name);
      const running = this.#runningUsers(name);
      if (record.options !== null || running.length > 0) {
        const reason = record.options === null ? `the container ${running[0]!.id} runs with it` : 'it has options';
        throw new EngineError('conflict', `import ${name}: ${reason}: import into a new volume`);
      }
      await fillVolume(this.#driver, name, tar, options);
      return this.#document(record);
    });
  }

  /** For `system df`: with sizes and numbers of users. */
  async diskUsage(signal?: AbortSignal): Promise<Volume[]> {
    const volumes: Volume[] = [];
    for (const record of this.#store.list().filter((volume) => !isHidden(volume))) {
      let Size: number;
      try {
        Size = await this.#usage(this.#driver.dataPath(record.name), signal);
      } catch (error) {
        const present = this.#store.get(record.name);
        if (present && !isHidden(present)) throw error;
        continue; // removed while it was measured
      }
      volumes.push({ ...this.#document(record), UsageData: { Size, RefCount: this.usersOf(record.name).length } });
    }
    return volumes;
  }

  /** Ids of the containers that have it. */
  usersOf(name: string, except?: string): string[] {
    const users = new Set(this.#reserved.get(name));
    for (const container of this.#containers.list()) {
      if (container.mounts.some(({ point }) => point.Type === 'volume' && point.Name === name)) users.add(container.id);
    }
    if (except !== undefined) users.delete(except);
    return [...users];
  }

  /** The container's record is written, or never will be. */
  unreserve(containerId: string): void {
    for (const [name, ids] of this.#reserved) {
      if (ids.delete(containerId) && ids.size === 0) this.#reserved.delete(name);
    }
  }

  /** A run is about to write into it: it is no longer to be forgotten with the container that it was made for. */
  async settle(name: string): Promise<void> {
    const record = this.#store.get(name);
    if (record) await this.#settle(record);
  }

  /** Removes an anonymous volume that nobody but `containerId` has. Idempotent. */
  async removeAnonymous(name: string, containerId: string, ticket?: TrashTicket): Promise<void> {
    await this.#locks.run(name, async () => {
      const record = this.#store.get(name);
      if (record && isAnonymous(record) && this.usersOf(name, containerId).length === 0)
        await this.#delete(record, ticket);
    });
  }

  /** A create that failed: what it made is taken back, unless somebody else has taken it up meanwhile. Idempotent. */
  async removePending(containerId: string): Promise<void> {
    for (const { name, pendingFor } of this.#store.list()) {
      if (pendingFor !== containerId) continue;
      await this.#locks.run(name, async () => {
        const record = this.#store.get(name);
        if (record?.pendingFor !== containerId) return;
        if (this.usersOf(name, containerId).length === 0) await this.#delete(record);
        else await this.#settle(record);
      });
    }
  }

  /** At the engine's start: finishes removals, and forgets volumes whose container never came to be. */
  async recover(): Promise<void> {
    const used = this.#usedNames();
    for (const record of this.#store.list()) {
      if (record.restoringFrom !== undefined) await this.#undoRestore(record, record.restoringFrom);
      else if (isHidden(record) || (record.pendingFor !== undefined && !used.has(record.name)))
        await this.#delete(record);
      else if (record.renamingTo !== undefined) await this.#finishRename(record, record.renamingTo);
      else if (!this.#driver.isMounted(record.name)) await this.#driver.create(record.name);
    }
    const kept = new Set(this.#trash?.records.list('volume').map(({ content }) => placeOf(content)));
    for (const place of await this.#driver.discarded()) if (!kept.has(place)) await this.#driver.removeDiscarded(place);
  }

  /** It was removed, and comes back with all that was in it. `taken` is called in the transaction that ends it. Throws `conflict`. */
  async restore(record: VolumeRecord, place: string, taken: () => void): Promise<void> {
    const { name } = record;
    await this.#locks.run(name, async () => {
      if (this.#store.get(name)) throw new EngineError('conflict', `a volume named ${name} exists: rename it first`);
      await this.#store.insert({ ...record, restoringFrom: place });
      try {
        await this.#driver.restore(place, name);
      } catch (error) {
        await this.#store.delete(name);
        throw error;
      }
      // one with options has no files of its own to begin with
      await this.#driver.create(name);
      await this.#store.update(record, taken);
    });
    this.#events.publish('volume', 'create', name, { driver: 'local' });
  }

  async #undoRestore(record: VolumeRecord, place: string): Promise<void> {
    await this.#driver.discard(record.name, place);
    await this.#store.delete(record.name);
  }

  #get(name: string): VolumeRecord {
    const record = this.#store.get(name);
    if (!record || isHidden(record)) throw new EngineError('not-found', `get ${name}: no such volume`);
    return record;
  }

  async #make({ name, labels }: NewVolume, fill: (directory: string) => Promise<void>): Promise<Volume> {
    checkVolumeName(name);
    return this.#locks.run(name, async () => {
      const existing = this.#store.get(name);
      if (existing && !isHidden(existing)) throw new EngineError('conflict', `a volume named ${name} exists`);
      if (existing) await this.#delete(existing);
      const whole = newRecord(name, { options: null, labels: emptyToNull(labels) });
      await this.#store.insert({ ...whole, filling: true });
      try {
        await this.#driver.create(name);
        await fill(this.#driver.dataPath(name));
        await this.#store.update(whole);
      } catch (error) {
        await this.#driver.remove(name);
        await this.#store.delete(name);
        throw error;
      }
      this.#events.publish('volume', 'create', name, { driver: 'local' });
      return this.#document(whole);
    });
  }

  async #keeping<T>(name: string, purpose: string, work: (record: VolumeRecord) => Promise<T>): Promise<T> {
    const record = this.#get(name);
    const key = `${purpose} ${newId().slice(0, 12)}`;
    this.#reserve(name, key);
    try {
      return await work(record);
    } finally {
      this.unreserve(key);
    }
  }

  /** The intent is written: moves the files, then the record. A start after a crash goes on here. */
  async #finishRename(record: VolumeRecord, to: string): Promise<VolumeRecord> {
    const { renamingTo: _, ...before } = record;
    try {
      await this.#driver.rename(record.name, to);
    } catch (error) {
      await this.#store.update(before);
      throw error;
    }
    const { [ANONYMOUS_LABEL]: __, ...labels } = before.labels ?? {};
    const after = { ...before, id: to, name: to, labels: emptyToNull(labels) };
    await this.#store.replace(record.name, after);
    return after;
  }

  #runningUsers(name: string): ContainerRecord[] {
    return this.#containers
      .list()
      .filter(({ state }) => RUNNING.includes(state.status))
      .filter(({ mounts }) => mounts.some(({ point }) => point.Type === 'volume' && point.Name === name));
  }

  #writersOf(name: string): string[] {
    const writes = ({ mounts }: ContainerRecord): boolean =>
      mounts.some(({ point }) => point.Name === name && point.RW);
    return this.#runningUsers(name)
      .filter(writes)
      .map(({ id }) => id);
  }

  async #settle(record: VolumeRecord): Promise<void> {
    if (record.pendingFor === undefined) return;
    const { pendingFor: _, ...settled } = record;
    await this.#store.update(settled);
  }

  /** Its intent first: a crash in between leaves a volume that the next start goes on removing. */
  async #delete(record: VolumeRecord, ticket?: TrashTicket): Promise<void> {
    if (this.#driver.isMounted(record.name)) this.#driver.unmount(record.name);
    const trashing = record.trashing ?? (ticket && { ...ticket, place: newId().slice(0, 16) });
    if (trashing && this.#trash) await this.#discard(record, trashing, this.#trash);
    else {
      await this.#store.update({ ...record, removing: true });
      await this.#driver.remove(record.name);
      await this.#store.delete(record.name);
    }
    this.#events.publish('volume', 'destroy', record.name, { driver: 'local' });
  }

  async #discard(
    record: VolumeRecord,
    trashing: NonNullable<VolumeRecord['trashing']>,
    trash: Pick<Trash, 'put'>,
  ): Promise<void> {
    const { removing: _, trashing: __, pendingFor: ___, ...kept } = record;
    const { place, ...ticket } = trashing;
    await this.#store.update({ ...record, removing: true, trashing });
    await this.#driver.discard(record.name, place);
    await this.#store.delete(record.name, () => trash.put(ticket, { kind: 'volume', record: kept, place }));
  }

  #reserve(name: string, containerId: string): void {
    const ids = this.#reserved.get(name);
    if (ids) ids.add(containerId);
    else this.#reserved.set(name, new Set([containerId]));
  }

  #usedNames(): Set<string> {
    const names = new Set(this.#reserved.keys());
    for (const { mounts } of this.#containers.list()) {
      for (const { point } of mounts) if (point.Type === 'volume' && point.Name !== undefined) names.add(point.Name);
    }
    return names;
  }

  #document(record: VolumeRecord): Volume {
    return {
      CreatedAt: record.createdAt,
      Driver: record.driver,
      Labels: record.labels === null ? null : { ...record.labels },
      Mountpoint: this.#driver.dataPath(record.name),
      Name: record.name,
      Options: record.options === null ? null : { ...record.options },
      Scope: 'local',
    };
  }
}

const RUNNING: readonly string[] = ['running', 'restarting'];

function newRecord(name: string, { options, labels }: Pick<VolumeRecord, 'options' | 'labels'>): VolumeRecord {
  return { id: name, name, createdAt: wholeSeconds(), driver: 'local', options, labels };
}

function checkDriver(name: string, driver: string | undefined): void {
  if (driver === undefined || driver === '' || driver === 'local') return;
  throw new EngineError(
    'not-found',
    `create ${name}: error looking up volume plugin ${driver}: plugin "${driver}" not found`,
  );
}

/** Half made, or half removed. */
function isHidden(record: VolumeRecord): boolean {
  return record.removing === true || record.filling === true || record.restoringFrom !== undefined;
}

function placeOf(content: TrashContent): string | undefined {
  return content.kind === 'volume' ? content.place : undefined;
}

function matches(record: VolumeRecord, filters: Filters): boolean {
  if (isHidden(record)) return false;
  const names = filters.get('name') ?? [];
  const drivers = filters.get('driver') ?? [];
  return (
    (names.length === 0 || names.some((name) => record.name.includes(name))) &&
    (drivers.length === 0 || drivers.includes(record.driver)) &&
    matchesLabels(filters, record.labels)
  );
}

function excluded(record: VolumeRecord, filters: Filters): boolean {
  const unwanted = filters.get('label!') ?? [];
  return unwanted.some((label) => matchesLabels(new Map([['label', [label]]]), record.labels));
}

function truthFilter(filters: Filters, key: string): boolean | undefined {
  const values = filters.get(key);
  if (values === undefined || values.length === 0) return undefined;
  const truths = values.map((value) =>
    ['1', 'true'].includes(value) ? true : ['0', 'false'].includes(value) ? false : undefined,
  );
  if (truths.some((truth) => truth === undefined || truth !== truths[0])) {
    throw new EngineError('invalid-argument', `invalid filter '${key}=[${values.join(' ')}]'`);
  }
  return truths[0];
}

function emptyToNull(map: Readonly<Record<string, string>> | undefined): Readonly<Record<string, string>> | null {
  return map && Object.keys(map).length > 0 ? map : null;
}

function sameOptions(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>> | null): boolean {
  const entries = Object.entries(a);
  if (b === null || entries.length !== Object.keys(b).length) return false;
  return entries.every(([key, value]) => Object.hasOwn(b, key) && b[key] === value);
}

/** As Docker shows a volume's age. */
function wholeSeconds(): string {
  return formatNanos((nowNanos() / 1_000_000_000n) * 1_000_000_000n);
}
