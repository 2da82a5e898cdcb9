import { existsSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..', '..');
const bundled = join(root, 'dist', 'cli', 'main.cjs');
const entry = existsSync(bundled) && !process.env['GANTRY_TEST_SOURCE'] ? bundled : join(root, 'src', 'cli', 'main.ts');

/**
 * How this checkout's command is started, after the program that runs Node: from the bundle as people do, which starts
 * in a sixth of the time. `--`: Node would read an --env-file of the line.
 */
export const gantryWords: readonly string[] = ['--', entry];
