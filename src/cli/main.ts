/** The `gantry` command: reads the process, runs one command line, exits. */
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
    launcher: join(dirname(dirname(here)), 'gantry'),
  },
});
process.exit(code);
