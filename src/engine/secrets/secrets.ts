import { randomInt } from 'node:crypto';
import { statSync } from 'node:fs';
import { checkFilters, type Filters, hasLabel } from '../../api/filters.ts';
import type {
  Secret,
  SecretEnsured,
  SecretReference,
  SecretRotateRequest,
  SecretRotation,
  SecretScanReport,
  SecretScanRequest,
  SecretSpec,
} from '../../api/secret.ts';
import { EngineError, errorMessage } from '../../base/errors.ts';
import { now } from '../../base/time.ts';
import type { ContainerRecord, ContainerStore } from '../../state/containers.ts';
import type { SecretRecord, SecretStore } from '../../state/secrets.ts';
import { logFiles } from '../../runtime/logs/log-files.ts';
import { hasProcess } from '../containers/state.ts';
import type { EventService, SecretService } from '../engine.ts';
import type { KeyFile } from './key-file.ts';
import { LeakScan, searchForms } from './leak-scan.ts';
import type { SecretFiles } from './secret-files.ts';

export const MAX_SECRET_BYTES = 512_000;
const KEPT_LEAKS = 20;
/** What is searched at the end of a container's run, of the newest of its log. */
const LOG_BUDGET = 16 << 20;
/** What is searched of an image or of a container's changes without being asked. */
const IMAGE_BUDGET = 256 << 20;

/** An image as its parts lie on disk. */
export interface ScannedImage {
  readonly id: string;
  readonly configText: string;
  /** Directories of its layers, the top first. */
  readonly layers: readonly string[];
}

export interface SecretsOptions {
  readonly store: SecretStore;
  readonly keys: KeyFile;
  readonly containers: Pick<ContainerStore, 'list'>;
  readonly files: SecretFiles;
  readonly events: Pick<EventService, 'publish'>;
  /** Throws `not-found`. */
  readonly findContainer: (name: string) => ContainerRecord;
  /** Throws `not-found`. */
  readonly findImage: (name: string) => Promise<ScannedImage>;
  /** Of a container's output. */
  readonly logPath: (record: ContainerRecord) => string;
  readonly kill: (id: string, signal: string) => Promise<void>;
  readonly report: (message: string) => void;
}

/** Secrets without a swarm: Docker's `/secrets`, and what containers, execs and builds have of them. */
export class Secrets implements SecretService {
  readonly #options: SecretsOptions;
  readonly #store: SecretStore;
  readonly #keys: KeyFile;

  constructor(options: SecretsOptions) {
    this.#options = options;
    this.#store = options.store;
    this.#keys = options.keys;
  }

