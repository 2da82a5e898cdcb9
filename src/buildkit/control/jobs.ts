import { EngineError } from '../../base/errors.ts';
import type { ClientSession } from '../session/client-session.ts';
import type { Result } from '../protocol/gateway_pb.ts';
import type { SolveRequest } from '../protocol/control_pb.ts';
import { StatusLog } from './status-log.ts';

/** How long a call that names a build waits for it: clients open all their calls at the same time. */
const APPEAR_MS = 10_000;
/** How long the events of a build that ended can still be read. */
const LINGER_MS = 30_000;

/** Something a build made that later calls of the same build name. */
export interface JobResult {
  /** Releases what it holds. */
  release(): Promise<void>;
}

/** One build of a client, from its Solve to its end. */
export class Job<R extends JobResult = JobResult> {
  readonly request: SolveRequest;
  readonly session: ClientSession;
  readonly log = new StatusLog();
  readonly results = new Map<string, R>();
  /** What else is given up at its end, after the results. */
  readonly held = new AsyncDisposableStack();
  /** What the client is told at the end, beside what the outputs say. */
  readonly response: Record<string, string> = {};
  /** What a frontend on the client's side made of it. */
  readonly returned = Promise.withResolvers<Result>();
  readonly #stop = new AbortController();
  /** Fires when the build is over, for whatever reason. */
  readonly signal: AbortSignal;

  /** The context, where the client's session does not have it. */
  readonly archive: AsyncIterable<Uint8Array> | undefined;

  constructor(request: SolveRequest, session: ClientSession, signal: AbortSignal, archive?: AsyncIterable<Uint8Array>) {
    this.archive = archive;
    this.request = request;
    this.session = session;
    this.signal = AbortSignal.any([this.#stop.signal, signal, session.closed]);
    this.returned.promise.catch(() => {});
    this.signal.addEventListener('abort', () => this.returned.reject(this.signal.reason as Error), { once: true });
  }

  get ref(): string {
    return this.request.Ref;
  }

  /** Throws `not-found`. */
  result(id: string): R {
    const result = this.results.get(id);
    if (!result) throw new EngineError('not-found', `no such result: ${id}`);
    return result;
  }

  async end(): Promise<void> {
    this.#stop.abort(new EngineError('cancelled', 'the build is over'));
    const results = [...this.results.values()];
    this.results.clear();
    await Promise.allSettled(results.map((result) => result.release()));
    await this.held.disposeAsync();
    this.log.end();
  }
}

/** The builds that run, by the names that their clients gave them. */
export class Jobs<R extends JobResult = JobResult> {
  readonly #jobs = new Map<string, Job<R>>();
  readonly #logs = new Map<string, StatusLog>();
  readonly #waiting = new Map<string, Set<() => void>>();

  get running(): Iterable<Job<R>> {
    return this.#jobs.values();
  }

  begin(job: Job<R>): void {
    if (job.ref === '') throw new EngineError('invalid-argument', 'a build needs a Ref');
    if (this.#jobs.has(job.ref)) throw new EngineError('already-exists', `job ID ${job.ref} exists`);
    this.#jobs.set(job.ref, job);
    this.#logs.set(job.ref, job.log);
    for (const found of this.#waiting.get(job.ref) ?? []) found();
    this.#waiting.delete(job.ref);
  }

  async end(job: Job<R>): Promise<void> {
    await job.end();
    this.#jobs.delete(job.ref);
    setTimeout(() => {
      if (this.#logs.get(job.ref) === job.log) this.#logs.delete(job.ref);
    }, LINGER_MS).unref();
  }

  /** The build of this name, when it runs or begins soon. Throws `not-found`. */
  async get(ref: string, signal: AbortSignal): Promise<Job<R>> {
    await this.#appears(ref, signal, () => this.#jobs.has(ref));
    return this.#jobs.get(ref)!;
  }

  /** Its events; also of one that ended a moment ago. */
  async log(ref: string, signal: AbortSignal): Promise<StatusLog> {
    await this.#appears(ref, signal, () => this.#logs.has(ref));
    return this.#logs.get(ref)!;
  }

  async #appears(ref: string, signal: AbortSignal, there: () => boolean): Promise<void> {
    if (there()) return;
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiting = this.#waiting.get(ref) ?? new Set();
    this.#waiting.set(ref, waiting.add(resolve));
    const timer = setTimeout(() => reject(new EngineError('not-found', `no such job ${ref}`)), APPEAR_MS);
    const stopped = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', stopped, { once: true });
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stopped);
      waiting.delete(resolve);
      if (waiting.size === 0 && this.#waiting.get(ref) === waiting) this.#waiting.delete(ref);
    }
    if (!there()) throw new EngineError('not-found', `no such job ${ref}`);
  }
}
