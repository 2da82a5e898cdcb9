import { EngineError } from '../../../base/errors.ts';
import type { ResolvedSource, SolvedStep } from '../solved-build.ts';
import { Views } from '../views.ts';
import type { StageContext } from './stage-context.ts';
import type { StageState } from './stage-state.ts';

/** One run over the stages of a plan: what its parts share, and what it has found so far. */
export class Solve implements AsyncDisposable {
  readonly context: StageContext;
  /** Aborted when the client goes, or a stage fails. */
  readonly signal: AbortSignal;
  /** Root filesystems that files are taken from. */
  readonly views: Views;
  /** Steps with a result, in the order in which they ended. */
  readonly steps: SolvedStep[] = [];
  /** What came from outside. */
  readonly sources = new Map<string, ResolvedSource>();
  readonly #stages = new Map<number, Promise<StageState>>();
  readonly #stop = new AbortController();
  #failure: { readonly error: unknown } | undefined;
  #onDemand: (index: number) => Promise<StageState> = async (index) => {
    throw new EngineError('internal', `stage ${index} is not part of this build`);
  };
  #names = 0;

  constructor(context: StageContext) {
    const { parts, directory, options } = context;
    this.context = context;
    this.signal = options.signal ? AbortSignal.any([options.signal, this.#stop.signal]) : this.#stop.signal;
    this.views = new Views({
      directory,
      mount: (chain, target, ids) => parts.mountView(chain, target, ids),
      unmount: (target) => parts.unmount(target),
    });
  }

  begin(index: number, work: Promise<StageState>): void {
    this.#stages.set(index, work);
  }

  /** A stage, when it is done; one that only a trigger wants is begun now. */
  async stage(index: number): Promise<StageState> {
    let work = this.#stages.get(index);
    if (!work) this.#stages.set(index, (work = this.#onDemand(index)));
    return work;
  }

  /** Says how stages are built that the plan has no place for. */
  onDemand(build: (index: number) => Promise<StageState>): void {
    this.#onDemand = build;
  }

  /** The first failure is the build's: what still runs ends, and of its failures none counts. */
  fail(error: unknown): void {
    if (this.#failure) return;
    this.#failure = { error };
    this.context.onFailure(error);
    this.#stop.abort();
  }

  get failure(): { readonly error: unknown } | undefined {
    return this.#failure;
  }

  /** An empty name in the directory of this build. */
  temporary(): string {
    return this.context.directory.place(`step-${++this.#names}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.views[Symbol.asyncDispose]();
  }
}
