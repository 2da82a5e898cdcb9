import type { BuildVertex } from '../../engine/builder/build-event.ts';
import type { Stage } from '../../build/dockerfile/instructions.ts';
import { canonicalName, parseReference, withDefaultTag } from '../../oci/reference.ts';

/** Instructions that make something; the others change the configuration and are no lines of their own on a terminal. */
const SHOWN = new Set(['FROM', 'RUN', 'COPY', 'ADD', 'WORKDIR']);

/** Names of steps as BuildKit gives them: `[build 2/5] RUN npm ci`. */
export class StepNames {
  readonly #stages: readonly Stage[];
  readonly #prefix: string;
  readonly #shown = new Map<number, number>();

  /** @param platform in front of each name; undefined where there is only one */
  constructor(stages: readonly Stage[], platform: string | undefined) {
    this.#stages = stages;
    this.#prefix = platform === undefined ? '' : `${platform} `;
  }

  /** The name of a step that begins now; undefined for one that is not shown. */
  next(vertex: BuildVertex): string | undefined {
    const keyword = /^\s*([a-z]+)/i.exec(vertex.text)?.[1]?.toUpperCase() ?? '';
    if (!SHOWN.has(keyword)) return undefined;
    const stage = this.#stages[vertex.stage.index];
    if (keyword === 'FROM' && stage && !this.#hasImage(stage)) return undefined;
    const total = stage ? this.#total(stage) : vertex.total;
    const number = (this.#shown.get(vertex.stage.index) ?? 0) + 1;
    this.#shown.set(vertex.stage.index, number);
    const name = vertex.stage.name ?? (this.#stages.length > 1 ? `stage-${vertex.stage.index}` : undefined);
    const count = `${String(number).padStart(String(total).length)}/${Math.max(total, number)}`;
    const text = keyword === 'FROM' ? `FROM ${imageName(stage, vertex.text)}` : oneLine(vertex.text, keyword);
    return `[${this.#prefix}${name === undefined ? '' : `${name} `}${count}] ${text}`;
  }

  #total(stage: Stage): number {
    const steps = stage.instructions.filter(({ kind }) => SHOWN.has(kind)).length;
    return steps + (this.#hasImage(stage) ? 1 : 0);
  }

  #hasImage(stage: Stage): boolean {
    if (stage.base === 'scratch') return false;
    return !this.#stages.some(
      (other) => other !== stage && other.name !== undefined && other.name === stage.base.toLowerCase(),
    );
  }
}

function imageName(stage: Stage | undefined, text: string): string {
  const base = stage?.base ?? text;
  try {
    return canonicalName(withDefaultTag(parseReference(base)));
  } catch {
    // Variables, and what else is no reference: shown as written.
    return base;
  }
}

function oneLine(text: string, keyword: string): string {
  const rest = text
    .trim()
    .slice(keyword.length)
    .replaceAll(/\\\n\s*/g, '')
    .trim();
  return `${keyword} ${rest}`;
}
