import type { MessageInitShape } from '@bufbuild/protobuf';
import { sha256 } from '../../oci/digest.ts';
import type { BuildEvent } from '../../engine/builder/build-event.ts';
import type { DockerfileSource } from '../../build/dockerfile/source.ts';
import type { BuildPlan } from '../../build/plan.ts';
import { ProgressStep } from '../control/progress.ts';
import type { VertexWarningSchema } from '../protocol/control_pb.ts';
import type { StatusLog } from '../control/status-log.ts';
import { type StepName, StepNames } from './step-names.ts';

export interface BuildProgressOptions {
  readonly log: StatusLog;
  readonly ref: string;
  /** Undefined where the Dockerfile comes with its context. */
  readonly plan: BuildPlan | undefined;
  readonly contexts: Readonly<Record<string, string>>;
  /** In front of the steps' names; empty where there is one only. */
  readonly platforms: readonly string[];
  /** Where lines come from; of a Dockerfile that comes with its context nothing is known. */
  readonly source: DockerfileSource;
}

/** A step that is under way. */
interface OpenStep {
  /** Of its image, while that is looked for: the step itself begins when it is found. */
  metadata: ProgressStep | undefined;
  readonly begin: (time: number) => ProgressStep;
  step: ProgressStep | undefined;
}

/** The engine's events of a build as lines of a client's terminal. */
export class BuildProgress {
  readonly #options: BuildProgressOptions;
  readonly #names: StepNames[];
  readonly #steps = new Map<string, OpenStep>();
  /** The last step of each stage that is shown. */
  readonly #last = new Map<string, string>();
  #failedLine: number | undefined;
  #unresolved: string | undefined;

  constructor(options: BuildProgressOptions) {
    this.#options = options;
    const { plan, contexts, platforms } = options;
    const prefixes = platforms.length > 0 ? platforms : [undefined];
    this.#names = prefixes.map((platform) => new StepNames(plan, contexts, platform));
  }

  /** Line of the Dockerfile of the step that failed. */
  get failedLine(): number | undefined {
    return this.#failedLine;
  }

  /** The image that could not be found. */
  get unresolved(): string | undefined {
    return this.#unresolved;
  }

  onEvent(event: BuildEvent): void {
    if (event.type === 'warning') return this.#warn(event);
    const { id, line } = event.vertex;
    if (event.type === 'started') {
      const round = Math.max(0, this.#options.platforms.indexOf(event.vertex.platform ?? ''));
      const named = this.#names[round]!.next(event.vertex);
      if (named.name !== undefined) this.#started(event, named, named.name);
      return;
    }
    const open = this.#steps.get(id);
    if (event.type === 'failed') this.#failedLine ??= line;
    if (!open) return;
    if (event.type === 'failed' && open.metadata) {
      this.#unresolved ??= /load metadata for (.*)$/.exec(open.metadata.name)?.[1];
      open.metadata.failed(event.message, event.time);
      return;
    }
    open.metadata?.done({ time: event.time });
    open.metadata = undefined;
    open.step ??= open.begin(event.time);
    if (event.type === 'output') open.step.output(event.text, event.time);
    if (event.type === 'done') open.step.done({ cached: event.origin === 'cached', time: event.time });
    if (event.type === 'failed') open.step.failed(shownFailure(event.message), event.time);
  }

  #started({ vertex, time }: Extract<BuildEvent, { type: 'started' }>, named: StepName, name: string): void {
    const { log, ref } = this.#options;
    const { id, stage, platform = '' } = vertex;
    const place = `${platform} ${stage.index}`;
    const before = this.#last.get(place);
    const begin = (at: number): ProgressStep => {
      const step = new ProgressStep(log, `${ref} ${id}`, name, at, before === undefined ? [] : [before]);
      this.#last.set(place, step.digest);
      return step;
    };
    const [metadata] = named.metadata.map((one) => new ProgressStep(log, `${ref} ${one}`, one, time));
    if (named.taken !== undefined) {
      metadata?.done({ time });
      new ProgressStep(log, `${ref} ${named.taken}`, named.taken, time).done({ time });
    }
    const isBase = vertex.position === 0 && metadata !== undefined;
    this.#steps.set(id, { metadata: isBase ? metadata : undefined, begin, step: isBase ? undefined : begin(time) });
  }

  #warn({ rule, message, line }: Extract<BuildEvent, { type: 'warning' }>): void {
    const { log, ref, source } = this.#options;
    const { file, line: own } = source.at(line);
    const position = { line: own, character: 0 };
    const warning: MessageInitShape<typeof VertexWarningSchema> = {
      // The step that read the file.
      vertex: sha256(`${ref} definition`),
      level: 1n,
      short: Buffer.from(`${rule}: ${message} (line ${source.lineName(line)})`),
      url: `https://docs.docker.com/go/dockerfile/rule/${kebab(rule)}/`,
      info: { filename: file.name, data: Buffer.from(file.text), language: 'Dockerfile' },
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
