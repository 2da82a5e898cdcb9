/**
 * Bundles the command (`src/cli/main.ts`), the daemon, the registry and every `*.worker.ts` into `dist/`, so that an installed
 * command starts without stripping types. Run by the launcher when a source file is newer than the bundle.
 *
 * `dist` is a link to the newest of the bundles in `.gantry/bundles`: a daemon that still runs from an older one finds
 * the parts that it loads later. With `--plain` (for the npm package) `dist` is the bundle itself.
 */
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import {
  copyFile,
  glob,
  link,
  lstat,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type OutputOptions, type Plugin, rolldown } from 'rolldown';
import { makeSnapshots } from './snapshots.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const src = join(root, 'src');
const plain = process.argv.includes('--plain');
const bundles = join(root, '.gantry/bundles');
const own = join(bundles, `${Date.now()}-${process.pid}`);
const staging = join(own, 'dist');

let finished = false;
process.once('exit', () => finished || rmSync(own, { recursive: true, force: true })); // of a bundle that failed

/** A built-in module as it is: the bundler's copy reads every member, and some of them load much that nobody asked for. */
const lazyBuiltins: Plugin = {
  name: 'lazy-builtins',
  // Lines stay where they are, so the map of the sources holds.
  renderChunk: (code) => ({
    code: code.replace(
      /\b[\w$.]*__toESM\(require\("(node:[\w/]+)"\)(?:, \d)?\)/g,
      'Object.create(require("$1"), { default: { value: require("$1") } })',
    ),
    map: null,
  }),
};

const name = await buildName();
const engine: Record<string, string> = {
  'daemon/main': join(src, 'daemon/main.ts'),
  'registry/main': join(src, 'registry/main.ts'),
  index: join(src, 'index.ts'), // the library's doors
  client: join(src, 'client/index.ts'),
};
for await (const file of glob('**/*.worker.ts', { cwd: src })) engine[file.replace(/\.ts$/, '')] = join(src, file);
await bundle(engine, {});

/** Of all that is bundled: the same code has the same name, wherever it is bundled. */
async function buildName(): Promise<string> {
  const files = await Array.fromAsync(glob('**/*.{ts,tsx,json}', { cwd: src }));
  const hash = createHash('sha256').update(await readFile(join(root, 'package-lock.json')));
  for (const file of files.filter((path) => !path.endsWith('.test.ts')).sort())
    hash.update(`\n${file}\n`).update(await readFile(join(src, file)));
  return hash.digest('hex').slice(0, 16);
}

const HOT =
  /\/src\/(base\/(errors|nearest|time)|client\/(?!ssh|tls|index)[\w-]+|cli\/(cli|command|config|contexts|describe-error|engine-client|flag|global|io|names|parse|program|registry|run-process|socket-probe|version|output\/(container-row|escape|format-help|labels|rows|table|units)|options\/(size|duration)|template\/\w+))\.ts$/;
// The command starts anew each time, and every file costs it half a millisecond: what most commands need is one file,
// and each command's own code another.
// CommonJS, because Node's loader of modules costs more than all the rest of a short command.
await bundle(
  { 'cli/main': join(src, 'cli/main.ts'), 'cli/command': join(src, 'cli/bundled-command.ts') },
  {
    format: 'cjs',
    entryFileNames: '[name].cjs',
    chunkFileNames: 'cli/[name]-[hash].cjs',
    codeSplitting: {
      groups: [{ name: 'core', test: HOT }],
    },
  },
  [lazyBuiltins],
);
await bundle({ 'cli/snapshot': join(src, 'cli/snapshot/main.ts') }, { format: 'cjs', entryFileNames: '[name].cjs' });

// The page of `gantry dashboard`: everything that it shows comes from here.
const page = join(src, 'dashboard/page');
const pageBuild = await rolldown({
  input: { main: join(page, 'main.tsx') },
  platform: 'browser',
  tsconfig: join(page, 'tsconfig.json'),
});
await pageBuild.write({
  dir: join(staging, 'dashboard'),
  format: 'esm',
  minify: true,
  entryFileNames: '[name].js',
  chunkFileNames: '[name].js',
});
await pageBuild.close();
for (const file of ['index.html', 'icon.svg', 'style.css'])
  await copyFile(join(page, file), join(staging, 'dashboard', file));
await copyFile(join(root, 'node_modules/@xterm/xterm/css/xterm.css'), join(staging, 'dashboard/terminal.css'));

async function bundle(input: Record<string, string>, output: OutputOptions, plugins: Plugin[] = []): Promise<void> {
  const build = await rolldown({
    input,
    platform: 'node',
    external: [/^node:/, 'koffi'],
    plugins,
    transform: { define: { GANTRY_BUILD: JSON.stringify(name) } },
    // Its ES modules, for a seventh less of code to be loaded at each start of Compose; what it exports is the same.
    resolve: { alias: { yaml: join(root, 'node_modules/yaml/browser/index.js') } },
    checks: { pluginTimings: false },
  });
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
// Of the npm package the node is its user's, and not known.
if (!plain && (await makeSnapshots(process.execPath, join(staging, 'cli')))) {
  // The launcher starts from them where its node is this very file. A link: a file that takes its place is another.
  await link(process.execPath, join(staging, 'cli/node')).catch(() => {});
}
await writeFile(join(staging, 'stamp'), `${new Date().toISOString()}\n`);
// Aside, then renamed: a command started meanwhile finds the old bundle or the new one, never half of one.
const dist = join(root, 'dist');
const before = await lstat(dist).catch(() => undefined);
if (plain || before?.isDirectory()) await rm(dist, { recursive: true, force: true });
if (plain) await rename(staging, dist);
else {
  const link = join(root, `.gantry/dist.${process.pid}`);
  await symlink(relative(root, staging), link);
  await rename(link, dist);
  await removeOld();
}
finished = !plain;

/** Bundles that no command can be starting from any more and that no daemon is likely to run from. */
async function removeOld(): Promise<void> {
  const names = (await readdir(bundles)).sort().reverse();
  for (const name of names.slice(5)) {
    const age = Date.now() - (await stat(join(bundles, name)).then((found) => found.mtimeMs, Date.now));
    if (age > 24 * 3600_000) await rm(join(bundles, name), { recursive: true, force: true });
  }
}

console.log(
  `bundled the command, the daemon, the registry, the library and ${Object.keys(engine).length - 4} workers into ${relative(process.cwd(), join(root, 'dist')) || 'dist'}`,
);
