/** Secrets of a compose project: external, from the environment, and from files with an owner. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { runInProcess } from '../cli/in-process.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { nothingLeft } from '../support/daemon-suite.ts';

const directory = fs.mkdtempSync(join(tmpdir(), 'gantry-compose-secrets-'));
const FILE = join(directory, 'compose.yaml');

describe('compose secrets', { skip: process.getuid?.() === 0 ? false : 'needs root, for an engine of its own' }, () => {
  const daemon = new DaemonProcess({ directory: join(directory, 'engine') });
  let value = 'value-of-the-environment-1';
  const gantry = async (...words: string[]): Promise<string> => {
    const env = { ...daemon.clientEnv, FROM_ENV: value };
    const { code, stdout, stderr } = await runInProcess(words, { env, stdin: 'value-from-outside' });
    return code === 0 ? stdout : `${code}: ${stderr}`;
  };
  const compose = (...words: string[]): Promise<string> => gantry('compose', '-f', FILE, ...words);

  before(async () => {
    fs.writeFileSync(join(directory, 'owned'), 'value-of-a-file');
    fs.writeFileSync(join(directory, 'bound'), 'bound-file');
    fs.writeFileSync(
      FILE,
      `name: shop
services:
  app:
    image: busybox
    network_mode: none
    stop_grace_period: 0s
    command: sleep 1000
    secrets:
      - outside
      - source: from_env
        target: deep/env
        uid: "5"
        gid: "6"
        mode: 0400
      - source: owned
        target: /etc/owned
        mode: 0440
      - bound
secrets:
  outside: { external: true, name: outside_name }
  from_env: { environment: FROM_ENV }
  owned: { file: ./owned }
  bound: { file: ./bound }
`,
    );
    await daemon.start();
  });
  after(async () => {
    await compose('down', '-t', '0');
    await daemon.stop();
    await nothingLeft(daemon, directory);
  });

  test('an external secret that is not there is told before anything is made', async () => {
    assert.match(await compose('up', '-d'), /external secret "outside_name" not found: make it with/);
    assert.equal(await gantry('ps', '-aq'), '');
  });

  test('each is a file with its owner and mode; a new value reaches the container that runs', async () => {
    await gantry('secret', 'create', 'outside_name', '-');
    assert.doesNotMatch(await compose('up', '-d'), /^\d+: /);
    const read = (): Promise<string> =>
      compose(
        'exec',
        '-T',
        'app',
        'sh',
        '-c',
        'cd /run/secrets; cat outside deep/env /etc/owned bound; stat -c " %u:%g:%a" deep/env /etc/owned',
      );
    const all = (env: string): string => `value-from-outside${env}value-of-a-filebound-file 5:6:400\n 0:0:440\n`;
    assert.equal(await read(), all('value-of-the-environment-1'));
    assert.equal(
      await compose('run', '--rm', '-T', 'app', 'cat', '/run/secrets/deep/env', '/run/secrets/outside'),
      'value-of-the-environment-1value-from-outside',
    );
    const before = await compose('ps', '-q');
    value = 'value-of-the-environment-2';
    // a change of the service itself makes it anew, a change of the value alone does not
    await compose('up', '-d');
    assert.equal(await compose('ps', '-q'), before);
    await compose('up', '-d', '--force-recreate');
    assert.equal(await read(), all('value-of-the-environment-2'));
    assert.equal(await gantry('secret', 'ls', '--format', '{{.Name}}'), 'outside_name\nshop_from_env\nshop_owned\n');
  });

  test('nothing of it is on disk in the clear; down removes what was made, and what is external stays', async () => {
    for (const text of ['value-of-the-environment', 'value-from-outside', 'value-of-a-file']) {
      const grep = spawnSync('grep', ['-rlaF', '--devices=skip', text, daemon.directory], { encoding: 'utf8' });
      assert.deepEqual([grep.status, grep.stdout], [1, ''], text);
    }
    await compose('down', '-t', '0');
    assert.equal(await gantry('secret', 'ls', '--format', '{{.Name}}'), 'outside_name\n');
    await gantry('secret', 'create', 'shop_from_env', '-');
    assert.match(await compose('up', '-d'), /secret shop_from_env exists and was not made for shop/);
    assert.equal(await gantry('ps', '-aq'), '');
    await gantry('secret', 'rm', 'shop_from_env');
  });
});
