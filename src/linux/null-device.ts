import { chownSync, statSync } from 'node:fs';
import { inUserNamespace } from './user-namespace-ids.ts';

/**
 * Gives /dev/null back to root. crun makes a container's standard streams its user's own, and one that is not used is
 * /dev/null: the host's, where the engine has no mount namespace. To be called before anything of the container's runs.
 */
export function reclaimNullDevice(): void {
  if (process.geteuid?.() !== 0 || inUserNamespace()) return;
  const { uid, gid } = statSync('/dev/null');
  if (uid !== 0 || gid !== 0) chownSync('/dev/null', 0, 0);
}
