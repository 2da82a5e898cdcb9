import { EngineError } from '../base/errors.ts';
import { expandWord, type Lookup } from './dockerfile/expand.ts';
import type { Dockerfile, Instruction, Stage } from './dockerfile/instructions.ts';
import { mountFrom } from './run-mount.ts';

/** A stage with its base resolved among the stages, and the stages that its COPY --from name. */
export interface PlannedStage {
  readonly index: number;
  readonly stage: Stage;
  /** An earlier stage, an image's reference, or nothing at all. */
  readonly base:
    | { readonly kind: 'stage'; readonly index: number }
    | { readonly kind: 'image'; readonly reference: string }
    | { readonly kind: 'context'; readonly name: string }
    | { readonly kind: 'scratch' };
  readonly platform: string | undefined;
}

export interface BuildPlan {
  /** Every stage of the file, also those that the target does not need: a trigger of a base may. */
  readonly planned: readonly PlannedStage[];
  /** Every stage of the file, for names. */
  readonly all: readonly Stage[];
  /** What has to be built for the target, in an order in which each finds what it needs; the target is the last. */
  readonly stages: readonly PlannedStage[];
  /** Values of the ARGs in front of the first FROM. */
  readonly globalArgs: ReadonlyMap<string, string>;
}

export interface PlanOptions {
  readonly target?: string | undefined;
  readonly buildArgs: ReadonlyMap<string, string>;
  /** TARGETPLATFORM and its like. */
  readonly platformArgs: ReadonlyMap<string, string>;
  /** Contexts with a name: they stand for the stages and images of that name. */
  readonly contexts?: ReadonlySet<string> | undefined;
}

/** Chooses the stages that the target needs. Throws `invalid-argument`. */
export function planBuild(dockerfile: Dockerfile, options: PlanOptions): BuildPlan {
  const globalArgs = new Map<string, string>();
  const lookup: Lookup = (name) => globalArgs.get(name) ?? options.platformArgs.get(name);
  for (const instruction of dockerfile.globalArgs) {
    for (const { name, value } of instruction.args) {
      const given =
        options.buildArgs.get(name) ??
        (value === undefined ? undefined : expandWord(value, lookup, { escape: dockerfile.escape }));
      if (given !== undefined) globalArgs.set(name, given);
    }
  }
  const planned = dockerfile.stages.map((stage, index): PlannedStage => {
    const base = expandWord(stage.base, lookup, { escape: dockerfile.escape });
    if (base === '') throw fail(stage, `base name (${stage.base}) should not be blank`);
    const platform =
      stage.platform === undefined ? undefined : expandWord(stage.platform, lookup, { escape: dockerfile.escape });
    const context = namedContext(options.contexts, base);
    if (context !== undefined) return { index, stage, base: { kind: 'context', name: context }, platform };
    const earlier = findStage(dockerfile.stages, base, index);
    if (earlier !== undefined) return { index, stage, base: { kind: 'stage', index: earlier }, platform };
    return {
      index,
      stage,
      base: base === 'scratch' ? { kind: 'scratch' } : { kind: 'image', reference: base },
      platform,
    };
  });
  const target = options.target ? findTarget(dockerfile.stages, options.target) : planned.length - 1;
  const needed = new Set<number>();
  const visit = (index: number): void => {
    if (needed.has(index)) return;
    const { base, stage } = planned[index]!;
    if (base.kind === 'stage') visit(base.index);
    for (const instruction of stage.instructions)
      for (const from of usedStages(dockerfile.stages, instruction, { before: index, contexts: options.contexts }))
        visit(from);
    needed.add(index);
  };
  visit(target);
  return { all: dockerfile.stages, planned, stages: [...needed].map((index) => planned[index]!), globalArgs };
}

/** Every image that a file names, of all stages: FROM, COPY --from, RUN --mount=from. In their order, each once. */
export function namedImages(dockerfile: Dockerfile, options: Omit<PlanOptions, 'target'>): string[] {
  const names = new Set<string>();
  for (const { index, base, stage } of planBuild(dockerfile, options).planned) {
    if (base.kind === 'image') names.add(base.reference);
    for (const instruction of stage.instructions) {
      for (const name of sourcesOf(instruction)) {
        const line = instruction.range.start;
        if (name !== 'scratch' && stageOf(dockerfile.stages, name, { before: index, line }) === undefined)
          names.add(name);
      }
    }
  }
  return [...names];
}

