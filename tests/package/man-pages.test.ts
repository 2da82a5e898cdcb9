import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COMMANDS } from '../../src/cli/registry.ts';
import { manPages } from '../../tools/man-pages.ts';

test('a manual page for each way to call each command', async () => {
  const pages = await manPages();
  const paths = COMMANDS.filter(({ hidden }) => !hidden).flatMap((entry) => entry.paths);
  for (const path of ['', ...paths]) {
    const name = `gantry${path === '' ? '' : `-${path.replaceAll(' ', '-')}`}.1`;
    assert.match(pages.get(name) ?? '', /^\.(TH|so) /, name);
  }
  assert.match(pages.get('gantry-container-run.1')!, /^ +\\-d, \\-\\-detach /m);
  assert.equal(pages.get('gantry-run.1'), '.so man1/gantry-container-run.1\n');
  for (const [name, text] of pages) {
    const body = text.slice(text.indexOf('.nf\n') + 4, text.indexOf('\n.fi'));
    if (text.startsWith('.TH'))
      assert.doesNotMatch(body, /^['.]/m, `${name}: a line that roff would take for a request`);
  }
});
