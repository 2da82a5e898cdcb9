import type { BuildVertex } from '../../engine/builder/build-event.ts';
import type { Instruction } from '../../build/dockerfile/instructions.ts';
import { type BuildPlan, namedContext, stageOf, usedStages } from '../../build/plan.ts';
import { mountFrom } from '../../build/run-mount.ts';
import { canonicalName, parseReference, withDefaultTag } from '../../oci/reference.ts';

/** Instructions that make something; the others change the configuration and are no lines of their own on a terminal. */
const SHOWN = new Set(['FROM', 'RUN', 'COPY', 'ADD', 'WORKDIR']);

/** A step as a client's terminal has it. */
export interface StepName {
  /** Undefined for one that is not shown. */
  readonly name: string | undefined;
  /** Images that it is the first to ask a registry about: a line for each, in front of it. */
  readonly metadata: readonly string[];
  /** An image that it is the first to take files from: a line in front of it. */
  readonly taken: string | undefined;
}

/** Of ENV only what runs a command. */
const OF_COMMAND = /^\s*ENV\s+--from-cmd\b/i;
const HIDDEN: StepName = { name: undefined, metadata: [], taken: undefined };

/** Names of steps as BuildKit gives them: `[build 2/5] RUN npm ci`. */
export class StepNames {
  readonly #plan: BuildPlan | undefined;
  readonly #contexts: Readonly<Record<string, string>>;
  readonly #prefix: string;
  readonly #shown = new Map<number, number>();
  /** What an image that several stages begin with is called: it is one step. */
  readonly #images = new Map<string, string>();
  readonly #told = new Set<string>();
  readonly #named: boolean;

  /**
   * @param plan undefined where the Dockerfile comes with its context
   * @param contexts what stands for images and stages, by name
   * @param platform in front of each name; undefined where there is only one
   */
  constructor(plan: BuildPlan | undefined, contexts: Readonly<Record<string, string>>, platform: string | undefined) {
    this.#plan = plan;
    this.#contexts = contexts;
    this.#prefix = platform === undefined ? '' : `${platform} `;
    // An image that files are taken from counts as a stage, and so does what a mount without a source stands for.
    const stages = plan?.all ?? [];
    this.#named =
      stages.length > 1 ||
      stages.some(({ instructions }, index) => instructions.some((one) => this.#others(one, index).length > 0));
    const target = plan?.stages.at(-1);
    if (target) this.#visit(target.index, new Set());
  }

  /** The name of a step that begins now. */
  next(vertex: BuildVertex): StepName {
    const keyword = /^\s*([a-z]+)/i.exec(vertex.text)?.[1]?.toUpperCase() ?? '';
    if (!SHOWN.has(keyword) && !OF_COMMAND.test(vertex.text)) return HIDDEN;
    const planned = this.#plan?.planned[vertex.stage.index];
    if (keyword === 'FROM') {
      if (!planned) return { ...HIDDEN, name: this.#numbered(vertex, `FROM ${imageName(vertex.shown.slice(5))}`) };
      if (planned.base.kind === 'context') return this.#context(planned.base.name);
      if (planned.base.kind !== 'image') return HIDDEN;
      const name = this.#numbered(vertex, '');
      const image = imageName(planned.base.reference);
      const known = this.#images.get(image) ?? `${name}FROM ${image}`;
      return this.#first(image) ? { name: known, metadata: [this.#metadata(image)], taken: undefined } : HIDDEN;
    }
    const rest = vertex.shown.slice(keyword.length).trim();
    const instruction = planned?.stage.instructions[vertex.position - 1];
    const [image] = instruction
      ? this.#imagesOf(instruction, vertex.stage.index).filter((one) => this.#first(one))
      : [];
    return {
      name: this.#numbered(vertex, `${keyword} ${rest}`),
      metadata: image === undefined ? [] : [this.#metadata(image)],
      taken: image === undefined ? undefined : (this.#images.get(image) ?? `FROM ${image}`),
    };
  }

  #numbered({ stage, total: all }: BuildVertex, text: string): string {
    const planned = this.#plan?.planned[stage.index];
    const total = planned ? this.#total(stage.index) : all;
    const number = (this.#shown.get(stage.index) ?? 0) + 1;
    this.#shown.set(stage.index, number);
    const name = this.#named ? `${stage.name ?? `stage-${stage.index}`} ` : '';
    const count = `${String(number).padStart(String(total).length)}/${Math.max(total, number)}`;
    return `[${this.#prefix}${name}${count}] ${text}`;
  }

  #total(index: number): number {
    const { stage, base } = this.#plan!.planned[index]!;
    const steps = stage.instructions.filter(({ kind }) => SHOWN.has(kind) || kind === 'ENV-COMMAND').length;
    return steps + (base.kind === 'image' || base.kind === 'context' ? 1 : 0);
  }

  /** What stands for an image has its own names; the files of a directory are told of as they come. */
  #context(name: string): StepName {
    const image = /^docker-image:\/\/(.*)$/s.exec(this.#contexts[name] ?? '')?.[1];
    if (image === undefined || !this.#first(`context ${name}`)) return HIDDEN;
    const own = `[${this.#prefix}context ${name}]`;
    return { name: `${own} ${image}`, metadata: [`${own} load metadata for ${image}`], taken: undefined };
  }

  #metadata(image: string): string {
    return `[${this.#prefix}internal] load metadata for ${image}`;
  }

  #first(name: string): boolean {
    if (this.#told.has(name)) return false;
    this.#told.add(name);
    return true;
  }

  /** In the order in which BuildKit goes through a graph: the last place that an image has gives it its name. */
  #visit(index: number, seen: Set<number>): void {
    if (seen.has(index)) return;
    seen.add(index);
    const { base, stage } = this.#plan!.planned[index]!;
    if (base.kind === 'stage') this.#visit(base.index, seen);
    if (base.kind === 'image') {
      const image = imageName(base.reference);
      const name = this.#named ? `${stage.name ?? `stage-${index}`} ` : '';
      const total = this.#total(index);
      this.#images.set(image, `[${this.#prefix}${name}${'1'.padStart(String(total).length)}/${total}] FROM ${image}`);
    }
    for (const instruction of stage.instructions) {
      for (const image of this.#imagesOf(instruction, index)) this.#images.set(image, `FROM ${image}`);
      const contexts = new Set(Object.keys(this.#contexts));
      for (const used of usedStages(this.#plan!.all, instruction, { before: index, contexts })) this.#visit(used, seen);
    }
  }

  /** The images that an instruction takes files from. */
  #imagesOf(instruction: Instruction, index: number): string[] {
    return this.#others(instruction, index)
      .filter((name) => name !== '' && name !== 'scratch' && namedContext(this.#known(), name) === undefined)
      .map(imageName);
  }

  #known(): ReadonlySet<string> {
    return new Set(Object.keys(this.#contexts));
  }

  /** What an instruction takes files from that is no stage; empty for a mount that takes none from anywhere. */
  #others(instruction: Instruction, index: number): string[] {
    const froms =
      instruction.kind === 'RUN'
        ? instruction.mounts.map((mount) => mountFrom(mount) ?? '')
        : instruction.kind === 'COPY' && instruction.from !== undefined
          ? [instruction.from]
          : [];
    const place = { before: index, line: instruction.range.start };
    return froms.filter((name) => name === '' || stageOf(this.#plan!.all, name, place) === undefined);
  }
}

function imageName(text: string): string {
  try {
    return canonicalName(withDefaultTag(parseReference(text)));
  } catch {
    // Variables, and what else is no reference: shown as written.
    return text;
  }
}
