import { GrowingList } from '../../../base/growing.ts';
import { CONTEXT_TIME, copySelection, digestSelection } from '../../../build/copy-files.ts';
import type { PlannedStage } from '../../../build/plan.ts';
import { StageConfig } from '../../../build/stage-config.ts';
import { sha256 } from '../../../oci/digest.ts';
import type { ImageConfig } from '../../../oci/image.ts';
import type { FilesPlace } from '../copy-step.ts';
import type { ContextImage } from '../contexts.ts';
import type { BaseImages } from './base-images.ts';
import type { Solve } from './solve.ts';
import type { StageRun } from './stage-context.ts';
import { nextState, NOTHING, SCRATCH_TIME, type StageState, withPath } from './stage-state.ts';
import type { StepResults } from './step-results.ts';

const WHOLE = { exclude: [], parents: false, unpack: false } as const;

/** A stage before its first instruction. */
export interface StageStart {
  readonly state: StageState;
  /** ONBUILD instructions of its base. */
  readonly triggers: readonly string[];
}

/** What stages begin with: another stage, an image, the files of a context, or nothing. */
export class StageBases {
  readonly #solve: Solve;
  readonly #images: BaseImages;
  readonly #results: StepResults;

  constructor(solve: Solve, images: BaseImages, results: StepResults) {
    this.#solve = solve;
    this.#images = images;
    this.#results = results;
  }

  async of(planned: PlannedStage, run: StageRun): Promise<StageStart> {
    const { base } = planned;
    if (base.kind === 'stage') {
      const before = await this.#solve.stage(base.index);
      const { triggers } = before.config;
      return { state: { ...before, config: before.config.withoutTriggers() }, triggers };
    }
    if (base.kind === 'scratch') {
      return { state: NOTHING, triggers: [] };
    }
    const context = base.kind === 'context' ? await this.#solve.context.context(base.name) : undefined;
    if (context?.kind === 'result') return this.#ofResult(context.image);
    if (context?.kind === 'files') return { state: await this.#ofFiles(context.place, run), triggers: [] };
    const reference = base.kind === 'image' ? base.reference : (context as { readonly reference: string }).reference;
    const image = await this.#images.use(reference, planned.platform);
    const { OnBuild: triggers, ...config } = image.config.config ?? {};
    return {
      state: {
        config: new StageConfig(withPath(config)),
        diffIds: image.config.rootfs.diff_ids,
        chain: image.chain,
        history: GrowingList.of(image.config.history ?? []),
        createdAt: image.config.created ?? SCRATCH_TIME,
        author: image.config.author,
        args: NOTHING.args,
        key: sha256(`image ${image.id}`),
        imageId: image.id,
      },
      triggers: triggers ?? [],
    };
  }

  /** A stage that begins with what another build made. */
  #ofResult({ configText, chain }: ContextImage): StageStart {
    const image = JSON.parse(configText) as ImageConfig;
    if (chain) this.#solve.context.lease.add('snapshot', chain);
    const { OnBuild: triggers, ...config } = image.config ?? {};
    const state = {
      config: new StageConfig(withPath(config)),
      diffIds: image.rootfs.diff_ids,
      chain,
      history: GrowingList.of(image.history ?? []),
      createdAt: image.created ?? SCRATCH_TIME,
      author: image.author,
      args: NOTHING.args,
      key: sha256(`image ${sha256(configText)}`),
      imageId: undefined,
    };
    return { state, triggers: triggers ?? [] };
  }

  /** A stage that begins with nothing but the files of a directory. */
  async #ofFiles(place: FilesPlace, run: StageRun): Promise<StageState> {
    const { name, ...files } = place;
    const selection = { ...files, ...WHOLE, sources: ['/'], sourceName: name };
    const { digest, entries } = await digestSelection(selection, this.#solve.signal);
    const inputs = [{ name: 'files', value: digest, ...(entries && { files: entries }) }];
    const time = this.#solve.context.epoch ?? CONTEXT_TIME;
    const record = await this.#results.of(NOTHING, { kind: 'FROM', text: `FROM ${name}`, inputs, run }, (key) =>
      this.#results.layer(NOTHING, key, {}, async (rootfs) => {
        await copySelection({ ...selection, time }, { root: rootfs, destination: '/' }, this.#solve.signal);
        return { time };
      }),
    );
    return nextState(NOTHING, record, NOTHING.config);
  }
}
