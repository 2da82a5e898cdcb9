import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError } from '../base/errors.ts';

/**
 * The one process that changes a registry's directory: its pid in `<root>/server.pid`. Disposal lets go; what a dead one
 * left is taken over. Throws `conflict`.
 */
export async function lockRoot(root: string): Promise<AsyncDisposable> {
  const path = join(root, 'server.pid');
  for (;;) {
    try {
      await using file = await open(path, 'wx');
      await file.write(String(process.pid));
      return { [Symbol.asyncDispose]: () => rm(path, { force: true }) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const pid = await holder(root);
    if (pid !== undefined) {
      throw new EngineError(
        'conflict',
        `a registry serves ${root} already (pid ${pid}): stop it first, or use another --root`,
      );
    }
    await rm(path, { force: true });
  }
}

/** The process that holds the directory; undefined when none lives. */
async function holder(root: string): Promise<number | undefined> {
  const pid = Number(await readFile(join(root, 'server.pid'), 'utf8').catch(() => ''));
  if (!Number.isSafeInteger(pid) || pid <= 0 || pid === process.pid) return undefined;
  try {
    process.kill(pid, 0);
    // The number may be somebody else's by now.
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8');
    return command.includes('registry') ? pid : undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' ? pid : undefined;
  }
}
