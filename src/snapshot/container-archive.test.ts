import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { EngineError } from '../base/errors.ts';
import { tarHeader } from '../content/tar/header.ts';
import { readTar } from '../content/tar/reader.ts';
import { writeTar } from '../content/tar/writer.ts';
import { archiveGet, archivePut, archiveStat } from './container-archive.ts';

class Root implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'gantry-archive-'));
  readonly root = join(this.directory, 'root');

  constructor() {
    mkdirSync(join(this.root, 's/dir/sub'), { recursive: true });
    writeFileSync(join(this.root, 's/dir/file'), 'x\n');
    chmodSync(join(this.root, 's/dir/file'), 0o4755);
    chmodSync(join(this.root, 's/dir'), 0o1777);
    utimesSync(join(this.root, 's/dir/file'), 1.5, 1.5);
    const links = {
      ldir: 'dir',
      lfile: 'dir/file',
      dangling: '/nowhere',
      second: 'ldir',
      absolute: '/s/dir',
      up: '../../../../s/dir',
      loop: 'loop',
    };
    for (const [name, target] of Object.entries(links)) symlinkSync(target, join(this.root, 's', name));
    writeFileSync(join(this.directory, 'canary'), 'alive');
  }

  at(path: string): { root: string; path: string; container: string } {
    return { root: this.root, path, container: 'web' };
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

async function names(root: Root, path: string): Promise<string> {
  const { tar } = await archiveGet(root.at(path));
  const found: string[] = [];
  for await (const { header } of readTar(tar)) found.push(header.name);
  return found.join(' ');
}

function archive(...files: [string, string][]): AsyncGenerator<Uint8Array> {
  return writeTar(
    files.map(([name, text]) => ({
      header: tarHeader({ type: 'file', name, size: text.length, uid: 1, gid: 2 }),
      body: [Buffer.from(text)],
    })),
  );
}

// What dockerd 28.5 answers for the same tree.
const IS_DIRECTORY = 2 ** 31 + 2 ** 20 + 0o777;
const IS_LINK = 2 ** 27 + 0o777;
const looks: [path: string, name: string, mode: number, linkTarget: string, entries: string][] = [
  ['/s/dir', 'dir', IS_DIRECTORY, '', 'dir/ dir/file dir/sub/'],
  ['/s/dir/', 'dir', IS_DIRECTORY, '', 'dir/ dir/file dir/sub/'],
  ['/s/dir/.', '.', IS_DIRECTORY, '', './ ./file ./sub/'],
  ['s/dir', 'dir', IS_DIRECTORY, '', 'dir/ dir/file dir/sub/'],
  ['/s/../../s/dir', 'dir', IS_DIRECTORY, '', 'dir/ dir/file dir/sub/'],
  ['/s/dir/file', 'file', 2 ** 23 + 0o755, '', 'file'],
  ['/s/ldir', 'ldir', IS_LINK, '/s/dir', 'ldir'],
  ['/s/ldir/', 'ldir', IS_DIRECTORY, '', 'ldir/ ldir/file ldir/sub/'],
  ['/s/ldir/file', 'file', 2 ** 23 + 0o755, '', 'file'],
  ['/s/ldir/sub/..', '..', IS_DIRECTORY, '', 'dir/ dir/file dir/sub/'],
  ['/s/lfile', 'lfile', IS_LINK, '/s/dir/file', 'lfile'],
  ['/s/dangling', 'dangling', IS_LINK, '/nowhere', 'dangling'],
  ['/s/second', 'second', IS_LINK, '/s/dir', 'second'],
  ['/s/absolute/', 'absolute', IS_DIRECTORY, '', 'absolute/ absolute/file absolute/sub/'],
  ['/s/up', 'up', IS_LINK, '/s/dir', 'up'],
];

const failures: [path: string, code: string, words: RegExp][] = [
  ['/nope', 'not-found', /^Could not find the file \/nope in container web$/],
  ['/s/dangling/', 'not-found', /^Could not find the file \/s\/dangling\/ in container web$/],
  ['/s/dir/file/', 'invalid-argument', /not a directory/],
  ['/s/dir/file/x', 'invalid-argument', /not a directory/],
  ['/s/loop', 'invalid-argument', /too many levels of symbolic links/],
  ['/s/loop/x', 'invalid-argument', /too many levels of symbolic links/],
  ['', 'invalid-argument', /path cannot be empty/],
  ['/a\0b', 'invalid-argument', /NUL/],
  [`/${'n'.repeat(256)}`, 'invalid-argument', /name too long/],
];

const isRoot = process.getuid?.() === 0;

describe('docker cp', { skip: isRoot ? false : 'needs root' }, () => {
  test('what is there, and the archive of it', async () => {
    using root = new Root();
    for (const [path, name, mode, linkTarget, entries] of looks) {
      const stat = await archiveStat(root.at(path));
      assert.deepEqual([stat.name, stat.mode, stat.linkTarget], [name, mode, linkTarget], path);
      assert.equal(await names(root, path), entries, path);
    }
    assert.equal((await archiveStat(root.at('/s/dir/file'))).mtime, '1970-01-01T00:00:01.5Z');
    assert.match(await names(root, '/'), /^\/ \/s\/ /);
    assert.match(await names(root, '.'), /^\.\/ \.\/s\/ /);
  });

  test('what is not', async () => {
    using root = new Root();
    for (const [path, code, message] of failures) {
      await assert.rejects(archiveStat(root.at(path)), { code, message }, path);
      await assert.rejects(archiveGet(root.at(path)), { code, message }, path);
    }
  });

  test('files go into a directory, through symlinks of the container', async () => {
    using root = new Root();
    for (const path of ['/', '/s/ldir', '/s/absolute', '/s/up/sub', '.']) {
      await archivePut(root.at(path), archive(['new', path]));
    }
    assert.equal(readFileSync(join(root.root, 's/dir/new'), 'utf8'), '/s/absolute');
    assert.equal(readFileSync(join(root.root, 's/dir/sub/new'), 'utf8'), '/s/up/sub');
    assert.equal(readFileSync(join(root.root, 'new'), 'utf8'), '.');
    assert.equal(lstatSync(join(root.root, 'new')).gid, 2);
    await archivePut(root.at('/'), archive(['owned', '']), { owner: { uid: 1000, gid: 1000 } });
    assert.equal(lstatSync(join(root.root, 'owned')).uid, 1000);
  });

  test('and nowhere else', async () => {
    using root = new Root();
    const put = (path: string): Promise<void> => archivePut(root.at(path), archive(['x', '']));
    await assert.rejects(put('/s/dir/file'), {
      code: 'invalid-argument',
      message: 'extraction point is not a directory',
    });
    await assert.rejects(put('/s/lfile'), { code: 'invalid-argument', message: 'extraction point is not a directory' });
    await assert.rejects(put('/s/dangling'), { code: 'not-found', message: /Could not find the file/ });
    await assert.rejects(put('/nope'), { code: 'not-found' });
    await assert.rejects(archivePut(root.at('/'), archive(['s/dir', '']), { noOverwriteDirNonDir: true }), {
      code: 'invalid-argument',
      message: /cannot overwrite directory/,
    });
  });

  test('kernel filesystems are left empty, read-only ones are told', async () => {
    using root = new Root();
    const [proc, fixed] = [join(root.root, 'proc'), join(root.root, 'fixed')];
    for (const [type, directory] of [
      ['proc', proc],
      ['tmpfs', fixed],
    ] as const) {
      mkdirSync(directory);
      execFileSync('mount', ['-t', type, ...(type === 'tmpfs' ? ['-o', 'ro'] : []), type, directory]);
    }
    try {
      assert.match(await names(root, '/'), / \/proc\/ \/s\/ /);
      await assert.rejects(archivePut(root.at('/fixed'), archive(['x', ''])), {
        code: 'invalid-argument',
        message: 'mounted volume is marked read-only',
      });
    } finally {
      for (const directory of [proc, fixed]) execFileSync('umount', [directory]);
    }
  });

  test('a container that swaps a directory for a symlink all the time does not get anything out or in', async () => {
    using root = new Root();
    const outside = join(root.directory, 'outside');
    mkdirSync(outside);
    mkdirSync(join(root.root, 'd/e'), { recursive: true });
    writeFileSync(join(root.root, 'd/e/victim'), 'inside');
    writeFileSync(join(outside, 'victim'), 'alive');
    symlinkSync(outside, join(root.root, 'link'));
    const swapper = spawn(process.execPath, ['-e', SWAPPER], { cwd: root.root, stdio: ['ignore', 'pipe', 'inherit'] });
    await once(swapper.stdout, 'data');
    const outcomes = new Map<string, number>();
    const count = (key: string): void => void outcomes.set(key, (outcomes.get(key) ?? 0) + 1);
    const acceptable = new Set(['not-found', 'invalid-argument', 'corrupt']);
    try {
      for (const end = performance.now() + 1500; performance.now() < end;) {
        try {
          await archivePut(root.at('/d/e'), archive(['victim', 'dead'], ['a/b', 'dead']));
          count('put');
          const { tar } = await archiveGet(root.at('/d'));
          const data = Buffer.concat(await Array.fromAsync(tar));
          assert.ok(!data.includes('alive'), 'the content of a file outside was read');
          count('get');
        } catch (error) {
          const { code } = error as EngineError;
          if (!acceptable.has(code)) throw error;
          count(code);
        }
      }
    } finally {
      swapper.kill('SIGKILL');
      await once(swapper, 'exit');
    }
    assert.ok(outcomes.has('put') && outcomes.has('get'), JSON.stringify([...outcomes]));

    assert.deepEqual(readdirSync(outside), ['victim']);
    assert.equal(readFileSync(join(outside, 'victim'), 'utf8'), 'alive');
  });
});

const SWAPPER = `
const { renameSync } = require('node:fs');
process.stdout.write('ready');
for (;;) {
  renameSync('d', 'aside'); renameSync('link', 'd');
  renameSync('d', 'link'); renameSync('aside', 'd');
}
`;
