import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EngineError } from '../base/errors.ts';
import { FileLock } from '../linux/file-lock.ts';
import { identify } from '../linux/process.ts';

/** How long the lock of a dead engine may live on in a process that it was starting when it died. */
const PATIENCE_MS = 2000;

/** One engine at a time owns a data root. Throws `unavailable`, naming the process that does. */
export async function lockDataRoot(dataRoot: string): Promise<Disposable> {
  for (let waitedMs = 0; ; waitedMs += 20) {
    const lock = FileLock.acquire(join(dataRoot, 'lock'));
    if (lock instanceof FileLock) return lock;
    if (lock.heldBy > 0 && identify(lock.heldBy) === undefined && waitedMs < PATIENCE_MS) {
      await sleep(20);
      continue;
    }
    const holder = lock.heldBy > 0 ? `the engine with pid ${lock.heldBy}` : 'another engine';
    throw new EngineError(
      'unavailable',
      `${dataRoot} is in use by ${holder}: connect to it, stop it, or use another data root`,
    );
  }
}
