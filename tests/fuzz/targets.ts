import { credentialTargets } from './credentials.ts';
import { imageTargets } from './images.ts';
import { requestTarget } from './requests.ts';
import type { Target } from './target.ts';
import { textTargets } from './texts.ts';
import { wireTargets } from './wire.ts';

/** Every parser of what comes from outside. */
export async function allTargets(): Promise<Target[]> {
  return [...(await imageTargets()), ...textTargets(), ...credentialTargets(), ...wireTargets(), await requestTarget()];
}
