import { join } from 'node:path';
import { EngineError } from '../base/errors.ts';
import { FileLock } from '../linux/file-lock.ts';

/** One engine at a time owns a data root. Throws `unavailable`, naming the process that does. */
export function lockDataRoot(dataRoot: string): Disposable {
  const lock = FileLock.acquire(join(dataRoot, 'lock'));
  if (lock instanceof FileLock) return lock;
  const holder = lock.heldBy > 0 ? `the engine with pid ${lock.heldBy}` : 'another engine';
  throw new EngineError(
    'unavailable',
    `${dataRoot} is in use by ${holder}: connect to it, stop it, or use another data root`,
  );
}
