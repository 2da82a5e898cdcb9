import type { SolvedImage } from '../../engine/builder/solved-build.ts';
import type { PendingBuild } from '../frontend/dockerfile.ts';
import { GRPC, GrpcError } from '../grpc/status.ts';
import type { Result, ReturnRequest } from '../protocol/gateway_pb.ts';
import type { Definition } from '../protocol/ops_pb.ts';
import type { Policy } from '../protocol/policy_pb.ts';
import { SourcePolicy } from '../policy/source-policy.ts';
import { type BuiltRef, refIds, toResult } from '../result.ts';
import type { Job } from './jobs.ts';

/** A result that a frontend may name: one platform of a build, or what a definition gave. */
export interface RefResult {
  readonly ref: BuiltRef;
  /** The Dockerfile's build that it is of; undefined for definitions. */
  readonly build: PendingBuild | undefined;
  release(): Promise<void>;
}

export type BuildJob = Job<RefResult>;

/** A frontend of a build, as its calls are answered: the client itself, or a program that the client named. */
export interface Bridge {
  readonly job: BuildJob;
  readonly inputs: Readonly<Record<string, Definition>>;
  /** Rules of those who called it, besides the client's own. */
  readonly policies: readonly Policy[];
  /** How many programs called each other down to this one; the client is 0. */
  readonly depth: number;
  /** Programs of the build that run now. */
  readonly programs: { running: number };
  /** Ends it. Throws `invalid-argument` for a second time. */
  return(request: ReturnRequest): void;
}

/** What a bridge may take from elsewhere: the client's own rules, those of its callers, then those of a call. */
export function rulesOf({ job, policies }: Bridge, own: readonly Policy[] = []): SourcePolicy | undefined {
  return SourcePolicy.of([job.request.SourcePolicy, ...policies, ...own]);
}

const CLIENTS = new WeakMap<BuildJob, Bridge>();

/** The client of a build as its frontend. */
export function clientBridge(job: BuildJob): Bridge {
  const known = CLIENTS.get(job);
  if (known) return known;
  const bridge: Bridge = {
    job,
    inputs: job.request.FrontendInputs,
    policies: [],
    depth: 0,
    programs: { running: 0 },
    return(request) {
      settle(job.returned, request);
    },
  };
  CLIENTS.set(job, bridge);
  return bridge;
}

/** What one program gave back. */
export class ProgramAnswer {
  readonly #settled = Promise.withResolvers<Result>();
  #given = false;

  constructor() {
    this.#settled.promise.catch(() => {});
  }

  get given(): boolean {
    return this.#given;
  }

  /** Resolves, or throws what was returned, as soon as that was. */
  get result(): Promise<Result> {
    return this.#settled.promise;
  }

  give(job: BuildJob, request: ReturnRequest): void {
    const { error, result } = request;
    const failed = error !== undefined && error.code !== 0;
    if (failed === (result !== undefined))
      throw new GrpcError(GRPC.invalidArgument, 'gateway return must be either result or err');
    if (this.#given) throw new GrpcError(GRPC.invalidArgument, 'gateway result is already set');
    // It hears at once that it gives what nobody knows.
    if (result) for (const id of refIds(result)) job.result(id);
    this.#given = true;
    settle(this.#settled, request);
  }
}

function settle(promise: PromiseWithResolvers<Result>, { error, result }: ReturnRequest): void {
  if (error && error.code !== 0) promise.reject(new GrpcError(error.code, error.message, { details: error.details }));
  else promise.resolve(result ?? toResult({}));
}

/** The image of a result that some build made which runs now. */
export function resultOf(running: Iterable<BuildJob>, id: string): SolvedImage | undefined {
  for (const job of running) {
    const result = job.results.get(id);
    if (result) return result.ref.image;
  }
  return undefined;
}