/** The context that a base or a `--from` means, however its image's name is written. */
export function namedContext(contexts: ReadonlySet<string> | undefined, name: string): string | undefined {
  if (!contexts || contexts.size === 0) return undefined;
  const short = name.toLowerCase();
  const image = plainImage(name);
  return [...contexts].find((context) => context.toLowerCase() === short || plainImage(context) === image);
}

/** `alpine` of `docker.io/library/alpine:latest`. */
function plainImage(name: string): string {
  return name
    .replace(/^(index\.)?docker\.io\//, '')
    .replace(/^library\//, '')
    .replace(/:latest$/, '');
}

/** The stages that an instruction takes files from: COPY --from, RUN --mount=from. */
export function usedStages(
  stages: readonly Stage[],
  instruction: Instruction,
  { before, contexts }: { readonly before: number; readonly contexts: ReadonlySet<string> | undefined },
): number[] {
  return sourcesOf(instruction)
    .filter((name) => namedContext(contexts, name) === undefined)
    .map((name) => stageOf(stages, name, { before, line: instruction.range.start }))
    .filter((index) => index !== undefined);
}

/** What an instruction names as the place that files come from. */
function sourcesOf(instruction: Instruction): string[] {
  const names =
    instruction.kind === 'RUN'
      ? instruction.mounts.map(mountFrom)
      : instruction.kind === 'COPY'
        ? [instruction.from]
        : [];
  return names.filter((name) => name !== undefined).map((name) => checkFrom(name, instruction.range.start));
}

/** What files are taken from has its name as written: the graph is made before any variable has a value. Throws `invalid-argument`. */
export function checkFrom(name: string, line: number): string {
  if (!name.includes('$')) return name;
  throw new EngineError(
    'invalid-argument',
    `dockerfile line ${line}: variable expansion is not allowed in from (${name}): define a stage with it, as in FROM ${name} AS other, and an ARG in front of the first FROM`,
  );
}

/** The stage in front of stage `before` that a name or number means; undefined when it is an image's. Throws `invalid-argument`. */
export function stageOf(
  stages: readonly Stage[],
  name: string,
  { before, line }: { readonly before: number; readonly line: number },
): number | undefined {
  const named = findStage(stages, name, before);
  if (named !== undefined) return named;
  if (!/^\d+$/.test(name)) return undefined;
  const index = Number(name);
  if (index >= before)
    throw new EngineError(
      'invalid-argument',
      `dockerfile line ${line}: invalid stage index ${index}: it refers to itself or to a later stage`,
    );
  return index;
}

/** The last stage of a name in front of stage `before`. */
function findStage(stages: readonly Stage[], name: string, before = stages.length): number | undefined {
  return placesOf(stages)
    .get(name.toLowerCase())
    ?.findLast((index) => index < before);
}

const places = new WeakMap<readonly Stage[], ReadonlyMap<string, readonly number[]>>();

/** Where the stages of each name are: looked for by every FROM and COPY, also in files of thousands. */
function placesOf(stages: readonly Stage[]): ReadonlyMap<string, readonly number[]> {
  let found = places.get(stages);
  if (!found) {
    const named = stages.map(({ name }, index) => ({ name, index })).filter(({ name }) => name !== undefined);
    found = new Map(
      [...Map.groupBy(named, ({ name }) => name!)].map(([name, all]) => [name, all.map(({ index }) => index)]),
    );
    places.set(stages, found);
  }
  return found;
}

function findTarget(stages: readonly Stage[], target: string): number {
  const named = findStage(stages, target);
  if (named !== undefined) return named;
  if (/^\d+$/.test(target) && Number(target) < stages.length) return Number(target);
  const names = stages.map((stage) => stage.name).filter((name) => name !== undefined);
  throw new EngineError(
    'invalid-argument',
    `target stage ${JSON.stringify(target)} could not be found${names.length > 0 ? ` (there are: ${names.join(', ')})` : ''}`,
  );
}

function fail(stage: Stage, message: string): EngineError {
  return new EngineError('invalid-argument', `dockerfile parse error on line ${stage.range.start}: ${message}`);
}
