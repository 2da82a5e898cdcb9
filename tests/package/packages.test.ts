/** What `npm run package` makes, used as those who get it would: the npm package, the Debian package, the single file. */
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { VERSION } from '../../src/base/version.ts';
import { privateRoots } from '../support/private-engine.ts';

const root = join(import.meta.dirname, '..', '..');
const directory = mkdtempSync(join(tmpdir(), 'gantry-packages-'));
const out = join(directory, 'out');
/** Without Node and without this checkout, where what is tried brings its own. */
const bare = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: directory, GANTRY_NO_AUTOSTART: '1' };
const version = new RegExp(`^Gantry version ${VERSION.replaceAll('.', '\\.')}`);

describe('packages', { skip: process.getuid?.() === 0 ? false : 'needs root, for an engine of its own' }, () => {
  const file = (end: string): string =>
    join(
      out,
      readdirSync(out).find((name) => name.endsWith(end))!,
    );

  before(() => execFileSync(process.execPath, ['tools/package.ts', out], { cwd: root, stdio: 'pipe' }), {
    timeout: 300_000,
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  test('npm install -g: the command, without scripts and without a build', async () => {
    const prefix = join(directory, 'prefix');
    const npm = realpathSync(execFileSync('sh', ['-c', 'command -v npm'], { encoding: 'utf8' }).trim());
    const words = ['install', '-g', '--prefix', prefix, '--ignore-scripts', '--no-audit', '--no-fund', file('.tgz')];
    execFileSync(process.execPath, [npm, ...words], { cwd: directory, stdio: 'pipe' });
    const env = { ...bare, PATH: `${dirname(process.execPath)}:${bare.PATH}` };
    const gantry = join(prefix, 'bin/gantry');
    assert.match(execFileSync(gantry, ['--version'], { env, encoding: 'utf8' }), version);
    assert.match(execFileSync(gantry, ['labs'], { env, encoding: 'utf8' }), /mental model/i);
    const installed = join(prefix, 'lib/node_modules/gantry');
    for (const name of ['src', 'tests', 'tools', 'bench', '.ci']) assert.ok(!existsSync(join(installed, name)), name);
  });

  test('.deb: what it needs can be had, what it brings is in its place, an engine runs from it', async () => {
    const deb = file('.deb');
    const fields = execFileSync('dpkg-deb', ['--field', deb], { encoding: 'utf8' });
    assert.match(fields, new RegExp(`^Version: ${VERSION}$`, 'm'));
    const depends = /^Depends: (.*)$/m.exec(fields)![1]!;
    for (const alternatives of depends.split(', ')) {
      const names = alternatives.split(' | ');
      const known = names.some(
        (name) => execFileSync('apt-cache', ['policy', name], { encoding: 'utf8' }).trim() !== '',
      );
      assert.ok(known, `no package ${alternatives}`);
    }
    const tree = join(directory, 'deb');
    execFileSync('dpkg-deb', ['-x', deb, tree]);
    for (const name of [
      'lib/systemd/system/gantry.service',
      'lib/systemd/system/gantry.socket',
      'share/bash-completion/completions/gantry',
      'share/zsh/vendor-completions/_gantry',
      'share/fish/vendor_completions.d/gantry.fish',
      'share/man/man1/gantry-run.1.gz',
    ])
      assert.ok(existsSync(join(tree, 'usr', name)), name);
    await runsFrom(join(tree, 'usr/bin/gantry'), bare);
  });

  test('one file: unpacks itself once, however many start it; an engine runs from it', async () => {
    const unpacked = join(directory, 'unpacked');
    const env = { ...bare, GANTRY_UNPACK_DIR: unpacked };
    const starts = await Promise.all(
      [1, 2, 3].map(() => promisify(execFile)(file(`-linux-${process.arch}`), ['--version'], { env })),
    );
    for (const { stdout } of starts) assert.match(stdout, version);
    assert.equal(readdirSync(unpacked).length, 1, 'one tree, and nothing half unpacked');
    await runsFrom(file(`-linux-${process.arch}`), env);
  });

  /** Starts its engine on roots of its own, and runs a container with its command. */
  async function runsFrom(gantry: string, env: NodeJS.ProcessEnv): Promise<void> {
    const roots = await privateRoots();
    const { dataRoot, execRoot, bridge, cgroupParent } = roots.options;
    const host = `unix://${roots.directory}/engine.sock`;
    const words = ['--data-root', dataRoot!, '--exec-root', execRoot!, '--host', host].concat([
      '--bridge',
      bridge!.name!,
      '--bip',
      bridge!.cidr!,
      '--cgroup-parent',
      cgroupParent!,
    ]);
    const daemon = spawn(gantry, ['daemon', ...words], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let log = '';
    for (const stream of [daemon.stdout, daemon.stderr]) stream.setEncoding('utf8').on('data', (text) => (log += text));
    const ended = new Promise((resolve) => daemon.once('exit', resolve));
    try {
      for (let i = 0; i < 600 && !existsSync(`${roots.directory}/engine.sock`) && daemon.exitCode === null; i++)
        await sleep(50);
      const run = ['run', '--rm', '--network', 'none', 'busybox', 'cat', '/etc/hostname'];
      const { stdout } = await promisify(execFile)(gantry, run, { env: { ...env, GANTRY_HOST: host } }).catch(
        (error: unknown) => {
          throw new Error(`${String(error)}\n${log}`);
        },
      );
      assert.match(stdout, /^[0-9a-f]{12}\n$/);
    } finally {
      daemon.kill();
      await ended;
      await roots.discard();
    }
  }
});
