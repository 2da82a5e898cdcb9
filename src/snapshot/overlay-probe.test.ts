import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { probeOverlay } from './overlay-probe.ts';

test('tells whether overlayfs works, and why not', { skip: process.getuid?.() === 0 ? false : 'needs root' }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-probe-'));
  try {
    const place = join(directory, 'probe');
    assert.equal(probeOverlay(place, ['index=off']), undefined);
    assert.match(probeOverlay(place, ['no_such_feature=on'])!, /cannot carry overlayfs/);
    assert.equal(existsSync(place), false);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
