import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shownCommand } from './peer-process.ts';

test('command lines as they were typed', () => {
  assert.equal(shownCommand(['/usr/bin/docker', 'run', 'a b', '']), 'docker run a b');
  assert.equal(
    shownCommand(['/opt/node', '--', '/opt/gantry/dist/cli/main.js', 'rm', '-f', 'x', '']),
    'gantry rm -f x',
  );
  assert.equal(shownCommand(['node', '/lib/node_modules/gantry/bin/gantry.mjs', 'ps']), 'gantry ps');
  assert.equal(shownCommand(['node', '--', '/opt/gantry/dist/cli/main.cjs', 'run', '--', 'x']), 'gantry run -- x');
  const snapshot = ['node', '--no-sparkplug', '--snapshot-blob', '/opt/gantry/dist/cli/command.blob'];
  assert.equal(shownCommand([...snapshot, '--', 'run', '-d', 'x', '']), 'gantry run -d x');
  const compose = ['node', '--min-semi-space-size=4', '--snapshot-blob', '/opt/gantry/dist/cli/compose.blob'];
  assert.equal(shownCommand([...compose, '--', 'compose', 'up', '']), 'gantry compose up');
  assert.equal(shownCommand(['node', 'app.js', '/src/cli/main.ts']), 'node app.js /src/cli/main.ts');
  assert.equal(shownCommand(['']), undefined);
  assert.equal(shownCommand(['sh', 'x'.repeat(300)])?.length, 201);
});
