import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, it } from 'node:test';
import { applyLayer } from './apply-layer.ts';
import { diffLayer } from './diff-layer.ts';

const root = mkdtempSync(join(tmpdir(), 'gantry-piped-jobs-'));
before(() => {
  mkdirSync(join(root, 'from'));
  writeFileSync(join(root, 'from/file'), randomBytes(3 << 20));
});
after(() => rmSync(root, { recursive: true }));

it('jobs that are the input of one another end, though there are more of them than cores', async () => {
  const pairs = Array.from({ length: 6 }, async (_, n) => {
    const to = join(root, `to-${n}`);
    mkdirSync(to);
    return applyLayer(diffLayer(join(root, 'from')), to, { whiteouts: 'overlay' });
  });
  const ids = new Set((await Promise.all(pairs)).map(({ diffId }) => diffId));
  assert.equal(ids.size, 1);
  for (let n = 0; n < 6; n++)
    assert.ok(readFileSync(join(root, `to-${n}/file`)).equals(readFileSync(join(root, 'from/file'))));
});