  async create(spec: SecretSpec): Promise<{ ID: string }> {
    checkSpec(spec);
    const value = valueOf(spec.Data);
    if (this.#store.byName(spec.Name)) {
      throw new EngineError('conflict', `rpc error: code = AlreadyExists desc = secret ${spec.Name} already exists`);
    }
    const id = newSecretId((candidate) => this.#store.get(candidate) !== undefined);
    const createdAt = now();
    const record: SecretRecord = {
      id,
      name: spec.Name,
      createdAt,
      updatedAt: createdAt,
      version: 1,
      generation: 1,
      labels: spec.Labels ?? {},
      value: this.#keys.seal(value, context({ id, generation: 1 }), { mustExist: this.#store.list().length > 0 }),
    };
    this.#store.insert(record);
    this.#publish('create', record);
    return { ID: id };
  }

  async list(filters: Filters = new Map()): Promise<Secret[]> {
    checkFilters(filters, ['id', 'label', 'name', 'names']);
    const matches = (key: string, text: string): boolean =>
      !filters.has(key) || filters.get(key)!.some((wanted) => text.startsWith(wanted));
    return this.#store
      .list()
      .filter(
        ({ id, name, labels }) =>
          matches('id', id) &&
          matches('name', name) &&
          (!filters.has('names') || filters.get('names')!.includes(name)) &&
          (filters.get('label') ?? []).every((wanted) => hasLabel(labels, wanted)),
      )
      .map(documentOf);
  }

  async inspect(name: string): Promise<Secret> {
    return documentOf(this.#find(name));
  }

  async remove(name: string): Promise<void> {
    const record = this.#find(name);
    const users = this.#options.containers.list().filter((container) => uses(container, record.id));
    if (users.length > 0) {
      throw new EngineError(
        'conflict',
        `secret "${record.name}" is in use by ${users.length === 1 ? 'container' : 'containers'} ` +
          `${users.map((user) => user.name).join(', ')}: remove ${users.length === 1 ? 'it' : 'them'} first`,
      );
    }
    this.#store.delete(record.id);
    this.#publish('remove', record);
  }

  async update(name: string, version: number, spec: SecretSpec): Promise<void> {
    const record = this.#find(name);
    checkSpec({ ...spec, Name: spec.Name || record.name });
    if (version !== record.version) {
      throw new EngineError('invalid-argument', 'rpc error: code = Unknown desc = update out of sequence');
    }
    if ((spec.Name && spec.Name !== record.name) || (spec.Data !== undefined && spec.Data !== '')) {
      throw new EngineError(
        'invalid-argument',
        'rpc error: code = InvalidArgument desc = only updates to Labels are allowed: a new value is given by `gantry secret rotate`',
      );
    }
    const updated = { ...record, labels: spec.Labels ?? {}, updatedAt: now(), version: record.version + 1 };
    this.#store.update(updated);
    this.#publish('update', updated);
  }

  async rotate(name: string, request: SecretRotateRequest): Promise<SecretRotation> {
    const record = this.#find(name);
    if (request.Signal && request.Reload !== true) {
      throw new EngineError('invalid-argument', 'a signal tells of a reload: ask for one as well');
    }
    const next = this.#withValue(record, valueOf(request.Data), request.Reload === true);
    this.#store.update(next);
    this.#publish('update', next);
    const running = this.#options.containers.list().filter((one) => hasProcess(one.state) && uses(one, record.id));
    const reloaded = request.Reload ? this.#reload(next) : [];
    if (request.Signal) for (const id of reloaded) await this.#options.kill(id, request.Signal);
    return {
      ID: record.id,
      Version: { Index: next.version },
      Reloaded: reloaded,
      Stale: running.map(({ id }) => id).filter((id) => !reloaded.includes(id)),
    };
  }

  async ensure(spec: SecretSpec): Promise<SecretEnsured> {
    const record = this.#store.byName(spec.Name);
    if (!record) return { ID: (await this.create(spec)).ID, Changed: true };
    checkSpec(spec);
    const value = valueOf(spec.Data);
    const labels = spec.Labels ?? {};
    for (const [key, label] of Object.entries(labels)) {
      if (key.endsWith('.project') && record.labels[key] !== label) {
        throw new EngineError(
          'conflict',
          `secret ${spec.Name} exists and was not made for ${label}: remove or rename one`,
        );
      }
    }
    if (this.#open(record).equals(value)) return { ID: record.id, Changed: false };
    const next = { ...this.#withValue(record, value, true), labels };
    this.#store.update(next);
    this.#publish('update', next);
    this.#reload(next);
    return { ID: record.id, Changed: true };
  }

  async rotateKey(): Promise<{ Secrets: number }> {
    const records = this.#store.list();
    const values = records.map((record) => this.#open(record));
    this.#keys.advance();
    this.#store.update(
      ...records.map((record, index) => ({
        ...record,
        value: this.#keys.seal(values[index]!, context(record), { mustExist: true }),
      })),
    );
    this.#keys.retire();
    return { Secrets: records.length };
  }

  async scan(request: SecretScanRequest): Promise<SecretScanReport> {
    if ((request.Container === undefined) === (request.Image === undefined)) {
      throw new EngineError('invalid-argument', 'a container or an image is scanned: name one of them');
    }
    if (request.Container !== undefined) {
      const container = this.#options.findContainer(request.Container);
      const records = this.#recordsOf(container);
      const scan = this.#scanOf(records, Number.MAX_SAFE_INTEGER);
      await this.#scanLog(scan, container, undefined);
      return this.#told(scan, records);
    }
    const image = await this.#options.findImage(request.Image!);
    const records = this.#store.list();
    const scan = this.#scanOf(records, Number.MAX_SAFE_INTEGER);
    await scanImage(scan, image);
    return this.#told(scan, records);
  }

  // what containers, execs and builds ask

  /** The references of a create, each with the secret's id and name. Throws `invalid-argument`: of a 404 clients think that the image is missing. */
  plan(references: readonly SecretReference[]): SecretReference[] {
    const targets = new Set<string>();
    return references.map((reference) => {
      const record = this.#named(reference.SecretID || reference.SecretName || '');
      const planned = { ...reference, SecretID: record.id, SecretName: record.name };
      const target = this.#options.files.target(planned);
      if (targets.has(target)) throw new EngineError('invalid-argument', `Duplicate mount point: ${target}`);
      targets.add(target);
      return planned;
    });
  }

  /** Throws `unavailable`, `corrupt`; `conflict` when it is gone. */
  value(id: string, name = id): Buffer {
    const record = this.#store.get(id);
    if (!record) throw new EngineError('conflict', `secret ${name} is gone: make it again, and the container anew`);
    return this.#open(record);
  }

  /** By name or id. Throws `invalid-argument`. */
  valueOf(name: string): Buffer {
    return this.#open(this.#named(name));
  }

  /** A run has ended: the newest of its output is searched for the values of the container's secrets. */
  async runEnded(container: ContainerRecord): Promise<void> {
    const scan = this.#scanOf(this.#recordsOf(container), LOG_BUDGET);
    await this.#scanLog(scan, container, LOG_BUDGET);
    this.#tell(scan);
  }

  /** An image was made where secrets were at hand: those named, by a build; those of the container, by a commit. */
  async imageMade(image: string, secretIds: readonly string[]): Promise<void> {
    const records = secretIds.flatMap((id) => this.#store.get(id) ?? this.#store.byName(id) ?? []);
    const scan = this.#scanOf(records, IMAGE_BUDGET);
    if (scan.done) return;
    await scanImage(scan, await this.#options.findImage(image));
    this.#tell(scan);
  }

  /** At the engine's start, when it is known which containers run: ends rotations of a value or the key that were cut off. */
  recover(): void {
    try {
      for (const record of this.#store.list()) if (record.reloading) this.#reload(record);
      const active = this.#keys.active;
      const old = this.#store.list().filter(({ value }) => value.key !== active);
      if (active === undefined || old.length === 0) {
        if (active !== undefined) this.#keys.retire();
        return;
      }
      this.#store.update(
        ...old.map((record) => ({
          ...record,
          value: this.#keys.seal(this.#open(record), context(record), { mustExist: true }),
        })),
      );
      this.#keys.retire();
    } catch (error) {
      // who uses a secret is told the reason; everything else works
      this.#options.report(`secrets: ${errorMessage(error)}`);
    }
  }

  #find(name: string): SecretRecord {
    const found = this.#store.get(name) ?? this.#store.byName(name);
    if (found) return found;
    const candidates = name === '' ? [] : this.#store.list().filter(({ id }) => id.startsWith(name));
    if (candidates.length === 1) return candidates[0]!;
    if (candidates.length > 1) {
      throw new EngineError('invalid-argument', `secret ${name} is ambiguous (${candidates.length} matches found)`);
    }
    throw new EngineError('not-found', `secret ${name} not found`);
  }

  #named(name: string): SecretRecord {
    try {
      return this.#find(name);
    } catch (error) {
      throw new EngineError('invalid-argument', `${errorMessage(error)}: make it with \`gantry secret create\``, {
        cause: error,
      });
    }
  }

  #open(record: SecretRecord): Buffer {
    try {
      return this.#keys.open(record.value, context(record));
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      throw new EngineError(error.code, `secret ${record.name}: ${error.message}`, { cause: error });
    }
  }

  #withValue(before: SecretRecord, value: Buffer, reload: boolean): SecretRecord {
    // where the old value was seen says nothing of the new one
    const record = without(before, 'leaks');
    const generation = record.generation + 1;
    return {
      ...record,
      updatedAt: now(),
      version: record.version + 1,
      generation,
      value: this.#keys.seal(value, context({ id: record.id, generation }), { mustExist: true }),
      ...(reload && { reloading: true }),
    };
  }

  /** Gives the ids of the running containers that have the newest value now. */
  #reload(pending: SecretRecord): string[] {
    const record = without(pending, 'reloading');
    const value = this.#open(record);
    const done: string[] = [];
    for (const container of this.#options.containers.list()) {
      if (!hasProcess(container.state) || !uses(container, record.id)) continue;
      try {
        if (this.#options.files.replace(container, record.id, value)) done.push(container.id);
      } catch (error) {
        this.#options.report(`secret ${record.name}: container ${container.name}: ${errorMessage(error)}`);
      }
    }
    this.#store.update(record);
    return done;
  }

  #recordsOf({ hostConfig }: ContainerRecord): SecretRecord[] {
    return (hostConfig.Secrets ?? []).flatMap(({ SecretID }) => this.#store.get(SecretID ?? '') ?? []);
  }

  #scanOf(records: readonly SecretRecord[], budget: number): LeakScan {
    return new LeakScan(
      records.map((record) => [record.id, this.#open(record)] as const),
      budget,
    );
  }

  async #scanLog(scan: LeakScan, container: ContainerRecord, budget: number | undefined): Promise<void> {
    let left = budget ?? Number.MAX_SAFE_INTEGER;
    const where = `log of container ${container.name}`;
    for (const { path } of logFiles(this.#options.logPath(container)).toReversed()) {
      const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
      await scan.file(path, where, Math.max(0, size - left));
      left = Math.max(0, left - size);
      if (left === 0) return;
    }
  }

  #told(scan: LeakScan, records: readonly SecretRecord[]): SecretScanReport {
    this.#tell(scan);
    return {
      Leaks: scan.leaks.map(({ secret, where }) => ({ Secret: this.#store.get(secret)?.name ?? secret, Where: where })),
      Bytes: scan.bytes,
      TooShort: records.filter((record) => searchForms(this.#open(record)).length === 0).map(({ name }) => name),
    };
  }

  /** Kept with the secret, told as an event and to whoever looks after the engine: once for a place. */
  #tell(scan: LeakScan): void {
    for (const { secret, where } of scan.leaks) {
      const record = this.#store.get(secret);
      if (!record || record.leaks?.some((leak) => leak.where === where)) continue;
      const leaks = [...(record.leaks ?? []), { at: now(), where }].slice(-KEPT_LEAKS);
      this.#store.update({ ...record, leaks });
      this.#options.report(`secret ${record.name}: its value was found in the ${where}: rotate it`);
      this.#publish('leak', record, { where });
    }
  }

  #publish(action: string, { id, name }: SecretRecord, more: Record<string, string> = {}): void {
    this.#options.events.publish('secret', action, id, { name, ...more });
  }
}

async function scanImage(scan: LeakScan, image: ScannedImage): Promise<void> {
  scan.text(image.configText, `configuration of image ${image.id}`);
  for (const layer of image.layers) await scan.tree(layer, (path) => `image ${image.id}: ${path}`);
}

/** What a value is bound to, so that none can be put in another's place. */
function context({ id, generation }: { readonly id: string; readonly generation: number }): string {
  return `gantry secret ${id} ${generation}`;
}

function without(record: SecretRecord, key: 'leaks' | 'reloading'): SecretRecord {
  return Object.fromEntries(Object.entries(record).filter(([name]) => name !== key)) as unknown as SecretRecord;
}

function uses({ hostConfig }: ContainerRecord, id: string): boolean {
  return hostConfig.Secrets?.some(({ SecretID }) => SecretID === id) === true;
}

function documentOf(record: SecretRecord): Secret {
  return {
    ID: record.id,
    Version: { Index: record.version },
    CreatedAt: record.createdAt,
    UpdatedAt: record.updatedAt,
    Spec: { Name: record.name, Labels: { ...record.labels } },
    ...(record.leaks?.length && { Leaks: record.leaks.map(({ at, where }) => ({ At: at, Where: where })) }),
  };
}

/** 25 characters as a swarm gives them: `docker secret ls` has a column of that width. */
function newSecretId(taken: (id: string) => boolean): string {
  for (;;) {
    const id = Array.from({ length: 25 }, () => randomInt(36).toString(36)).join('');
    if (!taken(id) && !/^\d/.test(id)) return id;
  }
}

/** Throws in Docker's words. */
function checkSpec({ Name, Driver, Templating, Labels }: SecretSpec): void {
  if (!/^[a-zA-Z0-9](?:[a-zA-Z0-9._-]{0,62}[a-zA-Z0-9])?$/.test(Name ?? '')) {
    throw new EngineError(
      'invalid-argument',
      'rpc error: code = InvalidArgument desc = invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]',
    );
  }
  if (Driver?.Name) throw new EngineError('unimplemented', `secret drivers are not supported: ${Driver.Name}`);
  if (Templating?.Name) {
    throw new EngineError('unimplemented', `templates in secrets are not supported: ${Templating.Name}`);
  }
  if (Object.keys(Labels ?? {}).includes('')) throw new EngineError('invalid-argument', 'a label has no name');
}

function valueOf(data: string | undefined): Buffer {
  const value = Buffer.from(data ?? '', 'base64');
  if (data !== undefined && value.toString('base64').replace(/=+$/, '') !== data.replace(/=+$/, '')) {
    throw new EngineError('invalid-argument', 'the secret data is no base64');
  }
  if (value.length === 0 || value.length >= MAX_SECRET_BYTES) {
    throw new EngineError(
      'invalid-argument',
      'rpc error: code = InvalidArgument desc = secret data must be larger than 0 and less than 512000 bytes',
    );
  }
  return value;
}
