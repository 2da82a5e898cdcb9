import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { getXattr, setXattr } from '../linux/xattr.ts';
import { copyUp } from './copy-up.ts';

const asRoot = { skip: process.getuid?.() !== 0 && 'needs root' };
let base: string;
let rootfs: string;
let data: string;
let stage: string;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'copy-up-'));
  rootfs = join(base, 'rootfs');
  data = join(base, 'volume/_data');
  stage = join(base, 'volume/_copy');
  mkdirSync(join(rootfs, 'srv'), { recursive: true });
  mkdirSync(data, { recursive: true });
});

afterEach(() => rmSync(base, { recursive: true, force: true }));

function shell(script: string): string {
  return execFileSync('sh', ['-ec', script], { cwd: base, encoding: 'utf8' });
}

test('everything of a file comes along', asRoot, async () => {
  shell(`
    cd rootfs/srv
    mkdir -p sub/deep; chmod 2750 sub; chown 7:8 sub
    echo one >file; chmod 4755 file; chown 5:6 file; ln file sub/deep/hard
    ln -s /etc/passwd link; ln -s nowhere dangling; mkfifo -m 600 fifo; mknod -m 640 dev c 1 3
    truncate -s 50M sparse; printf x | dd of=sparse bs=1 seek=30M conv=notrunc 2>/dev/null
    printf '\\351' | xargs -0 -I{} sh -c 'echo bytes >"$1"' - {}
    touch -h -d '2001-02-03 04:05:06.123456789' file link sub/deep sub
    chmod 1777 .; chown 9:9 .
  `);
  const note = (path: string, value?: string): string | undefined => {
    const fd = openSync(path, 'r');
    if (value !== undefined) setXattr(fd, 'user.note', Buffer.from(value));
    const found = getXattr(fd, 'user.note')?.toString();
    closeSync(fd);
    return found;
  };
  note(join(rootfs, 'srv/file'), 'hello');
  note(join(rootfs, 'srv/sub'), 'dir');
  await copyUp({ rootfs, path: '/srv', data, stage });
  assert.deepEqual([note(join(data, 'file')), note(join(data, 'sub'))], ['hello', 'dir']);
  const listing = (directory: string): string =>
    shell(`
      cd ${directory}
      find . -printf '%P %y %m %U %G %l %n %TY-%Tm-%Td\\n' | sort
      stat -c '%a %u %g' .; stat -c '%t %T' dev; cmp sparse ${rootfs}/srv/sparse
    `);
  assert.equal(listing(data), listing(join(rootfs, 'srv')));
  assert.equal(statSync(join(data, 'file')).ino, statSync(join(data, 'sub/deep/hard')).ino);
  assert.ok(statSync(join(data, 'sparse')).blocks < 1000, 'holes stay holes');
  assert.ok(!existsSync(stage));
});

test('a volume with something in it is left alone', async () => {
  writeFileSync(join(rootfs, 'srv/new'), '');
  writeFileSync(join(data, 'mine'), '');
  await copyUp({ rootfs, path: '/srv', data, stage });
  assert.deepEqual(readdirSync(data), ['mine']);
});

test('nothing at the place, or only an empty directory', asRoot, async () => {
  await copyUp({ rootfs, path: '/nothing', data, stage });
  assert.equal(statSync(data).uid, 0);
  shell('chown 12:13 rootfs/srv; chmod 700 rootfs/srv');
  await copyUp({ rootfs, path: '/srv', data, stage });
  const { uid, gid, mode } = statSync(data);
  assert.deepEqual([uid, gid, mode & 0o777], [12, 13, 0o700]);
});

test('a file at the place is refused', async () => {
  writeFileSync(join(rootfs, 'file'), '');
  await assert.rejects(copyUp({ rootfs, path: '/file', data, stage }), {
    code: 'invalid-argument',
    message: 'cannot mount volume over existing file, file exists /file',
  });
});

test('an image’s symlink does not lead out of it', async () => {
  shell('mkdir outside; echo secret >outside/s; ln -s ../../outside rootfs/up; ln -s $PWD/outside rootfs/abs');
  for (const path of ['/up', '/abs']) await copyUp({ rootfs, path, data, stage });
  assert.deepEqual(readdirSync(data), []);
});

test('half a copy of an earlier try is thrown away; in place when others see the volume', async () => {
  writeFileSync(join(rootfs, 'srv/whole'), 'content');
  mkdirSync(stage);
  writeFileSync(join(stage, 'half'), '');
  const before = statSync(data).ino;
  await copyUp({ rootfs, path: '/srv', data, stage });
  assert.deepEqual(readdirSync(data), ['whole']);
  rmSync(join(data, 'whole'));
  const again = statSync(data).ino;
  assert.notEqual(again, before);
  await copyUp({ rootfs, path: '/srv', data, stage: undefined });
  assert.equal(statSync(data).ino, again);
  assert.equal(readFileSync(join(data, 'whole'), 'utf8'), 'content');
});
