/** The commands on volumes that docker has not, with the real command line, daemon and files. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { DaemonProcess } from '../support/daemon-process.ts';
import { runsDaemon } from '../support/daemon-suite.ts';
import { type Ended, runInProcess } from './in-process.ts';

const directory = fs.mkdtempSync(join(tmpdir(), 'gantry-volumes-'));

describe('gantry volume', { skip: process.getuid?.() === 0 ? false : 'needs root, for an engine of its own' }, () => {
  const daemon = new DaemonProcess({ directory });
  const gantry = (...words: string[]): Promise<Ended> => runInProcess(words, { env: daemon.clientEnv });
  const run = (script: string, ...flags: string[]): Promise<Ended> =>
    gantry('run', '--rm', '--network', 'none', ...flags, 'busybox', 'sh', '-c', script);

  runsDaemon(daemon);

  test('rename, clone, snapshot, export, import', async () => {
    assert.equal((await run('echo one > /v/f; chown 5:6 /v/f /v; chmod 700 /v', '-v', 'first:/v')).code, 0);
    assert.deepEqual(await gantry('volume', 'rename', 'first', 'data'), { code: 0, stdout: '', stderr: '' });
    assert.equal((await gantry('volume', 'clone', '--label', 'a=1', 'data', 'copy')).stdout, 'copy\n');
    assert.match((await gantry('volume', 'snapshot', 'data')).stdout, /^data-\d{8}-\d{6}\n$/);
    assert.equal((await gantry('volume', 'snapshot', 'data', 'before')).stdout, 'before\n');
    const { stdout: labels } = await gantry('volume', 'inspect', '-f', '{{json .Labels}}', 'copy');
    assert.deepEqual(JSON.parse(labels), { a: '1', 'gantry.volume.source': 'data' });

    const file = join(directory, 'data.tar');
    assert.equal((await gantry('volume', 'export', '-o', file, 'data')).code, 0);
    assert.equal((await gantry('volume', 'import', 'restored', file)).stdout, 'restored\n');
    const archive = fs.readFileSync(file);
    const streamed = await runInProcess(['volume', 'import', 'piped'], { env: daemon.clientEnv, stdin: archive });
    assert.equal(streamed.stdout, 'piped\n', streamed.stderr);
    for (const name of ['copy', 'before', 'restored', 'piped']) {
      const { stdout } = await run('cat /v/f; stat -c %u:%g:%a /v /v/f', '-v', `${name}:/v:ro`);
      assert.equal(stdout, 'one\n5:6:700\n5:6:644\n', name);
    }
  });

  test('what is refused, and how it is said', async () => {
    await gantry('create', '--name', 'user', '-v', 'used:/v', 'busybox');
    const refused: readonly (readonly [readonly string[], RegExp])[] = [
      [['rename', 'used', 'other'], /rename used: volume is in use - \[[0-9a-f]{64}\]/],
      [['rename', 'nosuch', 'other'], /get nosuch: no such volume/],
      [['clone', 'data', 'copy'], /a volume named copy exists/],
      [['clone', 'data', '../x'], /includes invalid characters for a local volume name/],
      [['export', 'nosuch'], /get nosuch: no such volume/],
      [['import', 'copy', join(directory, 'data.tar')], /the volume copy has files: import into a new one/],
      [['import', 'fresh', join(directory, 'nosuch.tar')], /no such file or directory/],
    ];
    for (const [words, message] of refused) {
      const { code, stderr } = await gantry('volume', ...words);
      assert.equal(code, 1, words.join(' '));
      assert.match(stderr, message);
    }
    assert.equal((await gantry('volume', 'inspect', 'fresh')).code, 1, 'nothing half-made');
    await gantry('start', 'user');
    assert.equal((await gantry('rm', '-f', 'user')).code, 0);
  });
});
