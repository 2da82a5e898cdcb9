import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { leftBehind } from '../support/leak-check.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Packs a copy of the repository as `npm pack` does, and puts the package where `npm install` puts it. */
test(
  'the npm package: installed, imported, run; its command answers; its types check',
  { timeout: 180_000 },
  async () => {
    const directory = mkdtempSync(join(tmpdir(), 'gantry-package-'));
    const copy = join(directory, 'copy');
    const app = join(directory, 'app');
    for (const name of [
      'src',
      'bin',
      'tools',
      'examples',
      'package.json',
      'package-lock.json',
      'tsconfig.json',
      'tsconfig.types.json',
      'README.md',
    ]) {
      cpSync(join(root, name), join(copy, name), { recursive: true });
    }
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
    mkdirSync(join(copy, '.gantry'));
    const run = (program: string, args: string[], cwd: string): string =>
      execFileSync(program, args, { cwd, encoding: 'utf8' });
    run(process.execPath, ['tools/bundle.ts', '--plain'], copy);
    run(join(root, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.types.json'], copy);
    const installed = join(app, 'node_modules/gantry');
    for (const name of ['bin', 'dist', 'examples/docker-demo', 'package.json']) {
      cpSync(join(copy, name), join(installed, name), { recursive: true });
    }
    for (const name of ['koffi', '@koromix', 'undici-types', '@types']) {
      symlinkSync(join(root, 'node_modules', name), join(app, 'node_modules', name));
    }
    writeFileSync(join(app, 'package.json'), '{"type":"module"}');
    writeFileSync(
      join(app, 'tsconfig.json'),
      '{"compilerOptions":{"module":"nodenext","target":"esnext","lib":["esnext"],"strict":true,"noEmit":true,"types":["node"]},"include":["run.ts"]}',
    );
    writeFileSync(
      join(app, 'run.ts'),
      `import { Engine } from 'gantry';
await using engine = await Engine.open({ dataRoot: '${directory}/data', execRoot: '${directory}/run' });
const { exitCode, stdout }: { exitCode: number; stdout: string } = await engine.run({ image: 'busybox', command: ['sh', '-c', 'echo from a package; exit 3'], network: 'none' });
console.log(stdout.trim(), exitCode);
`,
    );
    assert.equal(run(process.execPath, ['run.ts'], app), 'from a package 3\n');
    assert.match(run(process.execPath, [join(installed, 'bin/gantry.mjs'), '--version'], app), /^Gantry version \d/);
    run(join(root, 'node_modules/.bin/tsc'), ['-p', '.'], app);
    const left = await leftBehind({ directory });
    rmSync(directory, { recursive: true, force: true });
    assert.deepEqual(left, []);
  },
);
