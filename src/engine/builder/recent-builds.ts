import type { RecentBuildDocument, RecentStepDocument } from '../../api/gantry.ts';
import { errorMessage, notFound } from '../../base/errors.ts';
import { newId } from '../../base/ids.ts';
import type { BuildEvent } from './build-event.ts';

const MOST_BUILDS = 30;
/** Characters of output kept of one build: its end. */
const MOST_OUTPUT = 256 << 10;

interface KeptBuild {
  readonly document: Omit<{ -readonly [K in keyof RecentBuildDocument]: RecentBuildDocument[K] }, 'Steps'> & {
    readonly Steps: Step[];
  };
  /** By their ids. */
  readonly steps: Map<string, Step>;
  output: string[];
  length: number;
}

type Step = { -readonly [K in keyof RecentStepDocument]: RecentStepDocument[K] };

/** The builds of this run of the engine, for people who look on: bounded, in memory, gone with the engine. */
export class RecentBuilds {
  readonly #builds: KeptBuild[] = [];

  /** Newest first, without output. */
  list(): RecentBuildDocument[] {
    return this.#builds.map(({ document }) => document);
  }

  /** With the end of its output. Throws `not-found`. */
  get(id: string): RecentBuildDocument {
    const found = this.#builds.find(({ document }) => document.Id === id);
    if (!found) throw notFound('build', id);
    return { ...found.document, Output: found.output.join('') };
  }

  /** Runs `build` and keeps what it tells. */
  async watch<T extends { readonly id: string }>(
    about: Pick<RecentBuildDocument, 'Tags' | 'Target' | 'Dockerfile'>,
    build: (onEvent: (event: BuildEvent) => void) => Promise<T>,
  ): Promise<T> {
    const document = { Id: newId(), ...about, Started: Date.now(), State: 'running' as const, Steps: [] };
    const kept: KeptBuild = { document, steps: new Map(), output: [], length: 0 };
    this.#builds.unshift(kept);
    this.#builds.length = Math.min(this.#builds.length, MOST_BUILDS);
    try {
      const result = await build((event) => note(kept, event));
      kept.document.Image = result.id;
      kept.document.State = 'done';
      return result;
    } catch (error) {
      kept.document.State = 'failed';
      kept.document.Error = errorMessage(error);
      throw error;
    } finally {
      kept.document.Ended = Date.now();
    }
  }
}

function note(kept: KeptBuild, event: BuildEvent): void {
  if (event.type === 'warning') return;
  const { vertex, time } = event;
  let step = kept.steps.get(vertex.id);
  if (!step) {
    const { id: Id, text: Text, stage, position: Position, line: Line } = vertex;
    step = {
      Id,
      Text,
      Stage: stage.index,
      StageName: stage.name ?? '',
      Position,
      Line,
      Started: time,
      State: 'running',
    };
    kept.steps.set(vertex.id, step);
    kept.document.Steps.push(step);
  }
  if (event.type === 'output') {
    kept.output.push(event.text);
    kept.length += event.text.length;
    while (kept.length > MOST_OUTPUT && kept.output.length > 1) kept.length -= kept.output.shift()!.length;
  } else if (event.type === 'done') {
    step.State = event.origin;
    step.Ended = time;
  } else if (event.type === 'failed') {
    step.State = 'failed';
    step.Ended = time;
  }
}
