import { constants, fchownSync } from 'node:fs';
import { EngineError } from '../base/errors.ts';
import type { JobContext } from '../base/worker-server.ts';
import { changeOwnerAt, closeFd, namesIn, openAt, statAt, statFd, tryOpenAt } from '../linux/files.ts';

export interface ChangeOwnerParameters {
  /** A directory or file of the host. */
  readonly path: string;
  readonly uid: number;
  readonly gid: number;
}

const READ = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;
const MAX_DEPTH = 1000;

/**
 * Gives everything at and below `path` to the user. Symlinks are changed, not followed; what is mounted below stays as it
 * is. What has the right owner already is not written.
 */
export function changeOwnerJob({ path, uid, gid }: ChangeOwnerParameters, context: JobContext): void {
  const fd = openAt(undefined, Buffer.from(path).toString('latin1'), READ);
  try {
    const stat = statFd(fd);
    if (stat.uid !== uid || stat.gid !== gid) fchownSync(fd, uid, gid);
    if (stat.kind === 'directory') below(fd, stat.device, 0);
  } finally {
    closeFd(fd);
  }

  function below(directory: number, device: bigint, depth: number): void {
    if (depth > MAX_DEPTH) throw new EngineError('too-large', `${path} is deeper than ${MAX_DEPTH} levels`);
    for (const name of namesIn(directory)) {
      context.check();
      const stat = statAt(directory, name);
      if (!stat || stat.device !== device) continue;
      if (stat.uid !== uid || stat.gid !== gid) changeOwnerAt(directory, name, uid, gid);
      if (stat.kind !== 'directory') continue;
      const child = tryOpenAt(directory, name, READ | constants.O_DIRECTORY);
      if (child === undefined) continue; // somebody removed it
      try {
        if (statFd(child).device === device) below(child, device, depth + 1);
      } finally {
        closeFd(child);
      }
    }
  }
}
