import { CONTEXT_TIME } from '../../../build/copy-files.ts';
import type { Lookup } from '../../../build/dockerfile/expand.ts';
import type { CopyInstruction } from '../../../build/dockerfile/instructions.ts';
import { type ResolvedCopy, resolveCopy } from '../copy-step.ts';
import { FileInstructions } from './file-instructions.ts';
import type { StageRun, Step } from './stage-context.ts';
import { checkDepth } from './step-results.ts';
import { nextState, NOTHING, type StageState, stepKey } from './stage-state.ts';

/** COPY and ADD: files from somewhere into those of a stage. */
export class CopyInstructions extends FileInstructions {
  async apply(
    state: StageState,
    instruction: CopyInstruction,
    { run, lookup }: { readonly run: StageRun; readonly lookup: Lookup },
  ): Promise<StageState> {
    const { parts, escape } = this.solve.context;
    const copy = await resolveCopy(
      {
        place: (from) => this.places.find(from, { run, line: instruction.range.start }),
        owner: (text) => parts.lookUpOwner(() => this.solve.views.of(state.chain), text),
        temporary: () => this.solve.temporary(),
        unpack: (archive, rootfs, destination, owner) =>
          parts.unpack(archive, rootfs, { destination, owner, signal: this.solve.signal }),
        remote: parts.remote,
        secrets: this.solve.context.secrets,
        rules: this.solve.context.options.sourceRules,
        onSource: (source) => this.solve.sources.set(`${source.kind} ${source.name}`, source),
        contextTime: this.solve.context.epoch ?? CONTEXT_TIME,
        signal: this.solve.signal,
      },
      instruction,
      { lookup, escape, workingDir: state.config.workingDir ?? '/' },
    );
    const step = { kind: instruction.kind, text: copy.text, inputs: copy.inputs, run };
    if (instruction.link) return this.#link(state, step, copy);
    const record = await this.results.of(state, step, (key) =>
      this.results.layer(state, key, {}, (rootfs, times) => copy.apply(rootfs, times)),
    );
    return nextState(state, record, state.config);
  }

  /**
   * COPY --link: the layer is made on nothing, so that its key and its content do not depend on what it is put upon: another
   * base takes it as it is.
   */
  async #link(state: StageState, step: Step, copy: ResolvedCopy): Promise<StageState> {
    const time = this.solve.context.epoch ?? CONTEXT_TIME;
    const record = await this.results.of(NOTHING, { ...step, kind: `${step.kind} --link` }, (key) =>
      this.results.layer(NOTHING, key, {}, async (rootfs) => {
        const copied = await copy.apply(rootfs, { seconds: time, exact: true });
        return { ...copied, time: copied.time ?? time };
      }),
    );
    if (record.layer) checkDepth(state);
    const { parts, lease } = this.solve.context;
    const layer =
      record.layer && (await parts.placeLayer(record.layer, { parent: state.chain, lease, signal: this.solve.signal }));
    const key = stepKey(state.key, 'LINK', [{ name: 'layer', value: record.key }]);
    return nextState(state, { ...record, key, layer, createdAt: state.createdAt }, state.config);
  }
}
