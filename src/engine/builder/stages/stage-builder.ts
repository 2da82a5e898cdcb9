import { setImmediate } from 'node:timers/promises';
import type { GrowingMap } from '../../../base/growing.ts';
import { EngineError, errorCode, errorMessage } from '../../../base/errors.ts';
import { expandWord, type Lookup } from '../../../build/dockerfile/expand.ts';
import { type Instruction, readInstruction } from '../../../build/dockerfile/instructions.ts';
import { parseDockerfile } from '../../../build/dockerfile/parse.ts';
import { shownStep } from '../../../build/dockerfile/shown-step.ts';
import { type PlannedStage, usedStages } from '../../../build/plan.ts';
import { changeConfig } from '../../../build/stage-config.ts';
import { type BuildEvent, type BuildVertex, vertexId } from '../build-event.ts';
import { OrderedOutput } from '../ordered-output.ts';
import type { SolvedBuild } from '../solved-build.ts';
import { BaseImages } from './base-images.ts';
import { CopyInstructions } from './copy-instructions.ts';
import { BuildStepFailed, noteLine } from './failed-step.ts';
import { FilePlaces } from './file-places.ts';
import { RunInstructions } from './run-instructions.ts';
import { Solve } from './solve.ts';
import { StageBases } from './stage-bases.ts';
import type { StageContext, StageRun } from './stage-context.ts';
import { nextState, shownState, type StageState, visibleVariable } from './stage-state.ts';
import { StepResults } from './step-results.ts';

const LONGEST_TURN_MS = 10;

/**
 * Builds the stages of a plan, each from the cache when its record is there. Stages are a map of promises: each waits for
 * those that it takes something from, the others run beside it.
 */
export class StageBuilder {
  readonly #solve: Solve;
  readonly #results: StepResults;
  readonly #bases: StageBases;
  readonly #runs: RunInstructions;
  readonly #copies: CopyInstructions;
  readonly #output: OrderedOutput;
  readonly #steps: number;
  readonly #told = new WeakSet<BuildVertex>();

