import { GrowingList, GrowingMap } from '../../../base/growing.ts';
import { DEFAULT_PATH, StageConfig, variable } from '../../../build/stage-config.ts';
import { type ChainId, type Digest, type DiffId, sha256 } from '../../../oci/digest.ts';
import type { HistoryEntry, ImageRunConfig } from '../../../oci/image.ts';
import type { BuildRecord, StepInput } from '../../../state/build-records.ts';

/** What a stage is after some of its steps. Values are immutable; a step makes the next one. */
export interface StageState {
  readonly config: StageConfig;
  readonly diffIds: readonly DiffId[];
  readonly chain: ChainId | undefined;
  readonly history: GrowingList<HistoryEntry>;
  /** Of the last step. */
  readonly createdAt: string;
  /** Hash of everything that led here. */
  readonly key: Digest;
  readonly author: string | undefined;
  /** Values of ARGs, of this stage and of those that it begins with, which no later ENV has taken the place of. */
  readonly args: GrowingMap<string>;
  /** The base image, when nothing was done on it yet. */
  readonly imageId: Digest | undefined;
}

/** A stage on nothing is as old as nothing: its image depends on its files alone. */
export const SCRATCH_TIME = '1970-01-01T00:00:00Z';

/** Where a stage begins that has no base. */
export const NOTHING: StageState = {
  config: new StageConfig({ Env: [`PATH=${DEFAULT_PATH}`], WorkingDir: '/' }),
  diffIds: [],
  chain: undefined,
  history: GrowingList.of([]),
  createdAt: SCRATCH_TIME,
  author: undefined,
  args: GrowingMap.of([]),
  key: sha256('scratch'),
  imageId: undefined,
};

/** Steps and containers need one: where an image says none it is the usual one. */
export function withPath(config: ImageRunConfig): ImageRunConfig {
  const env = config.Env ?? [];
  if (env.some((line) => line.startsWith('PATH='))) return config;
  return { ...config, Env: [`PATH=${DEFAULT_PATH}`, ...env] };
}

/** The cache key of a step: what it stands on, and its inputs. */
export function stepKey(parent: Digest, kind: string, inputs: readonly StepInput[]): Digest {
  return sha256(JSON.stringify([parent, kind, inputs.map(({ name, value }) => [name, value])]));
}

/** Twelve digits that stand for the state, as Docker shows an image's after each step. */
export function shownState(state: StageState): string {
  return (state.imageId ?? state.key).replace('sha256:', '').slice(0, 12);
}

/** A variable as instructions see it: of ARG and ENV the later one counts. */
export function visibleVariable(
  { config, args }: Pick<StageState, 'config' | 'args'>,
  name: string,
): string | undefined {
  return args.get(name) ?? variable(config, name);
}

/** The state after a step that left `record`. */
export function nextState(state: StageState, record: BuildRecord, config: StageConfig): StageState {
  return {
    config,
    diffIds: record.layer ? [...state.diffIds, record.layer.diffId] : state.diffIds,
    chain: record.layer ? record.layer.chain : state.chain,
    history: state.history.with({
      created: record.createdAt,
      created_by: record.text,
      ...(record.layer ? {} : { empty_layer: true }),
    }),
    createdAt: record.createdAt,
    key: record.key,
    author: state.author,
    args: state.args,
    imageId: undefined,
  };
}
