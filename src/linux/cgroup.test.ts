import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { CgroupHierarchy } from './cgroup.ts';

/** A host's hierarchies as directories, of which each has the file that tells one. */
async function withHierarchies(hierarchies: readonly string[], work: (root: string) => Promise<void>): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), 'cgroup-'));
  try {
    for (const name of hierarchies) {
      mkdirSync(join(root, name), { recursive: true });
      writeFileSync(join(root, name, name === '' ? 'cgroup.controllers' : 'cgroup.procs'), '');
    }
    await work(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

test('an empty parent goes from every hierarchy, one that has somebody stays', async () => {
  for (const [version, hierarchies] of [
    ['v1', ['memory', 'cpu,cpuacct', 'systemd']],
    ['hybrid', ['memory', 'unified']],
    ['v2', ['']],
  ] as const) {
    await withHierarchies(hierarchies, async (root) => {
      for (const name of hierarchies) mkdirSync(join(root, name, 'own'));
      mkdirSync(join(root, hierarchies[0], 'own/child'));
      const cgroups = new CgroupHierarchy(root);
      assert.equal(cgroups.version, version);
      cgroups.removeEmpty('/own');
      assert.deepEqual(
        hierarchies.filter((name) => existsSync(join(root, name, 'own'))),
        [hierarchies[0]],
      );
      assert.deepEqual(readdirSync(join(root, hierarchies[0], 'own')), ['child']);
      assert.equal(await cgroups.remove('/own'), true);
      cgroups.removeEmpty('/own');
      assert.throws(() => cgroups.removeEmpty('/'), /root cgroup/);
    });
  }
});