  constructor(context: StageContext) {
    const { plan, announce } = context;
    this.#solve = new Solve(context);
    const images = new BaseImages(this.#solve);
    const places = new FilePlaces(this.#solve, images);
    this.#results = new StepResults(this.#solve);
    this.#bases = new StageBases(this.#solve, images, this.#results);
    this.#runs = new RunInstructions(this.#solve, places, this.#results);
    this.#copies = new CopyInstructions(this.#solve, places, this.#results);
    this.#output = new OrderedOutput(plan.stages.length, announce);
    this.#steps = plan.stages.reduce((sum, { stage }) => sum + 1 + stage.instructions.length, 0);
  }

  /** The first failure stops the other stages; it is thrown when all have ended. */
  async build(): Promise<Pick<SolvedBuild, 'target' | 'stages' | 'steps' | 'sources'>> {
    await using solve = this.#solve;
    const { stages } = solve.context.plan;
    solve.onDemand((index) => this.#stage(solve.context.plan.planned[index]!, undefined, this.#steps));
    const before = stepsBefore(stages);
    const works = stages.map((planned, slot) => {
      const work = Promise.resolve().then(() => this.#stage(planned, slot, before[slot]!));
      solve.begin(planned.index, work);
      return work;
    });
    const settled = works.map((work, slot) =>
      work.then(
        () => this.#output.done(slot),
        (error: unknown) => {
          solve.fail(error);
          if (solve.failure?.error === error) this.#output.flush(slot);
        },
      ),
    );
    await Promise.all(settled);
    if (solve.failure) throw solve.failure.error;
    const states = new Map<number, StageState>();
    for (const [slot, { index }] of stages.entries()) states.set(index, await works[slot]!);
    const target = states.get(stages.at(-1)!.index)!;
    return { target, stages: states, steps: solve.steps, sources: [...solve.sources.values()] };
  }

  /** One without a slot for its output speaks at once. */
  async #stage(planned: PlannedStage, slot: number | undefined, before: number): Promise<StageState> {
    const announce = (text: string): void =>
      slot === undefined ? this.#solve.context.announce(text) : this.#output.write(slot, text);
    let number = before;
    const announceStep = (text: string): void => announce(`Step ${++number}/${this.#steps} : ${text}\n`);
    const { stage, index } = planned;
    const name = this.#solve.context.platformName;
    const vertexOf = (
      position: number,
      { original, range }: Pick<Instruction, 'original' | 'range'>,
      shown: string,
    ): BuildVertex => ({
      id: vertexId(name, index, position),
      platform: name,
      text: original,
      shown,
      stage: { index, name: stage.name },
      position,
      total: stage.instructions.length + 1,
      line: range.start,
    });
    const run: StageRun = {
      planned,
      vertex: vertexOf(0, stage, planned.base.kind === 'image' ? `FROM ${planned.base.reference}` : stage.original),
      note: announce,
      announce: (text) => {
        announce(text);
        this.#event({ type: 'output', vertex: run.vertex, time: Date.now(), text });
      },
      fail: (error) => {
        this.#failed(run.vertex, error);
        if (slot !== undefined) this.#output.flush(slot);
        this.#solve.fail(error);
      },
      position: 0,
      ownCmd: false,
      last: undefined,
    };
    announceStep(stage.original);
    const { state: start, triggers } = await this.#vertex(run, async () => this.#bases.of(planned, run));
    announce(` ---> ${shownState(start)}\n`);
    const { plan, request } = this.#solve.context;
    const bare = request.inheritLabels === false && index === plan.stages.at(-1)!.index;
    let state = bare ? withoutLabels(start) : start;
    if (triggers.length > 0) {
      announce(`# Executing ${triggers.length} build trigger${triggers.length === 1 ? '' : 's'}\n`);
      for (const trigger of triggers) {
        for (const node of parseDockerfile(trigger).nodes)
          state = await this.#instruction(state, readInstruction(node, '\\'), run);
      }
    }
    let turn = performance.now();
    for (const instruction of planned.stage.instructions) {
      // Of thousands of steps that wait for nothing, none lets the engine's other work through.
      if (performance.now() - turn > LONGEST_TURN_MS) {
        await setImmediate();
        turn = performance.now();
      }
      this.#solve.signal.throwIfAborted();
      announceStep(instruction.original);
      await this.#usedBy(instruction, index);
      const visible: Lookup = (one) => visibleVariable(state, one);
      const shown = shownStep(instruction, visible, this.#solve.context.escape);
      run.vertex = vertexOf(run.vertex.position + 1, instruction, shown);
      state = await this.#vertex(run, async () => this.#instruction(state, instruction, run));
      announce(` ---> ${shownState(state)}\n`);
    }
    return state;
  }

  /** A step has not begun while what it takes is being made, and when that fails it never does. */
  async #usedBy(instruction: Instruction, before: number): Promise<void> {
    const { plan, named: contexts } = this.#solve.context;
    for (const used of usedStages(plan.all, instruction, { before, contexts })) await this.#solve.stage(used);
  }

  /** Tells of the beginning and the end of a step. */
  async #vertex<T extends StageState | { readonly state: StageState }>(
    run: StageRun,
    work: () => Promise<T>,
  ): Promise<T> {
    const { vertex } = run;
    run.last = undefined;
    this.#event({ type: 'started', vertex, time: Date.now() });
    try {
      const result = await work();
      const { key } = 'state' in result ? result.state : result;
      this.#event({ type: 'done', vertex, time: Date.now(), origin: run.last ?? 'cached', key });
      return result;
    } catch (error) {
      this.#failed(vertex, error);
      throw error;
    }
  }

  /** Once: a step may have told of its failure itself. */
  #failed(vertex: BuildVertex, error: unknown): void {
    noteLine(error, vertex.line);
    if (!this.#told.has(vertex))
      this.#event({ type: 'failed', vertex, time: Date.now(), message: errorMessage(error) });
    this.#told.add(vertex);
  }

  #event(event: BuildEvent): void {
    this.#solve.context.onEvent(event);
  }

  async #instruction(state: StageState, instruction: Instruction, run: StageRun): Promise<StageState> {
    run.position++;
    try {
      return await this.#apply(state, instruction, run);
    } catch (error) {
      // Where it happened, once, in front of what happened.
      if (
        error instanceof EngineError &&
        (error.code === 'invalid-argument' || error.code === 'unimplemented') &&
        // A command's failure is told in Docker's words, with its exit code.
        !(error instanceof BuildStepFailed) &&
        !error.message.startsWith('dockerfile')
      ) {
        throw new EngineError(error.code, `dockerfile line ${instruction.range.start}: ${error.message}`, {
          cause: error,
        });
      }
      throw error;
    }
  }

