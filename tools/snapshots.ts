import { execFile } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** One for `compose`, which needs much that nothing else does, one for all other commands: what is in it costs each start. */
const ROLES = ['command', 'compose'] as const;
/** Those of the launchers too: code that was compiled under other flags is not taken. */
const FLAGS = ['--no-rehash-snapshot', '--no-sparkplug', '--min-semi-space-size=4'];

/**
 * Beside the bundled command in `directory`: what the launchers start it from under this very `node`
 * (docs/decisions/0020). Where that cannot be made there is none, the command starts slower, and false is given.
 */
export async function makeSnapshots(node: string, directory: string): Promise<boolean> {
  const builder = join(directory, 'snapshot.cjs');
  const settings = join(directory, 'snapshot.json');
  // Without the code of Node's own modules, which would be two thirds of the file and read at each start.
  writeFileSync(settings, JSON.stringify({ builder, withoutCodeCache: true }));
  const { PATH, TMPDIR } = process.env;
  const make = async (role: string): Promise<void> => {
    const from = ['--snapshot-blob', join(directory, `${role}.blob`)];
    for (const words of [[builder], [...from, '--build-snapshot-config', settings], [...from, '--', '__rehearse']]) {
      await promisify(execFile)(node, [...FLAGS, ...words], {
        env: { PATH, TMPDIR, GANTRY_SNAPSHOT: role },
        timeout: 60_000,
      });
    }
  };
  const results = await Promise.allSettled(ROLES.map(make));
  rmSync(settings, { force: true });
  const failure = results.find((result) => result.status === 'rejected');
  if (!failure) return true;
  console.error(`gantry: commands will start slower, without a snapshot: ${(failure.reason as Error).message}`);
  for (const role of ROLES)
    for (const file of ['blob', 'js', 'js.cache', 'seldom.js', 'seldom.js.cache'].map((end) => `${role}.${end}`))
      rmSync(join(directory, file), { force: true });
  return false;
}
