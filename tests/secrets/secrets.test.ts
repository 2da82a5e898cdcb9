/** Secrets without a swarm, with the real command line, daemon and files, and the docker CLI as the other client. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { DaemonProcess } from '../support/daemon-process.ts';
import { nothingLeft } from '../support/daemon-suite.ts';
import { type Ended, runInProcess } from '../cli/in-process.ts';

const directory = fs.mkdtempSync(join(tmpdir(), 'gantry-secrets-'));
const VALUE = 'correct-horse-battery-staple-1';
const NEXT = 'correct-horse-battery-staple-2';

describe('secrets', { skip: process.getuid?.() === 0 ? false : 'needs root, for an engine of its own' }, () => {
  const daemon = new DaemonProcess({ directory });
  const gantry = (...words: string[]): Promise<Ended> => runInProcess(words, { env: daemon.clientEnv });
  const withInput = (stdin: string, ...words: string[]): Promise<Ended> =>
    runInProcess(words, { env: daemon.clientEnv, stdin });
  const docker = (input: string, ...words: string[]): { code: number | null; stdout: string; stderr: string } => {
    const { status, stdout, stderr } = spawnSync('docker', words, { env: daemon.clientEnv, input, encoding: 'utf8' });
    return { code: status, stdout, stderr };
  };
  const ok = async (result: Promise<Ended>): Promise<string> => {
    const { code, stdout, stderr } = await result;
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const run = (script: string, ...flags: string[]): Promise<Ended> =>
    gantry('run', '--rm', '--network', 'none', ...flags, 'busybox', 'sh', '-c', script);

  before(() => daemon.start());
  after(async () => {
    const { stdout: containers } = await gantry('ps', '-aq');
    if (containers !== '') await gantry('rm', '-f', ...containers.trim().split('\n'));
    await daemon.stop();
    await nothingLeft(daemon);
  });

  test('docker secret: create, ls, inspect, rm and what it says', async () => {
    const made = docker(VALUE, 'secret', 'create', '-l', 'a=b', 'first', '-');
    assert.match(made.stdout, /^[a-z][a-z0-9]{24}\n$/, made.stderr);
    assert.match(
      docker(VALUE, 'secret', 'create', 'first', '-').stderr,
      /rpc error: code = AlreadyExists desc = secret first already exists/,
    );
    assert.match(docker(VALUE, 'secret', 'create', 'bad name', '-').stderr, /invalid name, only 64/);
    assert.match(
      docker('x'.repeat(600_000), 'secret', 'create', 'big', '-').stderr,
      /larger than 0 and less than 512000/,
    );
    const [row] = docker('', 'secret', 'ls', '-f', 'name=fi', '--format', 'json').stdout.trim().split('\n');
    assert.equal(JSON.parse(row!).Name, 'first');
    const [inspected] = JSON.parse(docker('', 'secret', 'inspect', 'first').stdout);
    assert.deepEqual(inspected.Spec, { Name: 'first', Labels: { a: 'b' } });
    assert.deepEqual(inspected.Version, { Index: 1 });
    assert.match(docker('', 'secret', 'inspect', 'nosuch').stderr, /secret nosuch not found/);
    assert.equal(docker('', 'secret', 'rm', 'first').code, 0);
    assert.match(docker('', 'secret', 'rm', 'first').stderr, /secret first not found/);
  });

  test('a file in memory, with owner and mode, at any place', async () => {
    const file = join(directory, 'value');
    fs.writeFileSync(file, VALUE);
    assert.match(await ok(gantry('secret', 'create', 'db_password', file)), /^[a-z0-9]{25}\n$/);
    fs.rmSync(file);
    await ok(withInput('other-value-of-some-length', 'secret', 'create', 'other', '-'));
    const script =
      'cat /run/secrets/db_password; stat -c " %u:%g:%a" /run/secrets/db_password /run/secrets/deep/x /etc/other; ' +
      'grep -E " (/run/secrets|/etc/other) " /proc/mounts | cut -d " " -f 2,3,4 | cut -c 1-30; touch /run/secrets/new';
    const { stdout, stderr, code } = await run(
      script,
      '--read-only',
      '--secret=db_password',
      '--secret=other,target=deep/x,uid=5,gid=6,mode=0400',
      '--secret=source=other,target=/etc/other,mode=440',
    );
    assert.equal(code, 1, stderr);
    const lines = stdout.split('\n');
    assert.deepEqual(lines.slice(0, 3), [`${VALUE} 0:0:444`, ' 5:6:400', ' 0:0:440']);
    assert.match(lines.slice(3).sort().join('\n'), /\/etc\/other tmpfs ro.*\n\/run\/secrets tmpfs ro/s);
    assert.match(stderr, /Read-only file system/);
  });

  test('an exec of its own has it, and no file of the container', async () => {
    await ok(gantry('run', '-d', '--name', 'plain', '--network', 'none', 'busybox', 'sleep', '1000'));
    const seen = await ok(
      gantry(
        'exec',
        '--secret',
        'db_password',
        '-u',
        '7:7',
        'plain',
        'sh',
        '-c',
        'echo $DB_PASSWORD_FILE; cat $DB_PASSWORD_FILE; echo; cat $DB_PASSWORD_FILE',
      ),
    );
    assert.equal(seen, `/proc/self/fd/3\n${VALUE}\n${VALUE}`);
    const own = ['--secret', 'db_password,env=PW,mode=0400,uid=7', '--secret', 'other'];
    assert.equal(
      await ok(
        gantry(
          'exec',
          ...own,
          '-u',
          '7',
          'plain',
          'sh',
          '-c',
          'cat $PW; echo x > $PW; ls /run/secrets; cat $OTHER_FILE',
        ),
      ),
      `${VALUE}other-value-of-some-length`,
    );
    assert.match((await gantry('exec', ...own, '-u', '8', 'plain', 'sh', '-c', 'cat $PW')).stderr, /Permission denied/);
    const refused: readonly (readonly [string, RegExp])[] = [
      ['db_password,target=/x', /a file \/x would be seen by every process/],
      ['nosuch', /secret nosuch not found: make it with/],
      ['db_password,env=a-b', /invalid variable for secret db_password/],
    ];
    for (const [secret, words] of refused) {
      assert.match((await gantry('exec', '--secret', secret, 'plain', 'true')).stderr, words);
    }
    const { stdout } = await gantry('exec', 'plain', 'sh', '-c', 'env; ls /proc/self/fd');
    assert.doesNotMatch(stdout, /PASSWORD|correct-horse/);
    await ok(gantry('rm', '-f', 'plain'));
  });

  test('what is refused', async () => {
    const refused: readonly (readonly [readonly string[], RegExp])[] = [
      [['--secret', 'nosuch'], /secret nosuch not found: make it with `gantry secret create`/],
      [
        ['--secret', 'db_password', '--secret', 'other,target=db_password'],
        /Duplicate mount point: \/run\/secrets\/db_password/,
      ],
      [['--secret', 'db_password', '--tmpfs', '/run/secrets'], /Duplicate mount point: \/run\/secrets/],
      [['--secret', 'db_password,target=/'], /invalid target of secret db_password/],
      [['--secret', 'db_password,uid=root'], /uid must be a number/],
      [['--secret', 'db_password,type=env'], /type=env is not supported/],
      [['--secret', 'db_password,what=1'], /unexpected key 'what'/],
    ];
    for (const [flags, words] of refused) {
      const { code, stderr } = await run('true', ...flags);
      assert.equal(code, 125, stderr);
      assert.match(stderr, words);
    }
    await ok(gantry('create', '--name', 'user', '--secret', 'other', 'busybox', 'true'));
    assert.match((await gantry('secret', 'rm', 'other')).stderr, /secret "other" is in use by container user/);
    await ok(gantry('rm', 'user'));
    assert.match((await withInput('', 'secret', 'create', 'empty', '-')).stderr, /data is empty/);
  });

  test('rotation reaches running containers when asked, others at their next start', async () => {
    const flags = ['--secret', 'db_password', '--secret', 'db_password,target=/etc/pw', '--network', 'none'];
    const loop = 'trap "cat /run/secrets/db_password" HUP; while :; do sleep 0.1; done';
    await ok(gantry('run', '-d', '--name', 'rotated', ...flags, 'busybox', 'sh', '-c', loop));
    const values = (): Promise<string> => ok(gantry('exec', 'rotated', 'cat', '/run/secrets/db_password', '/etc/pw'));
    assert.match((await withInput(NEXT, 'secret', 'rotate', 'db_password', '-')).stderr, /running with the old value/);
    assert.equal(await values(), VALUE + VALUE);
    await ok(gantry('restart', '-t', '0', 'rotated'));
    assert.equal(await values(), NEXT + NEXT);
    const { stderr } = await withInput(
      `${VALUE}!`,
      'secret',
      'rotate',
      '--reload',
      '--signal',
      'HUP',
      'db_password',
      '-',
    );
    assert.match(stderr, /replaced in container [0-9a-f]{12}/);
    assert.equal(await values(), `${VALUE}!${VALUE}!`);
    for (let tries = 0; !(await ok(gantry('logs', 'rotated'))).includes(`${VALUE}!`); tries++) {
      assert.ok(tries < 300, 'the signal did not arrive');
      await sleep(100);
    }
    await ok(withInput(VALUE, 'secret', 'rotate', '--reload', 'db_password', '-'));
    assert.equal(await values(), VALUE + VALUE);
    await ok(gantry('rm', '-f', 'rotated'));
  });

  test('an engine killed and started again has them, running containers too, and a new key', async () => {
    await ok(
      gantry(
        'run',
        '-d',
        '--name',
        'kept',
        '--restart',
        'always',
        '--secret',
        'db_password',
        '--network',
        'none',
        'busybox',
        'sleep',
        '1000',
      ),
    );
    const key = join(directory, 'data', 'secrets.key');
    assert.equal(fs.statSync(key).mode & 0o777, 0o600);
    await daemon.kill();
    await daemon.start();
    const read = (): Promise<string> => ok(gantry('exec', 'kept', 'cat', '/run/secrets/db_password'));
    assert.equal(await read(), VALUE);
    await ok(withInput(NEXT, 'secret', 'rotate', '--reload', 'db_password', '-'));
    assert.equal(await read(), NEXT);
    await ok(gantry('restart', '-t', '0', 'kept'));
    assert.equal(await read(), NEXT);

    const before = fs.readFileSync(key, 'utf8');
    assert.match(await ok(gantry('secret', 'rotate-key')), /^2 secrets sealed with a new key\n$/);
    assert.notEqual(fs.readFileSync(key, 'utf8'), before);
    // cut off between the new key and the sealing: both keys are in the file, the secrets still have the older one
    const cutOff = JSON.parse(fs.readFileSync(key, 'utf8'));
    cutOff.keys.unshift({ id: '00000000', key: Buffer.alloc(32, 7).toString('base64') });
    await daemon.kill();
    fs.writeFileSync(key, JSON.stringify(cutOff));
    await daemon.start();
    assert.equal(await read(), NEXT);
    assert.deepEqual(
      JSON.parse(fs.readFileSync(key, 'utf8')).keys.map((one: { id: string }) => one.id),
      ['00000000'],
    );
    await ok(gantry('restart', '-t', '0', 'kept'));
    assert.equal(await read(), NEXT);

    fs.renameSync(key, `${key}.away`);
    const { stderr } = await run('true', '--secret', 'other');
    assert.match(stderr, /secret other: the key file of the secrets .* is not there: put it back/);
    assert.match((await withInput('v', 'secret', 'create', 'third', '-')).stderr, /is not there, and secrets exist/);
    fs.renameSync(`${key}.away`, key);
    fs.chmodSync(key, 0o644);
    assert.match((await run('true', '--secret', 'other')).stderr, /others may read the key file/);
    fs.chmodSync(key, 0o600);
    await ok(run('true', '--secret', 'other'));
    await ok(gantry('rm', '-f', 'kept'));
  });

  test('a value in a log or an image is found and told, in the clear and in base64', async () => {
    await ok(
      gantry(
        'run',
        '--name',
        'leaky',
        '--secret',
        'db_password',
        '--network',
        'none',
        'busybox',
        'sh',
        '-c',
        'base64 /run/secrets/db_password; cp /run/secrets/db_password /stolen',
      ),
    );
    const leaks = async (): Promise<string[]> => {
      const [secret] = JSON.parse(await ok(gantry('secret', 'inspect', 'db_password')));
      return (secret.Leaks ?? []).map((leak: { Where: string }) => leak.Where);
    };
    for (let tries = 0; (await leaks()).length === 0; tries++) {
      assert.ok(tries < 300, 'the leak was not told');
      await sleep(100);
    }
    assert.deepEqual(await leaks(), ['log of container leaky']);
    const scanned = await gantry('secret', 'scan', 'leaky');
    assert.deepEqual([scanned.code, scanned.stdout], [1, 'db_password: in the log of container leaky\n']);
    const image = (await ok(gantry('commit', 'leaky', 'leaked'))).trim();
    for (let tries = 0; (await leaks()).length < 2; tries++) {
      assert.ok(tries < 300, 'the leak in the image was not told');
      await sleep(100);
    }
    assert.deepEqual(await leaks(), ['log of container leaky', `image ${image}: /stolen`]);
    assert.match(
      (await gantry('secret', 'scan', '--image', 'leaked')).stdout,
      /db_password: in the image .*: \/stolen/,
    );
    assert.equal((await gantry('secret', 'scan', 'busybox')).code, 0);
    assert.match(
      (await gantry('secret', 'ls')).stderr,
      /WARNING: the value of db_password was seen in the log of container leaky/,
    );
    assert.match(daemon.log, /secret db_password: its value was found in the log of container leaky/);
    await ok(gantry('rm', '-f', 'leaky'));
    await ok(gantry('rmi', 'leaked'));
    await ok(withInput(VALUE, 'secret', 'rotate', 'db_password', '-'));
    assert.deepEqual(await leaks(), []);
  });

  test('a build has them in its steps, and is told when one is left in the image', async () => {
    const context = join(directory, 'context');
    fs.mkdirSync(context);
    const build = (script: string, secret = 'id=token,source=engine,name=other'): Promise<Ended> => {
      const line = `FROM busybox\nRUN --mount=type=secret,id=token ${script}\n`;
      fs.writeFileSync(join(context, 'Dockerfile'), line);
      return gantry('build', '-q', '--network', 'none', '--secret', secret, context);
    };
    await ok(build('wc -c < /run/secrets/token > /size; stat -f /run/secrets/token > /dev/null'));
    assert.match(
      (await build('true', 'id=token,source=engine,name=nosuch')).stderr,
      /secret nosuch not found: make it with/,
    );
    assert.match((await build('true', 'id=token,name=x')).stderr, /a name goes with source=engine/);
    const image = (await ok(build('cp /run/secrets/token /left'))).trim();
    for (let tries = 0; ; tries++) {
      const [{ Leaks = [] }] = JSON.parse(await ok(gantry('secret', 'inspect', 'other')));
      if (Leaks.some(({ Where }: { Where: string }) => Where === `image ${image}: /left`)) break;
      assert.ok(tries < 300, JSON.stringify(Leaks));
      await sleep(100);
    }
    await ok(gantry('rmi', '-f', image));
    await ok(gantry('builder', 'prune', '-af'));
  });

  test('never in the clear on disk, in inspect, logs, commit, export or events', async () => {
    await ok(
      gantry(
        'run',
        '-d',
        '--name',
        'quiet',
        '--secret',
        'db_password',
        '--network',
        'none',
        'busybox',
        'sleep',
        '1000',
      ),
    );
    await ok(gantry('exec', '--secret', 'db_password', 'quiet', 'true'));
    const events = await ok(gantry('events', '--since', '1h', '--until', '0s', '--format', 'json'));
    const inspected = await ok(gantry('inspect', 'quiet'));
    assert.match(inspected, /"SecretName": "db_password"/);
    const archive = join(directory, 'export.tar');
    await ok(gantry('export', '-o', archive, 'quiet'));
    await ok(gantry('commit', 'quiet', 'quiet-image'));
    await ok(gantry('save', '-o', join(directory, 'save.tar'), 'quiet-image'));
    const encoded = Buffer.from(VALUE).toString('base64').slice(0, 36);
    for (const text of [events, inspected, await ok(gantry('secret', 'inspect', 'db_password'))]) {
      assert.ok(!text.includes(VALUE) && !text.includes(encoded));
    }
    // everything of the engine: state, images, logs, bundles, archives; its tmpfs is in its own mount namespace
    for (const text of [VALUE, encoded]) {
      const grep = spawnSync('grep', ['-rlaF', '--devices=skip', text, directory], { encoding: 'utf8' });
      assert.deepEqual([grep.status, grep.stdout], [1, '']);
    }
    await ok(gantry('rm', '-f', 'quiet'));
    await ok(gantry('rmi', 'quiet-image'));
    await ok(gantry('secret', 'rm', 'db_password', 'other'));
    assert.equal(await ok(gantry('secret', 'ls', '-q')), '');
  });
});
