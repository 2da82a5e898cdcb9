import { EngineError, errorMessage } from '../../base/errors.ts';
import { parseReference } from '../../oci/reference.ts';
import type { Dockerfile } from '../dockerfile/instructions.ts';
import { planBuild, type PlanOptions } from '../plan.ts';

/** Names of bases that are none end a check as they end a build. Throws `invalid-argument` in BuildKit's words, with the line. */
export function checkBaseNames(dockerfile: Dockerfile, options: Omit<PlanOptions, 'target'>): void {
  for (const { base, stage } of planBuild(dockerfile, options).planned) {
    if (base.kind !== 'image') continue;
    try {
      parseReference(base.reference);
    } catch (error) {
      const words = `failed to parse stage name ${JSON.stringify(base.reference)}: ${errorMessage(error)}`;
      throw new EngineError('invalid-argument', `dockerfile line ${stage.range.start}: ${words}`, { cause: error });
    }
  }
}

/** Whether a name can be that of an image at all. */
export function isImageName(name: string): boolean {
  try {
    parseReference(name);
    return true;
  } catch {
    return false;
  }
}
