import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError, errorMessage } from '../../base/errors.ts';
import { sha256 } from '../../oci/digest.ts';
import type { Attestation } from '../../engine/builder/outputs/built-image.ts';
import { GRPC, GrpcError } from '../grpc/status.ts';
import {
  type BuildHistoryEvent,
  BuildHistoryEventSchema,
  BuildHistoryEventType,
  type BuildHistoryRecord,
  BuildHistoryRecordSchema,
  type BuildHistoryRequest,
  BuildResultInfoSchema,
  DescriptorSchema,
  type StatusResponse,
  StatusResponseSchema,
} from '../protocol/control_pb.ts';
import type { BuildJob } from './gateway.ts';
import { timestamp } from './timestamp.ts';

/** Beyond these, the oldest builds that are not pinned are forgotten. */
const KEEP = 50;
const KEEP_MS = 48 * 3600_000;
/** What a build said beyond this is not kept: its client has seen it. */
const MAX_LOG = 16 << 20;

/** What a build made for one platform. */
export interface HistoryResult {
  /** Undefined where there is one only. */
  readonly platform: string | undefined;
  /** Manifest, index or configuration, as its exporter has it. */
  readonly descriptor: { readonly mediaType: string; readonly digest: string; readonly size: number } | undefined;
  readonly attestations: readonly Attestation[];
  /** Its configuration. */
  readonly config: string;
}

export interface HistoryEntry {
  /** The build is over: keeps what it was, what it said, and what it made. */
  end(response: Readonly<Record<string, string>>, failure: unknown, results: readonly HistoryResult[]): void;
}

/** Of logs, as they are kept and exported: entries of Status, each with its length in front. */
const LOG_TYPE = 'application/vnd.buildkit.status.v0';
const IN_TOTO = 'application/vnd.in-toto+json';
const PREDICATE = 'in-toto.io/predicate-type';
const RECORD = 'record';

/** Files of a record that are not written yet, by name. */
type Files = ReadonlyMap<string, Uint8Array>;

/**
 * What was built: `<directory>/<digest of the ref>/{record,log}`, both in the protocol's own encoding. Nobody waits for the
 * disk: a record is there when its build ends, and is written behind that. It is written by renaming when its log is
 * there, so a build that an engine died in is not remembered. All of it may be lost.
 */
export class BuildHistory {
  readonly #directory: string;
  readonly #records = new Map<string, BuildHistoryRecord>();
  readonly #active = new Map<string, BuildHistoryRecord>();
  readonly #listeners = new Set<(event: BuildHistoryEvent) => void>();
  readonly #unwritten = new Map<string, Files>();
  /** What was given to the disk, in order. */
  #written: Promise<void> = Promise.resolve();

