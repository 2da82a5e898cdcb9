import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError, errorMessage } from '../../base/errors.ts';
import { isDigest, sha256 } from '../../oci/digest.ts';
import type { Attestation } from '../../engine/builder/outputs/built-image.ts';
import { EncodedMessage } from '../grpc/server.ts';
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
} from '../protocol/control_pb.ts';
import { StatusSchema } from '../protocol/status_pb.ts';
import type { BuildJob } from './bridge.ts';
import { joinParts, readParts, type RecordParts } from './record-file.ts';
import type { StatusLog } from './status-log.ts';
import { timestamp } from './timestamp.ts';

/** Beyond these, the oldest builds that are not pinned are forgotten. */
const KEEP = 50;
const KEEP_MS = 48 * 3600_000;

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
/** Of a failure: a status with its details. */
const ERROR_TYPE = 'application/vnd.googeapis.google.rpc.status+proto';
const IN_TOTO = 'application/vnd.in-toto+json';
const PREDICATE = 'in-toto.io/predicate-type';
const RECORD = 'record';

const LOG = 'log';
const NAME = /^[0-9a-f]{32}$/;

/**
 * What was built: a file for each build, by the digest of its ref, with the record, what the build said, and the documents
 * that it made; the former two in the protocol's own encoding. Nobody waits for the disk: a record is there when its build
 * ends, and is written behind that, by renaming. All of it may be lost.
 */
export class BuildHistory {
  readonly #directory: string;
  readonly #records = new Map<string, BuildHistoryRecord>();
  readonly #active = new Map<string, BuildHistoryRecord>();
  readonly #listeners = new Set<(event: BuildHistoryEvent) => void>();
  readonly #unwritten = new Map<string, RecordParts>();
  /** What was given to the disk, in order. */
  #written: Promise<void> = Promise.resolve();

  /** @param directory made when it is not there */
  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true });
    for (const name of readdirSync(directory)) {
      try {
        if (!NAME.test(name)) throw new Error(`${name} was not finished`);
        const record = fromBinary(BuildHistoryRecordSchema, readParts(join(directory, name), [RECORD]).get(RECORD)!);
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
        this.#keep(record, log, { results, failure: failure === undefined ? undefined : wholeStatus(failure) });
        this.#publish(BuildHistoryEventType.COMPLETE, record);
      },
    };
  }

  /** What a build of before said; undefined when it is not remembered, or runs. */
  status(ref: string): Iterable<EncodedMessage> | undefined {
    if (!this.#records.has(ref) || this.#active.has(ref)) return undefined;
    const log = this.#part(ref, LOG);
    if (!log) throw new EngineError('not-found', `the log of build record ${ref} is not there`);
    return readLog(log);
  }

  /** A blob that a record names; undefined when none of these builds made it. */
  blob(digest: string): Buffer | undefined {
    if (!isDigest(digest)) return undefined;
    for (const record of this.#records.values()) {
      const bytes = this.#part(record.Ref, record.logs?.digest === digest ? LOG : digest);
      if (bytes) return bytes;
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
    const parts = this.#unwritten.get(ref) ?? readParts(this.#place(ref));
    this.#write(ref, new Map([...parts, [RECORD, toBinary(BuildHistoryRecordSchema, record)]]));
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

  #keep(
    record: BuildHistoryRecord,
    { entries, counts }: StatusLog,
    { results, failure }: { readonly results: readonly HistoryResult[]; readonly failure: Uint8Array | undefined },
  ): void {
    const log = joinLog(entries);
    record.numTotalSteps = counts.total;
    record.numCachedSteps = counts.cached;
    record.numCompletedSteps = counts.completed;
    record.numWarnings = counts.warnings;
    record.logs = create(DescriptorSchema, { mediaType: LOG_TYPE, digest: sha256(log), size: BigInt(log.length) });
    const documents = new Map<string, Uint8Array>();
    addResults(record, results, (bytes) => documents.set(sha256(bytes), bytes));
    if (failure) {
      // With the lines of the Dockerfile: clients take them from here.
      const digest = sha256(failure);
      documents.set(digest, failure);
      record.externalError = create(DescriptorSchema, { mediaType: ERROR_TYPE, digest, size: BigInt(failure.length) });
    }
    this.#records.set(record.Ref, record);
    // The record is the first: an engine that starts reads no more.
    this.#write(record.Ref, new Map([[RECORD, toBinary(BuildHistoryRecordSchema, record)], [LOG, log], ...documents]));
    this.#forgetOld();
  }

  /** A part of a build's file; undefined where it has none of that name. */
  #part(ref: string, name: string): Buffer | undefined {
    const parts = this.#unwritten.get(ref);
    if (!parts) {
      try {
        return readParts(this.#place(ref), [name]).get(name);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw error;
      }
    }
    const bytes = parts.get(name);
    return bytes && Buffer.from(bytes);
  }

  #write(ref: string, parts: RecordParts): void {
    this.#unwritten.set(ref, parts);
    this.#written = this.#written.then(async () => {
      // Meanwhile removed, written at the end of the engine, or to be written with what changed since.
      if (this.#unwritten.get(ref) !== parts) return;
      const place = this.#place(ref);
      try {
        await writeFile(`${place}.new`, Buffer.concat(joinParts(parts)));
        if (this.#unwritten.get(ref) === parts) await rename(`${place}.new`, place);
      } catch {
        // A full disk costs the memory of a build, not the build.
        if (this.#unwritten.get(ref) === parts) this.#records.delete(ref);
        for (const left of [`${place}.new`, place]) await rm(left, { force: true }).catch(() => {});
      }
      if (this.#unwritten.get(ref) === parts) this.#unwritten.delete(ref);
    });
  }

  /** Writes what is not written yet: the engine ends. */
  close(): void {
    for (const [ref, parts] of this.#unwritten) {
      const place = this.#place(ref);
      // Another name than that of one which is being written now.
      const made = `${place}.last`;
      try {
        writeFileSync(made, Buffer.concat(joinParts(parts)));
        renameSync(made, place);
      } catch {
        rmSync(made, { force: true });
      }
    }
    this.#unwritten.clear();
  }

  #remove(record: BuildHistoryRecord): void {
    this.#records.delete(record.Ref);
    this.#unwritten.delete(record.Ref);
    this.#written = this.#written.then(async () => {
      // One of the same name may have been built since.
      if (!this.#records.has(record.Ref)) await rm(this.#place(record.Ref), { force: true });
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

function wholeStatus(failure: unknown): Uint8Array {
  const { code = GRPC.unknown, message = '' } = statusOf(failure) ?? {};
  const details = failure instanceof GrpcError ? failure.details : [];
  return toBinary(StatusSchema, create(StatusSchema, { code, message, details }));
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
function joinLog(entries: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    entries.flatMap((entry) => {
      const head = Buffer.alloc(4);
      head.writeUInt32LE(entry.length);
      return [head, entry];
    }),
  );
}

function* readLog(bytes: Buffer): Generator<EncodedMessage> {
  for (let at = 0; at + 4 <= bytes.length;) {
    const length = bytes.readUInt32LE(at);
    yield new EncodedMessage(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
}
