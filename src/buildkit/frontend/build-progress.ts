import type { MessageInitShape } from '@bufbuild/protobuf';
import { sha256 } from '../../oci/digest.ts';
import type { BuildEvent } from '../../engine/builder/build-event.ts';
import type { Stage } from '../../build/dockerfile/instructions.ts';
import { ProgressStep } from '../control/progress.ts';
import type { VertexWarningSchema } from '../protocol/control_pb.ts';
import type { StatusLog } from '../control/status-log.ts';
import { StepNames } from './step-names.ts';

export interface BuildProgressOptions {
  readonly log: StatusLog;
  readonly ref: string;
  readonly stages: readonly Stage[];
  /** In front of the steps' names; empty where there is one only. */
  readonly platforms: readonly string[];
  readonly filename: string;
  readonly text: string;
}

/** The engine's events of a build as lines of a client's terminal. */
export class BuildProgress {
  readonly #options: BuildProgressOptions;
  readonly #names: StepNames[];
  readonly #steps = new Map<string, ProgressStep>();
  #failedLine: number | undefined;

  constructor(options: BuildProgressOptions) {
    this.#options = options;
    const { stages, platforms } = options;
    const prefixes = platforms.length > 0 ? platforms : [undefined];
    this.#names = prefixes.map((platform) => new StepNames(stages, platform));
  }

  /** Line of the Dockerfile of the step that failed. */
  get failedLine(): number | undefined {
    return this.#failedLine;
  }

  onEvent(event: BuildEvent): void {
    const { log, ref } = this.#options;
    if (event.type === 'warning') return this.#warn(event);
    const { id } = event.vertex;
    if (event.type === 'started') {
      const round = Math.max(0, this.#options.platforms.indexOf(event.vertex.platform ?? ''));
      const name = this.#names[round]!.next(event.vertex);
      if (name !== undefined) this.#steps.set(id, new ProgressStep(log, `${ref} ${id}`, name, event.time));
      return;
    }
    const step = this.#steps.get(id);
    if (event.type === 'output') step?.output(event.text, event.time);
    if (event.type === 'done') step?.done({ cached: event.origin === 'cached', time: event.time });
    if (event.type === 'failed') {
      this.#failedLine ??= event.vertex.line;
      step?.failed(shownFailure(event.message), event.time);
    }
  }

  #warn({ rule, message, line }: Extract<BuildEvent, { type: 'warning' }>): void {
    const { log, ref, filename, text } = this.#options;
    const position = { line, character: 0 };
    const warning: MessageInitShape<typeof VertexWarningSchema> = {
      // The step that read the file.
      vertex: sha256(`${ref} definition`),
      level: 1n,
      short: Buffer.from(`${rule}: ${message} (line ${line})`),
      url: `https://docs.docker.com/go/dockerfile/rule/${kebab(rule)}/`,
      info: { filename, data: Buffer.from(text), language: 'Dockerfile' },
      ranges: [{ start: position, end: position }],
    };
    log.add({ warnings: [warning] });
  }
}

/** A command's failure in the words that clients of BuildKit know. */
function shownFailure(message: string): string {
  const match = /^The command '(.*)' returned a non-zero code: (\d+)$/s.exec(message);
  if (!match) return message;
  return `process ${JSON.stringify(match[1])} did not complete successfully: exit code: ${match[2]}`;
}

/** `JSONArgsRecommended` is `json-args-recommended` in an address. */
export function kebab(rule: string): string {
  return rule.replaceAll(/(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/g, '-').toLowerCase();
}
