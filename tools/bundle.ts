/**
 * Bundles the command (`src/cli/main.ts`), the daemon and every `*.worker.ts` into `dist/`, so that an installed
 * command starts without stripping types. Run by the launcher when a source file is newer than the bundle.
 */
import { glob, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const src = join(root, 'src');
const input: Record<string, string> = {
  'cli/main': join(src, 'cli/main.ts'),
  'daemon/main': join(src, 'daemon/main.ts'),
};
for await (const file of glob('**/*.worker.ts', { cwd: src })) input[file.replace(/\.ts$/, '')] = join(src, file);

const staging = join(root, `dist.${process.pid}`);
const bundle = await rolldown({ input, platform: 'node', external: [/^node:/, 'koffi'] });
await bundle.write({
  dir: staging,
  format: 'esm',
  entryFileNames: '[name].js',
  chunkFileNames: 'chunks/[name]-[hash].js',
  sourcemap: true,
});
await bundle.close();
await mkdir(staging, { recursive: true });
await writeFile(join(staging, 'stamp'), `${new Date().toISOString()}\n`);
// Aside, then renamed: a command started meanwhile finds the old bundle or the new one, never half of one.
const old = join(root, `dist.old.${process.pid}`);
await rename(join(root, 'dist'), old).catch((error: NodeJS.ErrnoException) => {
  if (error.code !== 'ENOENT') throw error;
});
await rename(staging, join(root, 'dist'));
await rm(old, { recursive: true, force: true });
console.log(
  `bundled ${Object.keys(input).length} entries into ${relative(process.cwd(), join(root, 'dist')) || 'dist'}`,
);
