/** What builds keep for later ones, and how it goes. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { after, before, describe, test } from 'node:test';
import { runInProcess } from '../cli/in-process.ts';
import { DaemonProcess } from '../support/daemon-process.ts';

const here = fs.mkdtempSync(join(tmpdir(), 'gantry-prune-'));

describe('gantry builder du and prune', () => {
  const daemon = new DaemonProcess({ directory: join(here, 'daemon') });
  const app = join(here, 'app');
  const gantry = (...words: string[]) => runInProcess(words, { env: daemon.clientEnv });
  const types = async (): Promise<string[]> => {
    const { stdout } = await gantry('builder', 'du', '--format', '{{.Type}}');
    return stdout
      .split('\n')
      .filter((line) => line !== '')
      .toSorted();
  };
  const build = async (): Promise<string> => {
    const { code, stdout, stderr } = await gantry('build', '-t', 'kept', app);
    assert.equal(code, 0, stderr);
    return stdout;
  };

  before(async () => {
    fs.mkdirSync(app);
    fs.writeFileSync(
      join(app, 'Dockerfile'),
      'FROM busybox\nCOPY f /f\nRUN --mount=type=cache,target=/c echo 1 >/c/1; echo x >/x\n',
    );
    fs.writeFileSync(join(app, 'f'), 'f'.repeat(5000));
    await daemon.start();
    await gantry('pull', 'busybox');
  });
  after(async () => {
    await daemon.stop();
    fs.rmSync(here, { recursive: true });
  });

  test('everything that is kept is shown, and what images share stays without --all', async () => {
    await build();
    assert.deepEqual(await types(), ['exec.cachemount', 'regular', 'regular', 'source.local']);
    const { stdout } = await gantry('builder', 'prune', '-f');
    // The image has the copied file still, as another name of the same one.
    assert.match(stdout, /Total reclaimed space: \d+B$/m);
    assert.deepEqual(await types(), ['exec.cachemount', 'regular', 'regular']);
    assert.match(await build(), /COPY f \/f\n ---> Using cache/);
  });

  test('filters choose, limits bound, and --all takes the rest', async () => {
    const prune = async (...words: string[]): Promise<string[]> => {
      const { code, stderr } = await gantry('builder', 'prune', '-f', '--all', ...words);
      assert.equal(code, 0, stderr);
      return types();
    };
    assert.equal((await prune('--filter', 'unused-for=1h')).length, 4);
    assert.equal((await prune('--max-used-space', '1gb')).length, 4);
    assert.deepEqual(await prune('--filter', 'type=source.local'), ['exec.cachemount', 'regular', 'regular']);
    assert.deepEqual(await prune('--filter', 'description=cached mount /c'), ['regular', 'regular']);
    assert.deepEqual(await prune('--filter', 'description=COPY'), ['regular']);
    const refused = await gantry('builder', 'prune', '-f', '--filter', 'colour=red');
    assert.match(refused.stderr, /invalid filter 'colour'/);
    await delay(5);
    assert.deepEqual(await prune(), []);
    // The image has its layers still.
    assert.equal((await gantry('run', '--rm', '--network', 'none', 'kept', 'cat', '/x')).stdout, 'x\n');
    assert.doesNotMatch(await build(), /Using cache/);
    assert.deepEqual(await prune('--reserved-space', '1'), []);
  });
});
