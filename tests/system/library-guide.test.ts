/** Every example of docs/library.md: its types are right, it runs, and prints what stands below it. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { DaemonProcess } from '../support/daemon-process.ts';
import { leftBehind } from '../support/leak-check.ts';
import { type PrivateRoots, privateRoots } from '../support/private-engine.ts';

const root = join(import.meta.dirname, '..', '..');
const guide = readFileSync(join(root, 'docs/library.md'), 'utf8');
const examples = [...guide.matchAll(/^## (.+)\n[^]*?```ts\n([^]*?)```\n\n```text\n([^]*?)```$/gm)].map(
  ([, title, program, prints]) => ({ title: title!, program: program!, prints: prints! }),
);
const OPEN = "Engine.open({ dataRoot: '/var/lib/my-program' })";

describe('docs/library.md', { skip: process.getuid?.() === 0 ? false : 'needs root', concurrency: 1 }, () => {
  const work = mkdtempSync(join(tmpdir(), 'gantry-guide-'));
  const daemon = new DaemonProcess({ directory: join(work, 'daemon') });
  let roots: PrivateRoots;

  before(async () => {
    roots = await privateRoots();
    await daemon.start();
  });
  after(async () => {
    await daemon.stop();
    assert.deepEqual(await leftBehind(daemon), []);
    rmSync(work, { recursive: true, force: true });
    await roots.discard();
  });

  test('every program has its output', () => {
    assert.equal(examples.length, guide.match(/^```ts$/gm)?.length);
    assert.ok(examples.length >= 8);
  });

  test('types', () => {
    const place = join(work, 'types');
    mkdirSync(place);
    for (const [index, { program }] of examples.entries()) writeFileSync(join(place, `example-${index}.ts`), program);
    const options = {
      paths: { gantry: [join(root, 'src/index.ts')], 'gantry/client': [join(root, 'src/client/index.ts')] },
      typeRoots: [join(root, 'node_modules/@types')],
      types: ['node'],
    };
    const settings = { extends: join(root, 'tsconfig.json'), compilerOptions: options, include: ['*.ts'] };
    writeFileSync(join(place, 'tsconfig.json'), JSON.stringify(settings));
    writeFileSync(join(place, 'package.json'), '{"type":"module"}');
    const { stdout } = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', place], { encoding: 'utf8' });
    assert.equal(stdout, '');
  });

  for (const [index, { title, program, prints }] of examples.entries())
    test(title, async () => {
      const path = join(work, `example-${index}.ts`);
      const { report: _, ...options } = roots.options;
      writeFileSync(
        path,
        program
          .replaceAll(OPEN, `Engine.open(${JSON.stringify(options)})`)
          .replace('unix:///run/gantry/gantry.sock', daemon.host)
          .replace(/'gantry'/, JSON.stringify(join(root, 'dist/index.js')))
          .replace(/'gantry\/client'/, JSON.stringify(join(root, 'dist/client.js'))),
      );
      const { stdout } = await promisify(execFile)(process.execPath, [path], { cwd: work });
      assert.equal(stdout, prints);
    });
});
