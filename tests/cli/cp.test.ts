/** `cp` both ways, against docker's rules for where things land, and against archives that a hostile container could make. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { tarHeader } from '../../src/content/tar/header.ts';
import { writeTar } from '../../src/content/tar/writer.ts';
import { unpackTree } from '../../src/cli/archive/unpack.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { runInProcess, type Ended } from './in-process.ts';

const directory = fs.mkdtempSync(join(tmpdir(), 'gantry-cp-'));
const here = join(directory, 'here');

describe('cp', { skip: process.getuid?.() === 0 ? false : 'needs root, for an engine of its own' }, () => {
  const daemon = new DaemonProcess({ directory });
  const gantry = (...words: string[]): Promise<Ended> => runInProcess(words, { env: daemon.clientEnv });
  const inside = async (script: string): Promise<string> => (await gantry('exec', 'cc', 'sh', '-c', script)).stdout;

  before(async () => {
    await daemon.start();
    const { code, stderr } = await gantry(
      'run',
      '-d',
      '--network',
      'none',
      '--name',
      'cc',
      'busybox',
      'sh',
      '-c',
      'mkdir -p /d/sub; echo a >/d/a; echo b >/d/sub/b; ln -s a /d/link; ln -s /d /dl; chown 12:34 /d/a; chmod 640 /d/a; echo ready; sleep 1000',
    );
    assert.equal(code, 0, stderr);
    while (!(await gantry('logs', 'cc')).stdout.includes('ready')); // each turn is a request
    fs.mkdirSync(join(here, 'tree', 'sub'), { recursive: true });
    fs.writeFileSync(join(here, 'tree', 'x'), 'x\n', { mode: 0o600 });
    fs.writeFileSync(join(here, 'tree', 'sub', 'y'), 'y\n');
    fs.symlinkSync('x', join(here, 'tree', 'l'));
  });
  after(async () => {
    await gantry('rm', '-f', 'cc');
    await daemon.stop();
    fs.rmSync(directory, { recursive: true, force: true });
  });

  test('a file out: to a name, into a directory, over a file', async () => {
    assert.equal((await gantry('cp', 'cc:/d/a', join(here, 'new'))).code, 0);
    assert.equal(fs.readFileSync(join(here, 'new'), 'utf8'), 'a\n');
    assert.equal(fs.statSync(join(here, 'new')).mode & 0o777, 0o640);
    assert.equal(fs.statSync(join(here, 'new')).uid, process.getuid!());
    fs.mkdirSync(join(here, 'into'));
    assert.equal((await gantry('cp', '-a', 'cc:/d/a', join(here, 'into'))).code, 0);
    assert.equal(fs.statSync(join(here, 'into', 'a')).uid, 12);
    assert.equal((await gantry('cp', 'cc:/d/sub/b', join(here, 'new'))).code, 0);
    assert.equal(fs.readFileSync(join(here, 'new'), 'utf8'), 'b\n');
  });

  test('a directory out: renamed, into, its contents alone', async () => {
    assert.equal((await gantry('cp', 'cc:/d', join(here, 'renamed'))).code, 0);
    assert.deepEqual(fs.readdirSync(join(here, 'renamed')).sort(), ['a', 'link', 'sub']);
    assert.equal(fs.readlinkSync(join(here, 'renamed', 'link')), 'a');
    assert.equal((await gantry('cp', 'cc:/d', join(here, 'into'))).code, 0);
    assert.ok(fs.existsSync(join(here, 'into', 'd', 'sub', 'b')));
    fs.mkdirSync(join(here, 'contents'));
    assert.equal((await gantry('cp', 'cc:/d/.', join(here, 'contents'))).code, 0);
    assert.ok(fs.existsSync(join(here, 'contents', 'sub', 'b')));
  });

  test('links: themselves, or with -L what they point to', async () => {
    assert.equal((await gantry('cp', 'cc:/d/link', join(here, 'as-link'))).code, 0);
    assert.ok(fs.lstatSync(join(here, 'as-link')).isSymbolicLink());
    assert.equal((await gantry('cp', '-L', 'cc:/d/link', join(here, 'followed'))).code, 0);
    assert.equal(fs.readFileSync(join(here, 'followed'), 'utf8'), 'a\n');
  });

  test('in: a directory into one, renamed, its contents; a file over a file; through a link', async () => {
    const tree = join(here, 'tree');
    await inside('mkdir /in; echo old > /in/file');
    assert.equal((await gantry('cp', tree, 'cc:/in')).code, 0);
    assert.equal(await inside('cat /in/tree/x /in/tree/sub/y /in/tree/l'), 'x\ny\nx\n');
    assert.equal((await gantry('cp', tree, 'cc:/in/named')).code, 0);
    assert.equal((await gantry('cp', `${tree}/.`, 'cc:/in')).code, 0);
    assert.equal(await inside('cat /in/named/sub/y /in/sub/y'), 'y\ny\n');
    assert.equal((await gantry('cp', join(tree, 'x'), 'cc:/in/file')).code, 0);
    assert.equal((await gantry('cp', join(tree, 'x'), 'cc:/dl')).code, 0);
    assert.equal(await inside('cat /in/file /d/x'), 'x\nx\n');
  });

  test('refused, in docker’s words', async () => {
    const tree = join(here, 'tree');
    assert.match((await gantry('cp', tree, 'cc:/d/a')).stderr, /^cannot copy directory/);
    assert.match((await gantry('cp', join(tree, 'x'), 'cc:/nosuch/')).stderr, /^no such directory/);
    assert.match((await gantry('cp', 'cc:/nosuch', here)).stderr, /Could not find the file \/nosuch in container cc/);
    assert.match((await gantry('cp', 'cc:/d/a', join(here, 'nosuch', 'x'))).stderr, /does not exist/);
    assert.match((await gantry('cp', 'cc:/d', join(tree, 'x'))).stderr, /^cannot copy directory/);
  });
});

describe('archives of a hostile container', () => {
  const cases: Record<string, Parameters<typeof tarHeader>[0][]> = {
    'a name with dots': [{ type: 'file', name: 'root/../../out' }],
    'a file through a link': [
      { type: 'directory', name: 'root/' },
      { type: 'symlink', name: 'root/l', linkName: '..' },
      { type: 'file', name: 'root/l/out' },
    ],
    'a hard link to outside': [
      { type: 'directory', name: 'root/' },
      { type: 'hard-link', name: 'root/h', linkName: '../secret' },
    ],
    'a hard link through a link': [
      { type: 'directory', name: 'root/' },
      { type: 'symlink', name: 'root/l', linkName: '..' },
      { type: 'hard-link', name: 'root/h', linkName: 'root/l/secret' },
    ],
  };
  for (const [name, headers] of Object.entries(cases)) {
    test(name, async () => {
      const folder = fs.mkdtempSync(join(tmpdir(), 'gantry-hostile-'));
      try {
        fs.writeFileSync(join(folder, 'secret'), 'kept');
        fs.mkdirSync(join(folder, 'target'));
        const archive = writeTar(headers.map((fields) => ({ header: tarHeader(fields) })));
        await assert.rejects(
          unpackTree(archive, join(folder, 'target'), { rename: 'root', owners: false }),
          /the archive is refused/,
        );
        assert.deepEqual(fs.readdirSync(folder).sort(), ['secret', 'target']);
        assert.equal(fs.statSync(join(folder, 'secret')).nlink, 1);
      } finally {
        fs.rmSync(folder, { recursive: true });
      }
    });
  }

  test('a file in place of a link the archive made: the link goes, its target stays', async () => {
    const folder = fs.mkdtempSync(join(tmpdir(), 'gantry-hostile-'));
    try {
      fs.writeFileSync(join(folder, 'secret'), 'kept');
      fs.mkdirSync(join(folder, 'target'));
      const archive = writeTar([
        { header: tarHeader({ type: 'symlink', name: 'root', linkName: '../secret' }) },
        { header: tarHeader({ type: 'file', name: 'root', size: 3 }), body: [Buffer.from('new')] },
      ]);
      await unpackTree(archive, join(folder, 'target'), { rename: undefined, owners: false });
      assert.equal(fs.readFileSync(join(folder, 'secret'), 'utf8'), 'kept');
      assert.equal(fs.readFileSync(join(folder, 'target', 'root'), 'utf8'), 'new');
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  });
});
