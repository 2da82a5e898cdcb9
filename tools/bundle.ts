/**
 * Bundles the command (`src/cli/main.ts`), the daemon and every `*.worker.ts` into `dist/`, so that an installed
 * command starts without stripping types. Run by the launcher when a source file is newer than the bundle.
 */
import { rmSync } from 'node:fs';
import { glob, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type OutputOptions, rolldown } from 'rolldown';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const src = join(root, 'src');
const staging = join(root, `dist.${process.pid}`);

process.once('exit', () => rmSync(staging, { recursive: true, force: true })); // of a bundle that failed

const engine: Record<string, string> = { 'daemon/main': join(src, 'daemon/main.ts') };
for await (const file of glob('**/*.worker.ts', { cwd: src })) engine[file.replace(/\.ts$/, '')] = join(src, file);
await bundle(engine, {});

const HOT =
  /\/src\/(base\/(errors|time)|client\/(?!ssh|tls|index)[\w-]+|cli\/(cli|command|config|contexts|describe-error|engine-client|flag|global|io|names|parse|program|registry|socket-probe|suggest|version|output\/(container-row|escape|format-help|labels|rows|table|units)|options\/(size|duration)|template\/\w+))\.ts$/;
// The command starts anew each time, and every file costs it half a millisecond: what most commands need is one file,
// and each command's own code another.
await bundle(
  { 'cli/main': join(src, 'cli/main.ts') },
  {
    chunkFileNames: 'cli/[name]-[hash].js',
    codeSplitting: {
      groups: [{ name: 'core', test: HOT }],
    },
  },
);

async function bundle(input: Record<string, string>, output: OutputOptions): Promise<void> {
  const build = await rolldown({ input, platform: 'node', external: [/^node:/, 'koffi'] });
  await build.write({
    dir: staging,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: 'chunks/[name]-[hash].js',
    sourcemap: true,
    ...output,
  });
  await build.close();
}

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
  `bundled the command, the daemon and ${Object.keys(engine).length - 1} workers into ${relative(process.cwd(), join(root, 'dist')) || 'dist'}`,
);