  async #apply(state: StageState, instruction: Instruction, run: StageRun): Promise<StageState> {
    const escape = this.#solve.context.escape;
    const lookup: Lookup = (name) => visibleVariable(state, name);
    switch (instruction.kind) {
      case 'ARG': {
        let { args } = state;
        const own: Lookup = (name) => visibleVariable({ config: state.config, args }, name);
        for (const { name, value } of instruction.args) {
          const { buildArgs, platformArgs, plan } = this.#solve.context;
          const given =
            buildArgs.get(name) ??
            (value === undefined
              ? (plan.globalArgs.get(name) ?? platformArgs.get(name))
              : expandWord(value, own, { escape }));
          if (given !== undefined) args = args.with(name, given);
        }
        const text = `ARG ${instruction.args.map(({ name }) => (args.has(name) ? `${name}=${args.get(name)}` : name)).join(' ')}`;
        // The key does not change: an ARG counts where it is used, in the RUN steps that see it.
        return {
          ...state,
          args,
          history: state.history.with({ created: state.createdAt, created_by: text, empty_layer: true }),
        };
      }
      case 'RUN':
        return this.#runs.apply(state, instruction, { run, lookup });
      case 'ENV-COMMAND':
        return this.#runs.variable(state, instruction, { run, lookup });
      case 'COPY':
      case 'ADD':
        return this.#copies.apply(state, instruction, { run, lookup });
      case 'WORKDIR': {
        const change = changeConfig(state.config, instruction, lookup, { escape })!;
        const path = change.config.workingDir!;
        const owner = await this.#directoryOwner(state);
        const inputs = [
          { name: 'directory', value: path },
          { name: 'owner', value: `${owner.uid}:${owner.gid}` },
        ];
        const record = await this.#results.of(state, { kind: 'WORKDIR', text: change.text, inputs, run }, (key) =>
          this.#results.layer(state, key, {}, async (rootfs) =>
            this.#solve.context.parts.makeDirectory(rootfs, path, owner),
          ),
        );
        return nextState(state, record, change.config);
      }
      default: {
        const change = changeConfig(state.config, instruction, lookup, { escape, ownCmd: run.ownCmd })!;
        if (instruction.kind === 'CMD') run.ownCmd = true;
        const inputs = [{ name: 'configuration', value: change.text }];
        const step = { kind: instruction.kind, text: change.text, inputs, run };
        const record = await this.#results.of(state, step, async () => undefined);
        const author = instruction.kind === 'MAINTAINER' ? instruction.text : state.author;
        const args = instruction.kind === 'ENV' ? withoutNames(state.args, instruction, lookup, escape) : state.args;
        return { ...nextState(state, record, change.config), author, args };
      }
    }
  }

  /** A WORKDIR that has to be made is the USER's; root's when the image does not know the user yet. */
  async #directoryOwner({ config, chain }: StageState): Promise<{ readonly uid: number; readonly gid: number }> {
    const { user } = config;
    if (!user) return { uid: 0, gid: 0 };
    try {
      return await this.#solve.context.parts.lookUpOwner(() => this.#solve.views.of(chain), user);
    } catch (error) {
      if (errorCode(error) === 'internal') throw error;
      return { uid: 0, gid: 0 };
    }
  }
}

/** Labels count for nothing but the image that is made: no step's key has them. */
function withoutLabels(state: StageState): StageState {
  if (Object.keys(state.config.whole.Labels ?? {}).length === 0) return state;
  return { ...state, config: state.config.withoutLabels(), imageId: undefined };
}

/** The ARGs that the names of an ENV leave. */
function withoutNames(
  args: GrowingMap<string>,
  { pairs }: { readonly pairs: readonly { readonly key: string }[] },
  lookup: Lookup,
  escape: string,
): GrowingMap<string> {
  return pairs.reduce((left, { key }) => left.without(expandWord(key, lookup, { escape })), args);
}

/** For each stage, how many steps come before it. */
function stepsBefore(stages: readonly PlannedStage[]): number[] {
  let count = 0;
  return stages.map(({ stage }) => {
    const before = count;
    count += 1 + stage.instructions.length;
    return before;
  });
}
