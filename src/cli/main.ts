/**
 * The `gantry` command: reads the process, runs one command line, exits. Bundled as CommonJS, which Node starts a fifth
 * faster, so nothing is awaited at the top.
 */
import { existsSync, statSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { dirname, join } from 'node:path';

const here = import.meta.dirname;
const bundled = !import.meta.filename.endsWith('.ts');
// Beside the bundle, where only its owner writes: what is cached there is run.
if (bundled) enableCompileCache(join(dirname(here), 'cache'));

void main();

async function main(): Promise<never> {
  const [{ runProgram }, { processIo }] = await Promise.all([import('./program.ts'), import('./io.ts')]);
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
