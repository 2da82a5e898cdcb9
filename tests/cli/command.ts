import { join } from 'node:path';

/** How this checkout's command is started, after the program that runs Node. `--`: Node would read an --env-file of the line. */
export const gantryWords: readonly string[] = ['--', join(import.meta.dirname, '..', '..', 'src', 'cli', 'main.ts')];
