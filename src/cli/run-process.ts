import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { processIo } from './io.ts';
import { runProgram } from './program.ts';

/**
 * Runs the command line of this process (`process.argv` from its third word) and ends the process with its exit code.
 * `here` is the directory of the command's own file, in the bundle or in the sources.
 */
export async function runProcess(here: string, bundled: boolean): Promise<never> {
  const home = findHome(here);
  const code = await runProgram(process.argv.slice(2), {
    io: processIo(),
    env: process.env,
    root: process.getuid?.() === 0,
    self: {
      node: process.execPath,
      daemon: join(dirname(here), 'daemon', bundled ? 'main.js' : 'main.ts'),
      launcher: launcherIn(home) || join(home, 'gantry'),
      home,
    },
  });
  process.exit(code);
}

/** The package's directory: a bundle is in its `dist`, or in a directory of its own below the checkout's `.gantry`. */
function findHome(from: string): string {
  for (let at = from; at !== dirname(at); at = dirname(at)) {
    if (existsSync(join(at, 'package.json')) && launcherIn(at) !== '') return at;
  }
  return dirname(dirname(from));
}

/** What starts this program: a checkout's and a Debian package's script, or what npm links to. */
function launcherIn(directory: string): string {
  const found = ['gantry', 'bin/gantry.mjs'].map((name) => join(directory, name));
  return found.find((path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true) ?? '';
}
