import type { DockerfileSource } from '../../../build/dockerfile/source.ts';
import type { BuildPlan, PlannedStage } from '../../../build/plan.ts';
import type { StepInput } from '../../../state/build-records.ts';
import type { Lease } from '../../../state/leases.ts';
import type { BuildOptions, BuildRequest } from '../../engine.ts';
import type { BuildDirectory } from '../build-directory.ts';
import type { BuilderParts } from '../builder-parts.ts';
import type { BuildEvent, BuildVertex, StepOrigin } from '../build-event.ts';
import type { NamedContext } from '../contexts.ts';
import type { FilesPlace } from '../copy-step.ts';
import type { SourceSecrets } from '../sources/source-secrets.ts';
import type { CacheImport, CacheTurn, StepCache } from '../step-cache.ts';

/** What the stages of one solve have in common. */
export interface StageContext {
  readonly parts: BuilderParts;
  readonly request: BuildRequest;
  readonly plan: BuildPlan;
  /** Of this build, removed after it. */
  readonly directory: BuildDirectory;
  /** Of the whole engine. */
  readonly cache: StepCache;
  /** This solve's time with it. */
  readonly turn: CacheTurn;
  /** Other places that may know a step. */
  readonly imports: readonly CacheImport[];
  /** Where the build is for several platforms: which this is. */
  readonly platformName: string | undefined;
  readonly onEvent: (event: BuildEvent) => void;
  /** What the client has for places that ask who comes. */
  readonly secrets: SourceSecrets;
  /** The build context. */
  readonly main: FilesPlace;
  /** Names of others, and where they lead. */
  readonly named: ReadonlySet<string>;
  readonly context: (name: string) => Promise<NamedContext>;
  readonly escape: string;
  /** Where the lines of instructions come from. */
  readonly source: DockerfileSource;
  /** SOURCE_DATE_EPOCH: seconds that nothing which is made may be newer than. */
  readonly epoch: number | undefined;
  readonly buildArgs: ReadonlyMap<string, string>;
  readonly platformArgs: ReadonlyMap<string, string>;
  /** Keeps the layers of this build from collection. */
  readonly lease: Lease;
  readonly announce: (text: string) => void;
  readonly options: BuildOptions;
  /** Aborted when the client goes, whatever becomes of the steps. */
  readonly clientSignal: AbortSignal | undefined;
  /** Called at the first failure, before anything of it is cleared away. */
  readonly onFailure: (error: unknown) => void;
}

/** A stage while it is built. */
export interface StageRun {
  readonly planned: PlannedStage;
  readonly announce: (text: string) => void;
  /** For the classic stream alone: events say the same in their own way. */
  readonly note: (text: string) => void;
  /** Tells of the failure of the step that is under way, when nobody is to wait for its end. */
  readonly fail: (error: unknown) => void;
  /** Of the instruction that is under way, triggers counted. */
  position: number;
  /** Whether it has had a CMD. */
  ownCmd: boolean;
  /** The step that is under way. */
  vertex: BuildVertex;
  /** How it got its result, when it has one of its own. */
  last: StepOrigin | undefined;
}

/** One step as it is looked for in the cache. */
export interface Step {
  readonly kind: string;
  readonly text: string;
  readonly inputs: readonly StepInput[];
  readonly run: StageRun;
  /** Where its result is what a command prints: that, when it has been made. */
  readonly output?: () => string;
}
