import { descriptionOf } from './description.ts';
import { expandWord } from './dockerfile/expand.ts';
import type { Dockerfile, Instruction } from './dockerfile/instructions.ts';
import { type BuildPlan, planBuild, type PlanOptions } from './plan.ts';

export interface TargetDescription {
  /** Its name, or its number. */
  readonly name: string;
  readonly description: string;
  /** As written: a reference, or an earlier stage. */
  readonly base: string;
  readonly platform: string | undefined;
  readonly isDefault: boolean;
}

/** The stages that a build can end with (`--call targets`). */
export function describeTargets({ stages }: Dockerfile, text: string): TargetDescription[] {
  const lines = text.split(/\r?\n/);
  return stages.map((stage, index) => ({
    name: stage.name ?? (index === stages.length - 1 ? 'default' : String(index)),
    description: stage.name === undefined ? '' : descriptionOf(lines, stage.range.start, stage.name),
    base: stage.base,
    platform: stage.platform,
    isDefault: index === stages.length - 1,
  }));
}

export interface OutlineDescription {
  readonly name: string;
  readonly description: string;
  readonly args: readonly { readonly name: string; readonly value: string; readonly description: string }[];
  readonly secrets: readonly { readonly name: string; readonly required: boolean }[];
  readonly ssh: readonly { readonly name: string; readonly required: boolean }[];
  readonly caches: readonly { readonly id: string }[];
}

/** What a target can be given: the ARGs of the stages it needs, with their values now, secrets and agents (`--call outline`). Throws `invalid-argument`. */
export function describeOutline(dockerfile: Dockerfile, text: string, options: PlanOptions): OutlineDescription {
  const lines = text.split(/\r?\n/);
  const plan = planBuild(dockerfile, options);
  const target = plan.stages.at(-1)!.stage;
  const args = new Map<string, { name: string; value: string; description: string }>();
  const mounts: Mount[] = [];
  for (const instruction of usedGlobals(dockerfile, plan))
    for (const { name } of instruction.args)
      args.set(name, {
        name,
        value: plan.globalArgs.get(name) ?? '',
        description: descriptionOf(lines, instruction.range.start, name),
      });
  for (const { stage } of plan.stages) {
    for (const instruction of stage.instructions) {
      if (instruction.kind === 'RUN') mounts.push(...instruction.mounts.map(readMount));
      if (instruction.kind !== 'ARG') continue;
      for (const { name, value } of instruction.args) {
        const given = options.buildArgs.get(name) ?? plan.globalArgs.get(name);
        const known = (other: string): string | undefined => args.get(other)?.value ?? options.platformArgs.get(other);
        const initial = value === undefined ? '' : expandWord(value, known, { escape: dockerfile.escape });
        const description = descriptionOf(lines, instruction.range.start, name) || (args.get(name)?.description ?? '');
        args.set(name, { name, value: given ?? initial, description });
      }
    }
  }
  const needed = (type: string): { name: string; required: boolean }[] => {
    const found = new Map<string, boolean>();
    for (const mount of mounts)
      if (mount.type === type) found.set(mount.id, (found.get(mount.id) ?? false) || mount.required);
    return [...found].map(([name, required]) => ({ name, required }));
  };
  return {
    name: target.name ?? '',
    description: target.name === undefined ? '' : descriptionOf(lines, target.range.start, target.name),
    args: [...args.values()],
    secrets: needed('secret'),
    ssh: needed('ssh'),
    caches: [...new Set(mounts.filter(({ type }) => type === 'cache').map(({ id }) => id))].map((id) => ({ id })),
  };
}

/** ARGs in front of the first FROM that the names of the bases use. */
function usedGlobals({ globalArgs }: Dockerfile, { stages }: BuildPlan): Extract<Instruction, { kind: 'ARG' }>[] {
  const text = stages.map(({ stage }) => `${stage.base} ${stage.platform ?? ''}`).join(' ');
  return globalArgs.filter(({ args }) => args.some(({ name }) => new RegExp(`\\$\\{?${name}\\b`).test(text)));
}

interface Mount {
  readonly type: string;
  readonly id: string;
  readonly required: boolean;
}

/** As written: what is not expanded yet cannot be checked. */
function readMount(text: string): Mount {
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
