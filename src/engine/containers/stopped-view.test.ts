import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ContainerMount } from '../../state/containers.ts';
import { StoppedView } from './stopped-view.ts';

test(
  "a stopped container's volumes are seen where its processes would see them",
  {
    skip: process.getuid?.() === 0 ? false : 'needs root',
  },
  () => {
    const directory = mkdtempSync(join(tmpdir(), 'gantry-view-'));
    const at = (...parts: string[]): string => join(directory, ...parts);
    const mount = (source: string, destination: string, writable = true): ContainerMount => ({
      anonymous: false,
      point: { Type: 'bind', Source: at(source), Destination: destination, Mode: '', RW: writable, Propagation: '' },
    });
    try {
      for (const name of ['root/etc', 'volume', 'inner', 'outside']) mkdirSync(at(name), { recursive: true });
      writeFileSync(at('inner/file'), 'inner');
      writeFileSync(at('single'), 'single');
      symlinkSync(at('outside'), at('root/escape'));
      const mounts = [
        mount('inner', '/data/inner', false),
        mount('volume', '/data'),
        mount('single', '/etc/single'),
        mount('inner', '/escape/in'),
        mount('missing', '/nothing'),
      ];
      const view = new StoppedView(at('exec'), { id: 'c1', mounts }, at('root'));
      const second = new StoppedView(at('exec'), { id: 'c1', mounts: [] }, at('root'));
      try {
        writeFileSync(join(view.path, 'data/new'), 'x');
        assert.equal(readFileSync(at('volume/new'), 'utf8'), 'x');
        assert.equal(readFileSync(join(view.path, 'data/inner/file'), 'utf8'), 'inner');
        assert.throws(() => writeFileSync(join(view.path, 'data/inner/file'), ''), { code: 'EROFS' });
        assert.equal(readFileSync(join(view.path, 'etc/single'), 'utf8'), 'single');
        assert.equal(existsSync(at('outside/in')), false, 'a mount point behind a symlink is made inside');
      } finally {
        view.close();
        second.close();
      }
      assert.equal(existsSync(at('exec/mounts/c1')), false);
      assert.equal(existsSync(at('root/data/new')), false);
    } finally {
      rmSync(directory, { recursive: true });
    }
  },
);
