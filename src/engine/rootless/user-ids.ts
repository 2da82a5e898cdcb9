import { userInfo } from 'node:os';
import { EngineError } from '../../base/errors.ts';
import type { HolderOwner } from '../../linux/rootless-namespaces.ts';
import { subordinateRange } from '../userns/subordinate-ids.ts';

/** Images have users up to `nobody`, 65534. */
const LEAST_IDS = 65_536;

export interface UnprivilegedUser {
  readonly uid: number;
  readonly gid: number;
  readonly name: string;
}

/** Who runs this process. Throws `unavailable` for a number without a name, which newuidmap(1) refuses. */
export function unprivilegedUser(): UnprivilegedUser {
  try {
    const { uid, gid, username } = userInfo();
    return { uid, gid, name: username };
  } catch (error) {
    throw new EngineError(
      'unavailable',
      `the user ${process.getuid?.()} has no name on this host (no line in /etc/passwd): an engine without root needs one, for its subordinate ids`,
      { cause: error },
    );
  }
}

/**
 * The user's subordinate ids, the first range that /etc/subuid and /etc/subgid give it by name or number. Throws
 * `unavailable`, naming the line to add: with the user's own id alone no image could be unpacked as it is.
 */
export function subordinateIds(user: UnprivilegedUser, read?: (path: string) => string): HolderOwner {
  const range = (file: '/etc/subuid' | '/etc/subgid'): { base: number; size: number } => {
    const found = subordinateRange(file, user.name, read) ?? subordinateRange(file, String(user.uid), read);
    if (found && found.size >= LEAST_IDS) return found;
    const has = found ? `only ${found.size} ids for` : 'no line for';
    throw new EngineError(
      'unavailable',
      `${file} has ${has} ${user.name}: an engine without root needs ${LEAST_IDS} subordinate ids. As root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${user.name} (or another free range), which adds "${user.name}:100000:65536" to /etc/subuid and /etc/subgid`,
    );
  };
  return { uid: user.uid, gid: user.gid, uids: range('/etc/subuid'), gids: range('/etc/subgid') };
}
