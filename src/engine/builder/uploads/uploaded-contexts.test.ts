import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { CONTEXT_TIME, type KnownFiles } from '../../../build/copy-files.ts';
import { type TarHeader, tarHeader } from '../../../content/tar/header.ts';
import { writeTar } from '../../../content/tar/writer.ts';
import { UploadedContexts } from './uploaded-contexts.ts';

type Entry = Partial<TarHeader> & { readonly name: string; readonly content?: Buffer | string };

/** `file` unless it says otherwise. */
function archive(...entries: Entry[]): AsyncGenerator<Uint8Array> {
  return writeTar(
    entries.map(({ content = '', ...header }) => {
      const body = Buffer.from(content);
      return {
        header: tarHeader({ type: 'file', mode: 0o644, size: body.length, ...header }),
        body: [body],
      };
    }),
  );
}

class Fixture implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), 'gantry-uploads-'));
  readonly uploads = new UploadedContexts(join(this.root, 'store'));
  #count = 0;

  async receive(
    entries: readonly Entry[] | AsyncIterable<Uint8Array>,
    signal?: AbortSignal,
  ): Promise<{ directory: string; known: KnownFiles | undefined }> {
    const directory = join(this.root, `context-${++this.#count}`);
    mkdirSync(directory);
    const bytes = Array.isArray(entries) ? archive(...(entries as Entry[])) : (entries as AsyncIterable<Uint8Array>);
    return { directory, known: await this.uploads.receive(bytes, { directory, list: `${directory}-list`, signal }) };
  }

  incoming(): string[] {
    return readdirSync(join(this.root, 'store'))
      .flatMap((boot) => readdirSync(join(this.root, 'store', boot, 'objects')))
      .filter((name) => name.startsWith('.'));
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true });
  }
}

const inode = (path: string): number => statSync(path).ino;
const sha256 = (content: Buffer): string => createHash('sha256').update(content).digest('hex');
const LARGE = randomBytes(3 << 20);

