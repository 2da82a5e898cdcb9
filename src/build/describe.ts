import { descriptionOf } from './description.ts';
import { expandWord } from './dockerfile/expand.ts';
import type { Dockerfile, Instruction } from './dockerfile/instructions.ts';
import { type BuildPlan, planBuild, type PlanOptions } from './plan.ts';

/** Lines of the Dockerfile, from 1. */
export interface SourceLocation {
  readonly ranges: readonly [{ readonly start: { readonly line: number }; readonly end: { readonly line: number } }];
}

/** One stage that a build can end with. Here and below the names and the order of fields are BuildKit's, in its JSON. */
export interface DescribedTarget {
  readonly name?: string;
  readonly default?: true;
  readonly description?: string;
  /** As written: a reference, or an earlier stage. */
  readonly base: string;
  readonly platform?: string;
  readonly location: SourceLocation;
}

export interface DescribedTargets {
  readonly targets: readonly DescribedTarget[];
  /** The Dockerfile, in base64. */
  readonly sources: readonly [string];
}

/** A secret, or an agent. */
export interface DescribedNeed {
  readonly name: string;
  readonly required?: true;
  readonly location: SourceLocation;
}

export interface DescribedArgument {
  readonly name: string;
  readonly description?: string;
  readonly value?: string;
  readonly location: SourceLocation;
}

/** What a target can be given. */
export interface DescribedOutline {
  readonly name?: string;
  readonly description?: string;
  readonly args?: readonly DescribedArgument[];
  readonly secrets?: readonly DescribedNeed[];
  readonly ssh?: readonly DescribedNeed[];
  readonly cache?: readonly { readonly ID: string; readonly location: SourceLocation }[];
  /** The Dockerfile, in base64. */
  readonly sources: readonly [string];
}

/** The stages that a build can end with (`--call targets`). */
export function describeTargets({ stages }: Dockerfile, text: string): DescribedTargets {
  const lines = text.split(/\r?\n/);
  const targets = stages.map((stage, index): DescribedTarget => ({
    ...(stage.name !== undefined && { name: stage.name }),
    ...(index === stages.length - 1 && { default: true }),
    ...described(lines, stage.range.start, stage.name),
    base: stage.base,
    ...(stage.platform !== undefined && { platform: stage.platform }),
    location: locationOf(stage.range),
  }));
  return { targets, sources: [base64(text)] };
}

/** What a target can be given: the ARGs of the stages it needs, with their values now, secrets and agents (`--call outline`). Throws `invalid-argument`. */
export function describeOutline(dockerfile: Dockerfile, text: string, options: PlanOptions): DescribedOutline {
  const lines = text.split(/\r?\n/);
  const plan = planBuild(dockerfile, options);
  const target = plan.stages.at(-1)!.stage;
  const args = new Map<string, DescribedArgument>();
  const mounts: Mount[] = [];
  const add = (name: string, value: string | undefined, { range }: Instruction): void => {
    // One in front of all stages is described there, whoever takes it up.
    if (args.has(name)) return;
    const shown = value === undefined || value === '' ? {} : { value };
    args.set(name, { name, ...described(lines, range.start, name), ...shown, location: locationOf(range) });
  };
  for (const instruction of usedGlobals(dockerfile, plan))
    for (const { name } of instruction.args) add(name, plan.globalArgs.get(name), instruction);
  for (const { stage } of plan.stages) {
    for (const instruction of stage.instructions) {
      if (instruction.kind === 'RUN')
        mounts.push(
          ...instruction.mounts.map((mount) => ({ ...readMount(mount), location: locationOf(instruction.range) })),
        );
      if (instruction.kind !== 'ARG') continue;
      for (const { name, value } of instruction.args) {
        const given = options.buildArgs.get(name) ?? plan.globalArgs.get(name);
        const known = (other: string): string | undefined => args.get(other)?.value ?? options.platformArgs.get(other);
        const initial = value === undefined ? '' : expandWord(value, known, { escape: dockerfile.escape });
        add(name, given ?? initial, instruction);
      }
    }
  }
  const needed = (type: string): DescribedNeed[] => {
    const found = new Map<string, DescribedNeed>();
    for (const { id, required, location, ...mount } of mounts) {
      if (mount.type !== type) continue;
      const before = found.get(id);
      found.set(id, {
        name: id,
        ...((required || before?.required) && { required: true }),
        location: before?.location ?? location,
      });
    }
    return [...found.values()];
  };
  const caches = new Map<string, SourceLocation>();
  for (const { type, id, location } of mounts) if (type === 'cache' && !caches.has(id)) caches.set(id, location);
  const [secrets, ssh] = [needed('secret'), needed('ssh')];
  return {
    ...(target.name !== undefined && { name: target.name }),
    ...described(lines, target.range.start, target.name),
    ...(args.size > 0 && { args: [...args.values()] }),
    ...(secrets.length > 0 && { secrets }),
    ...(ssh.length > 0 && { ssh }),
    ...(caches.size > 0 && { cache: [...caches].map(([ID, location]) => ({ ID, location })) }),
    sources: [base64(text)],
  };
}

/** ARGs in front of the first FROM that a base's name or a stage takes up. */
function usedGlobals({ globalArgs }: Dockerfile, { stages }: BuildPlan): Extract<Instruction, { kind: 'ARG' }>[] {
  const text = stages.map(({ stage }) => `${stage.base} ${stage.platform ?? ''}`).join(' ');
  const taken = new Set(
    stages.flatMap(({ stage }) =>
      stage.instructions.flatMap((one) => (one.kind === 'ARG' ? one.args.map(({ name }) => name) : [])),
    ),
  );
  return globalArgs.filter(({ args }) =>
    args.some(({ name }) => taken.has(name) || new RegExp(`\\$\\{?${name}\\b`).test(text)),
  );
}

interface Mount {
  readonly type: string;
  readonly id: string;
  readonly required: boolean;
  readonly location: SourceLocation;
}

/** As written: what is not expanded yet cannot be checked. */
function readMount(text: string): Omit<Mount, 'location'> {
  const fields = new Map(
    text.split(',').map((field): [string, string] => {
      const cut = field.indexOf('=');
      return cut < 0 ? [field.toLowerCase(), 'true'] : [field.slice(0, cut).toLowerCase(), field.slice(cut + 1)];
    }),
  );
  const type = fields.get('type') ?? 'bind';
  const target = fields.get('target') ?? fields.get('dst') ?? fields.get('destination') ?? '';
  const fallback = type === 'ssh' ? 'default' : type === 'secret' ? (target.split('/').at(-1) ?? '') : target;
  const required = ['true', '1', ''].includes(fields.get('required') ?? 'false');
  return { type, id: fields.get('id') ?? fallback, required };
}

function described(lines: readonly string[], line: number, name: string | undefined): { description?: string } {
  const description = name === undefined ? '' : descriptionOf(lines, line, name);
  return description === '' ? {} : { description };
}

function locationOf({ start, end }: { readonly start: number; readonly end: number }): SourceLocation {
  return { ranges: [{ start: { line: start }, end: { line: end } }] };
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
