/**
 * The `gantry` command: reads the process, runs one command line, exits. Bundled as CommonJS, which Node starts a fifth
 * faster, so nothing is awaited at the top.
 */
import { enableCompileCache } from 'node:module';
import { dirname, join } from 'node:path';

const here = import.meta.dirname;
const bundled = !import.meta.filename.endsWith('.ts');
// Beside the bundle, where only its owner writes: what is cached there is run.
if (bundled) enableCompileCache(join(dirname(here), 'cache'));

void import('./run-process.ts').then(({ runProcess }) => runProcess(here, bundled));
