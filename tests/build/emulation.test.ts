/** Steps for another machine: by an emulator that the kernel starts, or a clear word where it has none. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Ended, runInProcess } from '../cli/in-process.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { nothingLeft } from '../support/daemon-suite.ts';
import { FOREIGN_ROOT, hasEmulator, RegisteredEmulator, SEEING } from '../support/emulator.ts';

const skip =
  process.arch !== 'x64'
    ? 'for a machine of amd64'
    : hasEmulator
      ? false
      : 'no emulator of arm64 (tools/setup-tests.sh says why)';

describe('RUN for another machine', { skip }, () => {
  const here = fs.mkdtempSync(join(tmpdir(), 'gantry-emulation-'));
  const daemon = new DaemonProcess({ directory: join(here, 'daemon'), within: SEEING });
  const cli = (...words: string[]): Promise<Ended> => runInProcess(words, { env: daemon.clientEnv });
  const folder = (name: string, files: Readonly<Record<string, string>>): string => {
    const directory = join(here, name);
    fs.mkdirSync(directory);
    for (const [file, text] of Object.entries(files)) fs.writeFileSync(join(directory, file), text);
    return directory;
  };

  before(async () => {
    await daemon.start();
    assert.equal((await cli('pull', 'busybox')).code, 0);
    // A base of one name for both machines, as registries have them.
    const base = folder('base', {
      'amd64.tar': '',
      'arm64.tar': '',
      Dockerfile: `FROM scratch
ARG TARGETARCH
ADD $TARGETARCH.tar /
ENV PATH=/bin
`,
    });
    const arm = join(here, 'arm64-root/bin');
    fs.mkdirSync(arm, { recursive: true });
    fs.copyFileSync(join(FOREIGN_ROOT, 'bin/busybox'), join(arm, 'busybox'));
    for (const name of ['sh', 'uname', 'cat', 'echo']) fs.symlinkSync('busybox', join(arm, name));
    assert.equal(spawnSync('tar', ['-C', join(arm, '..'), '-cf', join(base, 'arm64.tar'), 'bin']).status, 0);
    fs.rmSync(join(arm, 'busybox'));
    fs.copyFileSync('/bin/busybox', join(arm, 'busybox'));
    assert.equal(spawnSync('tar', ['-C', join(arm, '..'), '-cf', join(base, 'amd64.tar'), 'bin']).status, 0);
    const { code, stderr } = await cli('build', '-t', 'both', '--platform', 'linux/amd64,linux/arm64', base);
    assert.equal(code, 0, stderr);
  });
  after(async () => {
    await daemon.stop();
    await nothingLeft(daemon, here);
  });

  const RUNS = {
    Dockerfile: `FROM both
ARG TARGETARCH
RUN uname -m >/machine && echo "for $TARGETARCH" >>/machine
CMD ["cat", "/machine"]
`,
  };

  test('without an emulator: which one, and what to do', async () => {
    const { code, stderr } = await cli('build', '--platform', 'linux/arm64', folder('none', RUNS));
    assert.equal(code, 1);
    assert.match(stderr, /RUN for linux\/arm64 is not possible on this linux\/amd64 machine: no emulator for arm64/);
    assert.match(stderr, /Install qemu-user-static/);
  });

  test('one that the kernel does not hold itself is not found in images', async () => {
    await using _ = await RegisteredEmulator.register('');
    const { code, stderr } = await cli('build', '--platform', 'linux/arm64', folder('loose', RUNS));
    assert.equal(code, 1);
    assert.match(stderr, /registered without the flag F/);
  });

  test('an index of two machines, each with what its own commands made', async () => {
    await using _ = await RegisteredEmulator.register();
    const context = folder('runs', RUNS);
    const built = await cli('build', '-t', 'made', '--platform', 'linux/arm64,linux/amd64', context);
    assert.equal(built.code, 0, built.stderr);
    const archive = join(here, 'made.tar');
    assert.equal((await cli('save', '-o', archive, 'made')).code, 0);
    const index = JSON.parse(spawnSync('tar', ['-xOf', archive, 'index.json'], { encoding: 'utf8' }).stdout) as {
      manifests: { digest: string }[];
    };
    const blob = (digest: string): { manifests: { platform: { architecture: string } }[] } =>
      JSON.parse(spawnSync('tar', ['-xOf', archive, `blobs/${digest.replace(':', '/')}`], { encoding: 'utf8' }).stdout);
    const platforms = blob(index.manifests[0]!.digest).manifests.map(({ platform }) => platform.architecture);
    assert.deepEqual(platforms.toSorted(), ['amd64', 'arm64']);

    for (const [platform, machine] of [
      ['linux/arm64', 'aarch64'],
      ['linux/amd64', 'x86_64'],
    ] as const) {
      const one = join(here, `out-${machine}`);
      const { code, stderr } = await cli('build', '--platform', platform, '-o', one, context);
      assert.equal(code, 0, stderr);
      assert.equal(fs.readFileSync(join(one, 'machine'), 'utf8'), `${machine}\nfor ${platform.slice(6)}\n`);
    }
    // The same file runs as a container of its machine.
    const ran = await cli('run', '--rm', '--network', 'none', '--platform', 'linux/arm64', 'made');
    assert.equal(ran.stdout, 'aarch64\nfor arm64\n', ran.stderr);
    // What fails over there fails here.
    const failing = folder('fails', { Dockerfile: 'FROM both\nRUN [ "$(uname -m)" = x86_64 ] || exit 7\n' });
    assert.equal((await cli('build', '--platform', 'linux/arm64', failing)).code, 7);
  });

  test('nothing is registered any more', async () => {
    const { stdout } = spawnSync(SEEING[0]!, [...SEEING.slice(1), 'ls', '/proc/sys/fs/binfmt_misc'], {
      encoding: 'utf8',
    });
    assert.doesNotMatch(stdout, new RegExp(`gantry-test-arm64-${process.pid}\\b`));
  });
});
