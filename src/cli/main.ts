/** The `gantry` command: reads the process, runs one command line, exits. */
import { existsSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { dirname, join } from 'node:path';

const here = import.meta.dirname;
const bundled = import.meta.filename.endsWith('.js');
// Beside the bundle, where only its owner writes: what is cached there is run.
if (bundled) enableCompileCache(join(dirname(here), 'cache'));

const [{ runProgram }, { processIo }] = await Promise.all([import('./program.ts'), import('./io.ts')]);

const code = await runProgram(process.argv.slice(2), {
  io: processIo(),
  env: process.env,
  root: process.getuid?.() === 0,
  self: {
    node: process.execPath,
    daemon: join(dirname(here), 'daemon', bundled ? 'main.js' : 'main.ts'),
    launcher: findLauncher(here) ?? join(dirname(dirname(here)), 'gantry'),
  },
});
process.exit(code);

/** The nearest `gantry` above: a bundle is in `dist` of the package, or in a directory of its own below the checkout's `.gantry`. */
function findLauncher(from: string): string | undefined {
  for (let at = from; at !== dirname(at); at = dirname(at)) {
    const path = join(at, 'gantry');
    if (existsSync(path)) return path;
  }
  return undefined;
}