  /** @param directory made when it is not there */
  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true });
    for (const name of readdirSync(directory)) {
      try {
        const record = fromBinary(BuildHistoryRecordSchema, readFileSync(join(directory, name, 'record')));
        this.#records.set(record.Ref, record);
      } catch {
        // Broken off, or of another version: it is worth nothing.
        rmSync(join(directory, name), { recursive: true, force: true });
      }
    }
    this.#forgetOld();
  }

  begin(job: BuildJob): HistoryEntry {
    const { request, log } = job;
    const started = Date.now();
    const record = create(BuildHistoryRecordSchema, {
      Ref: request.Ref,
      Frontend: request.Frontend === '' ? 'dockerfile.v0' : request.Frontend,
      FrontendAttrs: { ...request.FrontendAttrs },
      Exporters: request.Exporters,
      CreatedAt: timestamp(started),
    });
    this.#active.set(record.Ref, record);
    this.#publish(BuildHistoryEventType.STARTED, record);
    return {
      end: (response, failure, results) => {
        this.#active.delete(record.Ref);
        record.CompletedAt = create(BuildHistoryRecordSchema, { CompletedAt: timestamp(Date.now()) }).CompletedAt;
        record.ExporterResponse = { ...response };
        if (failure !== undefined) record.error = statusOf(failure);
        count(record, log.entries);
        this.#keep(record, log.entries, results);
        this.#publish(BuildHistoryEventType.COMPLETE, record);
      },
    };
  }

  /** What a build of before said; undefined when it is not remembered, or runs. */
  status(ref: string): Iterable<StatusResponse> | undefined {
    if (!this.#records.has(ref) || this.#active.has(ref)) return undefined;
    return readLog(this.#read(ref, 'log'));
  }

  /** A blob that a record names; undefined when none of these builds made it. */
  blob(digest: string): Buffer | undefined {
    for (const record of this.#records.values()) {
      try {
        return this.#read(record.Ref, record.logs?.digest === digest ? 'log' : fileOf(digest));
      } catch {
        // Not of this build.
      }
    }
    return undefined;
  }

  update(ref: string, { pinned, remove }: { readonly pinned: boolean; readonly remove: boolean }): void {
    const record = this.#records.get(ref);
    if (!record) throw new EngineError('not-found', `build record ${ref} not found`);
    if (remove) {
      this.#remove(record);
      return;
    }
    record.pinned = pinned;
    this.#write(ref, new Map([[RECORD, toBinary(BuildHistoryRecordSchema, record)]]));
    this.#publish(BuildHistoryEventType.COMPLETE, record);
  }

  /** What is remembered, then what happens, until the caller goes; only the former with `EarlyExit`. */
  async *listen(request: BuildHistoryRequest, signal: AbortSignal): AsyncGenerator<BuildHistoryEvent> {
    const matches = (record: BuildHistoryRecord): boolean => request.Ref === '' || record.Ref === request.Ref;
    const queue: BuildHistoryEvent[] = [];
    let wake = Promise.withResolvers<void>();
    const listener = (event: BuildHistoryEvent): void => {
      if (!event.record || !matches(event.record)) return;
      queue.push(event);
      wake.resolve();
    };
    const stop = (): void => wake.resolve();
    this.#listeners.add(listener);
    signal.addEventListener('abort', stop, { once: true });
    try {
      const old = request.ActiveOnly ? [] : [...this.#records.values()].filter(matches);
      old.sort((a, b) => Number((b.CreatedAt?.seconds ?? 0n) - (a.CreatedAt?.seconds ?? 0n)));
      const shown = request.Limit > 0 ? old.slice(0, request.Limit) : old;
      for (const record of [...this.#active.values()].filter(matches))
        yield event(BuildHistoryEventType.STARTED, record);
      for (const record of shown) yield event(BuildHistoryEventType.COMPLETE, record);
      while (!request.EarlyExit && !signal.aborted) {
        wake = Promise.withResolvers();
        const next = queue.shift();
        if (next) yield next;
        else await wake.promise;
      }
    } finally {
      this.#listeners.delete(listener);
      signal.removeEventListener('abort', stop);
    }
  }

  #place(ref: string): string {
    // Refs are the clients': no name of a file.
    return join(this.#directory, sha256(ref).slice(7, 39));
  }

  #keep(record: BuildHistoryRecord, entries: readonly StatusResponse[], results: readonly HistoryResult[]): void {
    const files = new Map<string, Uint8Array>();
    const log = encodeLog(entries);
    files.set('log', log);
    record.logs = create(DescriptorSchema, { mediaType: LOG_TYPE, digest: sha256(log), size: BigInt(log.length) });
    addResults(record, results, (bytes) => files.set(fileOf(sha256(bytes)), bytes));
    // The last: with it the others count.
    files.set(RECORD, toBinary(BuildHistoryRecordSchema, record));
    this.#records.set(record.Ref, record);
    this.#write(record.Ref, files);
    this.#forgetOld();
  }

  /** Throws where there is no such file. */
  #read(ref: string, file: string): Buffer {
    const bytes = this.#unwritten.get(ref)?.get(file);
    return bytes ? Buffer.from(bytes) : readFileSync(join(this.#place(ref), file));
  }

  #write(ref: string, changed: Files): void {
    const files: Files = new Map([...(this.#unwritten.get(ref) ?? []), ...changed]);
    this.#unwritten.set(ref, files);
    this.#written = this.#written.then(async () => {
      // Meanwhile removed, written at the end of the engine, or to be written with what changed since.
      if (this.#unwritten.get(ref) !== files) return;
      const place = this.#place(ref);
      try {
        await mkdir(place, { recursive: true });
        for (const [name, bytes] of files)
          await writeFile(join(place, name === RECORD ? `${RECORD}.new` : name), bytes);
        if (this.#unwritten.get(ref) === files) await rename(join(place, `${RECORD}.new`), join(place, RECORD));
      } catch {
        // A full disk costs the memory of a build, not the build.
        if (this.#unwritten.get(ref) === files) this.#records.delete(ref);
        await rm(place, { recursive: true, force: true }).catch(() => {});
      }
      if (this.#unwritten.get(ref) === files) this.#unwritten.delete(ref);
    });
  }

  /** Writes what is not written yet: the engine ends. */
  close(): void {
    for (const [ref, files] of this.#unwritten) {
      const place = this.#place(ref);
      try {
        mkdirSync(place, { recursive: true });
        for (const [name, bytes] of files) writeFileSync(join(place, name === RECORD ? `${RECORD}.new` : name), bytes);
        renameSync(join(place, `${RECORD}.new`), join(place, RECORD));
      } catch {
        rmSync(place, { recursive: true, force: true });
      }
    }
    this.#unwritten.clear();
  }

  #remove(record: BuildHistoryRecord): void {
    this.#records.delete(record.Ref);
    this.#unwritten.delete(record.Ref);
    this.#written = this.#written.then(async () => {
      // One of the same name may have been built since.
      if (!this.#records.has(record.Ref)) await rm(this.#place(record.Ref), { recursive: true, force: true });
    });
    this.#publish(BuildHistoryEventType.DELETED, record);
  }

  #forgetOld(): void {
    const loose = [...this.#records.values()].filter(({ pinned }) => !pinned);
    loose.sort((a, b) => Number((b.CreatedAt?.seconds ?? 0n) - (a.CreatedAt?.seconds ?? 0n)));
    const oldest = (Date.now() - KEEP_MS) / 1000;
    for (const [index, record] of loose.entries())
      if (index >= KEEP || Number(record.CreatedAt?.seconds ?? 0n) < oldest) this.#remove(record);
  }

  #publish(type: BuildHistoryEventType, record: BuildHistoryRecord): void {
    for (const listener of this.#listeners) listener(event(type, record));
  }
}

function event(type: BuildHistoryEventType, record: BuildHistoryRecord): BuildHistoryEvent {
  return create(BuildHistoryEventSchema, { type, record });
}

function statusOf(failure: unknown): BuildHistoryRecord['error'] {
  const code = failure instanceof GrpcError ? failure.status : GRPC.unknown;
  return create(BuildHistoryRecordSchema, { error: { code, message: errorMessage(failure) } }).error;
}

function count(record: BuildHistoryRecord, entries: readonly StatusResponse[]): void {
  const steps = new Map<string, { cached: boolean; completed: boolean }>();
  for (const { vertexes, warnings } of entries) {
    for (const { digest, cached, completed } of vertexes)
      steps.set(digest, { cached, completed: completed !== undefined });
    record.numWarnings += warnings.length;
  }
  record.numTotalSteps = steps.size;
  record.numCachedSteps = [...steps.values()].filter(({ cached }) => cached).length;
  record.numCompletedSteps = [...steps.values()].filter(({ completed }) => completed).length;
}

/** Name of a blob's file; digests come from clients. */
function fileOf(digest: string): string {
  return digest.replace(':', '-').replaceAll('/', '');
}

/** What a build made, and what is said of it: `write` keeps the documents. */
function addResults(
  record: BuildHistoryRecord,
  results: readonly HistoryResult[],
  write: (bytes: Buffer) => void,
): void {
  for (const { platform, descriptor, attestations, config } of results) {
    write(Buffer.from(config));
    const info = create(BuildResultInfoSchema, {});
    if (descriptor) {
      const { mediaType, digest, size } = descriptor;
      const result = create(DescriptorSchema, { mediaType, digest, size: BigInt(size) });
      info.ResultDeprecated = result;
      info.Results['0'] = result;
    }
    for (const { predicateType, predicate } of attestations) {
      const bytes = Buffer.from(JSON.stringify(predicate, undefined, 2));
      write(bytes);
      info.Attestations.push(
        create(DescriptorSchema, {
          mediaType: IN_TOTO,
          digest: sha256(bytes),
          size: BigInt(bytes.length),
          annotations: { [PREDICATE]: predicateType },
        }),
      );
    }
    if (platform === undefined) record.Result = info;
    else record.Results[platform] = info;
  }
}

/** Entries one after the other, each with its length in front. */
function encodeLog(entries: readonly StatusResponse[]): Buffer {
  const pieces: Buffer[] = [];
  let size = 0;
  for (const entry of entries) {
    const bytes = toBinary(StatusResponseSchema, entry);
    size += bytes.length;
    if (size > MAX_LOG) break;
    const head = Buffer.alloc(4);
    head.writeUInt32LE(bytes.length);
    pieces.push(head, Buffer.from(bytes));
  }
  return Buffer.concat(pieces);
}

function* readLog(bytes: Buffer): Generator<StatusResponse> {
  for (let at = 0; at + 4 <= bytes.length;) {
    const length = bytes.readUInt32LE(at);
    yield fromBinary(StatusResponseSchema, bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
}
