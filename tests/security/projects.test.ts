/** Compose projects beside each other: line 97 of docs/security.md. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runInProcess } from '../cli/in-process.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { leftBehind } from '../support/leak-check.ts';

const asRoot = { skip: process.getuid?.() === 0 ? false : 'needs root, for an engine of its own' };

test(
  'down takes what has the exact label of its project, and nothing of one that is called alike (97)',
  asRoot,
  async () => {
    const directory = mkdtempSync(join(tmpdir(), 'gantry-projects-'));
    const daemon = new DaemonProcess({ directory });
    const env = daemon.clientEnv;
    const docker = (...words: string[]): string => {
      const { status, stdout, stderr } = spawnSync('docker', words, { env, encoding: 'utf8' });
      assert.equal(status, 0, stderr);
      return stdout.trim();
    };
    let left: string[] = [];
    await daemon.start();
    try {
      await daemon.importBusybox();
      const project = join(directory, 'shop');
      mkdirSync(project);
      writeFileSync(
        join(project, 'compose.yaml'),
        'services: {web: {image: busybox, command: sleep 1000, init: true, network_mode: none, volumes: ["data:/v"]}}\nvolumes: {data: {}}\n',
      );
      const compose = async (...words: string[]): Promise<void> => {
        const { code, stderr } = await runInProcess(['compose', '--project-directory', project, ...words], { env });
        assert.equal(code, 0, stderr);
      };
      // alike by name, by case, by a part, by a label of an image or a person, and by nothing but a name
      const others: readonly (readonly [string, ...string[]])[] = [
        ['shop2-web-1', 'com.docker.compose.project=shop2'],
        ['sho-web-1', 'com.docker.compose.project=sho'],
        ['big-web-1', 'com.docker.compose.project=Shop'],
        ['blank-web-1', 'com.docker.compose.project=shop '],
        ['shop-other-1'],
      ];
      for (const [name, ...labels] of others) {
        const flags = labels.flatMap((label) => ['--label', label, '--label', 'com.docker.compose.service=web']);
        docker('create', '--name', name, '--network', 'none', ...flags, 'busybox', 'true');
      }
      docker('volume', 'create', '--label', 'com.docker.compose.project=shop2', 'shop2_data');
      docker('volume', 'create', 'shop_other');
      await compose('up', '-d');
      assert.equal(docker('ps', '-aq').split('\n').length, others.length + 1);
      await compose('down', '-v', '--remove-orphans', '-t', '0');
      assert.deepEqual(
        docker('ps', '-a', '--format', '{{.Names}}').split('\n').toSorted(),
        others.map(([name]) => name).toSorted(),
      );
      assert.deepEqual(docker('volume', 'ls', '-q').split('\n').toSorted(), ['shop2_data', 'shop_other']);
    } finally {
      spawnSync('sh', ['-c', 'docker rm -f $(docker ps -aq); docker volume prune -af'], { env });
      await daemon.stop();
      left = await leftBehind(daemon);
      rmSync(directory, { recursive: true, force: true });
    }
    assert.deepEqual(left, []);
  },
);
