import { EngineError } from '../../../base/errors.ts';
import { familiarName, parseReference, withDefaultTag } from '../../../oci/reference.ts';
import type { ResolvedImage } from '../../containers/parts.ts';
import { authFor } from '../outputs/deliver.ts';
import { ruledImage } from '../sources/source-rules.ts';
import type { Solve } from './solve.ts';

/** Images that a build begins with, or takes files from. */
export class BaseImages {
  readonly #solve: Solve;

  constructor(solve: Solve) {
    this.#solve = solve;
  }

  /** The image, pulled where it is not here or is to be looked for again; the build keeps it. Throws `not-found`. */
  async use(name: string, platform: string | undefined): Promise<ResolvedImage> {
    const image = await this.#find(name, platform);
    this.#solve.sources.set(`${name} ${platform ?? ''}`, { kind: 'image', name, digest: image.id, platform });
    if (image.chain) this.#solve.context.lease.add('snapshot', image.chain);
    return image;
  }

  async #find(name: string, platform: string | undefined): Promise<ResolvedImage> {
    const { images } = this.#solve.context.parts;
    const { options, request } = this.#solve.context;
    const ruled = ruledImage(options.sourceRules, name);
    const reference = request.pins ? pinnedName(ruled, request.pins) : ruled;
    const wanted = platform ?? request.platform;
    // What is called by its id is not a registry's.
    if (request.pull !== true || /^sha256:[0-9a-f]{64}$/.test(name)) {
      try {
        return await images.resolve(reference, wanted);
      } catch (error) {
        if (!(error instanceof EngineError) || error.code !== 'not-found') throw error;
      }
    }
    const auth = authFor(request.auth, parseReference(reference));
    try {
      await images.pull(reference, {
        ...options,
        signal: this.#solve.signal,
        ...(auth && { auth }),
        ...(wanted && { platform: wanted }),
      });
    } catch (error) {
      if (!(error instanceof EngineError) || error.code === 'cancelled') throw error;
      const isStage = this.#solve.context.plan.all.some((stage) => stage.name === name.toLowerCase());
      if (error.message.includes(name) && !isStage) throw error;
      const hint = isStage
        ? `; a stage is called so, but it does not come before this one: a stage can take only from those above it`
        : '';
      throw new EngineError(error.code, `cannot get the image ${name}: ${error.message}${hint}`, { cause: error });
    }
    return images.resolve(reference, wanted);
  }
}

/** The name with the digest that the lock has for it. Throws `invalid-argument` when it has none. */
function pinnedName(name: string, pins: Readonly<Record<string, string>>): string {
  const reference = withDefaultTag(parseReference(name));
  if (reference.digest !== undefined) return name;
  const shown = familiarName(reference);
  const digest = Object.hasOwn(pins, shown) ? pins[shown]! : undefined;
  if (digest === undefined) {
    throw new EngineError(
      'invalid-argument',
      `${shown} is not in the lock file: run \`gantry lock\` and look at what it adds`,
    );
  }
  return `${shown}@${digest}`;
}
