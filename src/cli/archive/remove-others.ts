import fs from 'node:fs';
import { homedir } from 'node:os';
import { join, relative, resolve, sep } from 'node:path';
import { CommandError } from '../command.ts';

/**
 * Removes what is below `root` and neither in `kept` (whole paths) nor above something in it. Links are removed, not
 * followed; a directory that is kept is looked into only where it is one itself.
 */
export function removeOthers(root: string, kept: ReadonlySet<string>): void {
  const above = new Set<string>();
  for (const path of kept)
    for (let at = join(path, '..'); at.length > root.length && !above.has(at); at = join(at, '..')) above.add(at);
  const visit = (directory: string): void => {
    for (const entry of fs.readdirSync(directory, { withFileTypes: true })) {
      const path = join(directory, entry.name);
      if (!kept.has(path) && !above.has(path)) fs.rmSync(path, { recursive: true, force: true });
      else if (entry.isDirectory()) visit(path);
    }
  };
  visit(root);
}

/** Refuses a destination that is to be emptied and holds what nobody means by that. Throws `CommandError`. */
export function checkReplaced(folder: string, others: readonly string[]): void {
  const real = realPath(folder);
  for (const other of [homedir(), process.cwd(), ...others]) {
    const below = relative(real, realPath(other));
    if (below === '..' || below.startsWith(`..${sep}`)) continue;
    throw new CommandError(
      `mode=delete would remove what is in ${folder} and not in the result, and ${other} is in there: name a directory of its own`,
    );
  }
}

function realPath(path: string): string {
  try {
    return fs.realpathSync(path);
  } catch {
    return resolve(path);
  }
}
