import { checkFrom, namedContext, stageOf } from '../../../build/plan.ts';
import type { ChainId } from '../../../oci/digest.ts';
import type { FilesPlace } from '../copy-step.ts';
import type { BaseImages } from './base-images.ts';
import type { Solve } from './solve.ts';
import type { StageRun } from './stage-context.ts';

/** Where `--from` and `from=` of an instruction lead. */
export class FilePlaces {
  readonly #solve: Solve;
  readonly #images: BaseImages;

  constructor(solve: Solve, images: BaseImages) {
    this.#solve = solve;
    this.#images = images;
  }

  /** Where files come from: the context, a stage, or an image. */
  async find(
    from: string | undefined,
    { run, line }: { readonly run: StageRun; readonly line: number },
  ): Promise<FilesPlace> {
    const { plan, main, named } = this.#solve.context;
    if (from === undefined) return main;
    checkFrom(from, line);
    const context = namedContext(named, from);
    const found = context === undefined ? undefined : await this.#solve.context.context(context);
    if (found?.kind === 'files') return found.place;
    if (found?.kind === 'result') return this.#layers(found.image.chain, `context ${from}`);
    if (found) return this.#imagePlace(found.reference);
    const index = stageOf(plan.all, from, { before: run.planned.index, line });
    if (index !== undefined) {
      const { chain } = await this.#solve.stage(index);
      return this.#layers(chain, `stage ${plan.all[index]?.name ?? index}`);
    }
    if (from === 'scratch') return this.#layers(undefined, from);
    return this.#imagePlace(from);
  }

  async #imagePlace(from: string): Promise<FilesPlace> {
    const image = await this.#images.use(from, undefined);
    return this.#layers(image.chain, `image ${from}`);
  }

  async #layers(chain: ChainId | undefined, name: string): Promise<FilesPlace> {
    return { root: await this.#solve.views.of(chain), ignore: [], keepOwner: true, name, chain };
  }
}