describe('contexts that come as archives', { skip: process.getuid?.() === 0 ? false : 'needs root' }, () => {
  it('have what was sent before as names of the same files, of one time and owner', async () => {
    using fixture = new Fixture();
    const entries: Entry[] = [
      { name: 'd/', type: 'directory', mode: 0o750 },
      { name: 'd/small', content: 'small', mtime: 5n, uid: 7, gid: 8 },
      { name: 'large', content: LARGE },
      { name: 'empty' },
      { name: 'link', type: 'symlink', linkName: 'd/small' },
    ];
    const one = await fixture.receive(entries);
    const two = await fixture.receive(entries.map((entry) => ({ ...entry, mtime: 9n })));
    for (const name of ['d/small', 'large', 'empty']) {
      assert.equal(inode(join(one.directory, name)), inode(join(two.directory, name)), name);
      const { mtimeMs, uid, gid } = statSync(join(two.directory, name));
      assert.deepEqual([mtimeMs, uid, gid], [CONTEXT_TIME * 1000, 0, 0], name);
    }
    assert.equal(statSync(join(two.directory, 'd')).mode & 0o7777, 0o750);
    assert.equal(readlinkSync(join(two.directory, 'link')), 'd/small');
    assert.ok(readFileSync(join(two.directory, 'large')).equals(LARGE));
    assert.equal(one.known?.tree, two.known?.tree);
    const list = JSON.parse(readFileSync(two.known!.list, 'utf8')) as [[string], string][];
    assert.deepEqual(Object.fromEntries(list.map(([[path], digest]) => [path, digest])), {
      'd/small': sha256(Buffer.from('small')),
      empty: sha256(Buffer.alloc(0)),
      large: sha256(LARGE),
    });
    assert.deepEqual(fixture.incoming(), []);
  });

  it('are another tree when content, mode, a link, a name changed or is gone', async () => {
    using fixture = new Fixture();
    const base: Entry[] = [
      { name: 'a', content: 'a' },
      { name: 'b', content: 'b' },
      { name: 'l', type: 'symlink', linkName: 'a' },
    ];
    const trees = [
      base,
      [{ name: 'a', content: 'A' }, ...base.slice(1)],
      [{ name: 'a', content: 'a', mode: 0o755 }, ...base.slice(1)],
      [...base.slice(0, 2), { name: 'l', type: 'symlink' as const, linkName: 'b' }],
      [{ name: 'c', content: 'a' }, ...base.slice(1)],
      base.slice(1),
    ];
    const found = new Set<string | undefined>();
    for (const entries of trees) found.add((await fixture.receive(entries)).known?.tree);
    assert.equal(found.size, trees.length);
    assert.ok(!found.has(undefined));
    const { directory } = await fixture.receive([{ name: 'a', content: 'a', mode: 0o4755 }]);
    assert.equal(statSync(join(directory, 'a')).mode & 0o7777, 0o4755);
  });

  it('have a large file that changed anywhere as it is now, and leave the old one as it was', async () => {
    using fixture = new Fixture();
    const first = await fixture.receive([{ name: 'large', content: LARGE }]);
    for (const at of [0, 1_500_000, LARGE.length - 1]) {
      const changed = Buffer.from(LARGE);
      changed[at] = changed[at]! ^ 1;
      const { directory, known } = await fixture.receive([{ name: 'large', content: changed }]);
      assert.ok(readFileSync(join(directory, 'large')).equals(changed));
      assert.match(readFileSync(known!.list, 'utf8'), new RegExp(sha256(changed)));
    }
    assert.ok(readFileSync(join(first.directory, 'large')).equals(LARGE));
    // Another mode is another file.
    const other = await fixture.receive([{ name: 'large', content: LARGE, mode: 0o600 }]);
    assert.equal(statSync(join(other.directory, 'large')).mode & 0o7777, 0o600);
    assert.equal(statSync(join(first.directory, 'large')).mode & 0o7777, 0o644);
    assert.deepEqual(fixture.incoming(), []);
  });

  it('take the last of several entries of one name, and hard links; nothing leads out', async () => {
    using fixture = new Fixture();
    const { directory } = await fixture.receive([
      { name: 'a', content: 'one' },
      { name: 'a', content: 'two' },
      { name: 'd/x', content: 'x' },
      { name: 'd', content: 'no directory now' },
      { name: 'h', type: 'hard-link', linkName: 'a' },
      { name: 'big', content: LARGE },
      { name: 'big', content: LARGE.subarray(5) },
    ]);
    assert.equal(readFileSync(join(directory, 'a'), 'utf8'), 'two');
    assert.equal(readFileSync(join(directory, 'd'), 'utf8'), 'no directory now');
    assert.equal(inode(join(directory, 'h')), inode(join(directory, 'a')));
    assert.ok(readFileSync(join(directory, 'big')).equals(LARGE.subarray(5)));
    await assert.rejects(fixture.receive([{ name: '../out', content: 'x' }]), { code: 'corrupt' });
    const escape: Entry[] = [
      { name: 'up', type: 'symlink', linkName: '..' },
      { name: 'up/out', content: 'x' },
    ];
    await fixture.receive(escape);
    assert.ok(!existsSync(join(fixture.root, 'out')));
  });

  it('with attributes are told to be read, not listed', async () => {
    using fixture = new Fixture();
    const xattrs = new Map([['user.color', Buffer.from('red')]]);
    const { known, directory } = await fixture.receive([{ name: 'a', content: 'a', xattrs }]);
    assert.equal(known, undefined);
    assert.equal(readFileSync(join(directory, 'a'), 'utf8'), 'a');
  });

  it('that break off leave nothing, and the next ones are whole', async () => {
    using fixture = new Fixture();
    const whole = Buffer.concat(
      await Array.fromAsync(archive({ name: 'small', content: 's' }, { name: 'large', content: LARGE })),
    );
    const stop = new AbortController();
    async function* half(): AsyncGenerator<Uint8Array> {
      yield whole.subarray(0, whole.length >> 1);
      stop.abort();
    }
    await assert.rejects(fixture.receive(half(), stop.signal), { code: 'cancelled' });
    async function* torn(): AsyncGenerator<Uint8Array> {
      yield whole.subarray(0, whole.length >> 1);
    }
    await assert.rejects(fixture.receive(torn()), { code: 'corrupt' });
    assert.deepEqual(fixture.incoming(), []);
    const { directory } = await fixture.receive([{ name: 'large', content: LARGE }]);
    assert.ok(readFileSync(join(directory, 'large')).equals(LARGE));
  });

  it('are kept until they are removed; what a dead engine or another kernel left is not', async () => {
    using fixture = new Fixture();
    const first = await fixture.receive([
      { name: 'a', content: 'a' },
      { name: 'large', content: LARGE },
    ]);
    assert.deepEqual(
      (await fixture.uploads.list()).map(({ size }) => size),
      [0],
      'all of it is the build’s too',
    );
    const [boot] = readdirSync(join(fixture.root, 'store'));
    writeFileSync(join(fixture.root, 'store', boot!, 'objects', '.incoming-1'), 'half');
    mkdirSync(join(fixture.root, 'store', 'other-boot', 'objects'), { recursive: true });
    const next = new UploadedContexts(join(fixture.root, 'store'));
    const directory = join(fixture.root, 'again');
    mkdirSync(directory);
    await next.receive(archive({ name: 'a', content: 'a' }), {
      directory,
      list: `${directory}-list`,
      signal: undefined,
    });
    assert.equal(inode(join(directory, 'a')), inode(join(first.directory, 'a')));
    assert.deepEqual(fixture.incoming(), []);
    assert.deepEqual(readdirSync(join(fixture.root, 'store')), [boot]);
    await next.remove();
    assert.deepEqual(await next.list(), []);
    const after = await fixture.receive([
      { name: 'a', content: 'a' },
      { name: 'large', content: LARGE },
    ]);
    assert.ok(readFileSync(join(after.directory, 'large')).equals(LARGE));
    assert.equal(readFileSync(join(first.directory, 'a'), 'utf8'), 'a');
  });
});
