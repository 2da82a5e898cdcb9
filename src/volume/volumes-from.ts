import { EngineError } from '../base/errors.ts';
import { parseMode } from './bind.ts';

/** `container[:ro|rw|z|Z]`. Throws `invalid-argument` in Docker's words. */
export function parseVolumesFrom(spec: string): { container: string; readOnly: boolean } {
  if (spec === '') throw new EngineError('invalid-argument', 'volumes-from specification cannot be an empty string');
  const cut = spec.indexOf(':');
  if (cut < 0) return { container: spec, readOnly: false };
  const mode = spec.slice(cut + 1);
  const parsed = parseMode(mode);
  if (!parsed || parsed.propagation !== '' || parsed.noCopy || parsed.ownership) {
    throw new EngineError('invalid-argument', `invalid mode: ${mode}`);
  }
  return { container: spec.slice(0, cut), readOnly: parsed.readOnly };
}
