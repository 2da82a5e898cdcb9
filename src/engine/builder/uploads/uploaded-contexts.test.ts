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
import { basename, join } from 'node:path';
import { describe, it } from 'node:test';
import { CONTEXT_TIME, digestSelection, type KnownFiles } from '../../../build/copy-files.ts';
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
  readonly uploads = this.open();
  #count = 0;

  open(): UploadedContexts {
    return new UploadedContexts(join(this.root, 'store'), async (path) => rmSync(path, { recursive: true }));
  }

  async receive(
    entries: readonly Entry[] | AsyncIterable<Uint8Array>,
    { signal, uploads = this.uploads }: { signal?: AbortSignal; uploads?: UploadedContexts } = {},
  ): Promise<Context> {
    const directory = join(this.root, `context-${++this.#count}`);
    const bytes = Array.isArray(entries) ? archive(...(entries as Entry[])) : (entries as AsyncIterable<Uint8Array>);
    const held = await uploads.receive(bytes, { directory, signal });
    return {
      directory: held.root,
      known: held.known,
      done: () => held[Symbol.dispose](),
      own: held.root === directory,
    };
  }

  get store(): string {
    return join(this.root, 'store', readdirSync(join(this.root, 'store'))[0]!);
  }

  /** What is half-made or on its way out. */
  incoming(): string[] {
    return ['', 'objects', 'large', 'trees']
      .flatMap((name) => readdirSync(join(this.store, name)))
      .filter((name) => name.startsWith('.'));
  }

  trees(): number {
    return readdirSync(join(this.store, 'trees')).length;
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true });
  }
}

interface Context {
  readonly directory: string;
  readonly known: KnownFiles | undefined;
  /** Not kept for others. */
  readonly own: boolean;
  readonly done: () => void;
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
    assert.equal(one.directory, two.directory, 'there is one of both');
    assert.equal(fixture.trees(), 1);
    const { uid, gid, mtimeMs } = statSync(join(two.directory, 'd'));
    assert.deepEqual([mtimeMs, uid, gid], [CONTEXT_TIME * 1000, 0, 0]);
    const next = await fixture.receive([...entries, { name: 'more', content: 'more' }]);
    assert.notEqual(next.directory, two.directory);
    assert.equal(inode(join(next.directory, 'd/small')), inode(join(two.directory, 'd/small')));
    assert.ok(!existsSync(join(two.directory, 'more')));
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

  it('tell no digest of a name that leads to another file since, by a link in a directory’s place', async () => {
    using fixture = new Fixture();
    const hidden: Entry[] = [
      { name: 'first', content: 'first' },
      { name: 'd/', type: 'directory', mode: 0o755 },
      { name: 'd/f', content: 'good' },
    ];
    const link: Entry = { name: 'd', type: 'symlink', linkName: 'e' };
    const other: Entry[] = [
      { name: 'e/', type: 'directory', mode: 0o755 },
      { name: 'e/f', content: 'evil' },
    ];
    const hard: Entry = { name: 'd', type: 'hard-link', linkName: 'to-e' };
    for (const entries of [
      [...hidden, link, ...other],
      [...hidden, ...other, link],
      [...hidden, ...other, { ...link, name: 'to-e' }, hard],
    ]) {
      const { directory, known } = await fixture.receive(entries);
      assert.equal(readFileSync(join(directory, 'd/f'), 'utf8'), 'evil');
      const selection = { sources: ['d/f'], ignore: [], exclude: [], parents: false, keepOwner: false, unpack: false };
      const digest = async (root: string, list?: KnownFiles) =>
        (await digestSelection({ ...selection, root, known: list, sourceName: 'context' })).digest;
      assert.equal(await digest(directory, known), await digest(directory), 'as one who reads it');
      const good = await fixture.receive(hidden);
      assert.notEqual(await digest(directory, known), await digest(good.directory, good.known));
    }
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
    const { known, directory, own } = await fixture.receive([
      { name: 'd/before', content: 'before' },
      { name: 'a', content: 'a', xattrs },
      { name: 'after', content: 'after' },
    ]);
    assert.equal(known, undefined);
    assert.ok(own);
    for (const name of ['d/before', 'a', 'after'])
      assert.equal(readFileSync(join(directory, name), 'utf8'), name.replace('d/', ''));
    assert.equal(fixture.trees(), 0);
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
    await assert.rejects(fixture.receive(half(), { signal: stop.signal }), { code: 'cancelled' });
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
    const [{ size } = { size: 0 }] = await fixture.uploads.list();
    assert.ok(
      size > LARGE.length && size < 2 * LARGE.length,
      `${size}: files count once, though a context has them too`,
    );
    const { store } = fixture;
    writeFileSync(join(store, 'objects', '.incoming-1'), 'half');
    mkdirSync(join(store, 'trees', '.incoming-2', 'files'), { recursive: true });
    mkdirSync(join(store, '.removed-3', 'files'), { recursive: true });
    mkdirSync(join(fixture.root, 'store', 'other-boot', 'objects'), { recursive: true });
    const next = fixture.open();
    const again = await fixture.receive([{ name: 'a', content: 'a' }], { uploads: next });
    assert.equal(inode(join(again.directory, 'a')), inode(join(first.directory, 'a')));
    assert.deepEqual(fixture.incoming(), []);
    assert.deepEqual(readdirSync(join(fixture.root, 'store')), [basename(store)]);
    await next.remove();
    assert.deepEqual(await next.list(), []);
    assert.equal(readFileSync(join(again.directory, 'a'), 'utf8'), 'a', 'a build holds it');
    assert.ok(!existsSync(first.directory), 'no build of the next engine holds it');
    again.done();
    await next.remove();
    assert.ok(!existsSync(again.directory));
    const after = await fixture.receive([
      { name: 'a', content: 'a' },
      { name: 'large', content: LARGE },
    ]);
    assert.ok(readFileSync(join(after.directory, 'large')).equals(LARGE));
  });

  it('on their way have what was kept when they came, whoever removes it meanwhile', async () => {
    using fixture = new Fixture();
    const entries: Entry[] = [
      { name: 'a', content: 'a' },
      { name: 'large', content: LARGE },
    ];
    const first = await fixture.receive(entries);
    first.done();
    const bytes = Buffer.concat(await Array.fromAsync(archive(...entries)));
    const turn = Promise.withResolvers<void>();
    const isHalf = Promise.withResolvers<void>();
    async function* slow(): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(0, 2 << 20);
      yield bytes.subarray(2 << 20, 3 << 20);
      isHalf.resolve();
      await turn.promise;
      yield bytes.subarray(3 << 20);
    }
    const coming = fixture.receive(slow());
    await isHalf.promise;
    await fixture.uploads.remove();
    turn.resolve();
    const { directory } = await coming;
    assert.equal(readFileSync(join(directory, 'a'), 'utf8'), 'a');
    assert.ok(readFileSync(join(directory, 'large')).equals(LARGE));
    const after = await fixture.receive(entries);
    assert.ok(readFileSync(join(after.directory, 'large')).equals(LARGE));
    assert.deepEqual(fixture.incoming(), []);
  });

  it('that come at once are one, and of those that differ the latest are kept', async () => {
    using fixture = new Fixture();
    const same = await Promise.all(Array.from({ length: 4 }, () => fixture.receive([{ name: 'a', content: 'a' }])));
    assert.equal(new Set(same.map(({ directory }) => directory)).size, 1);
    for (const { done } of same.slice(1)) done();
    for (let n = 0; n < 20; n++) (await fixture.receive([{ name: 'a', content: `${n}` }])).done();
    assert.equal(fixture.trees(), 18, 'the one that is held, the last one, and sixteen');
    assert.equal(readFileSync(join(same[0]!.directory, 'a'), 'utf8'), 'a', 'a build holds it');
    assert.deepEqual(fixture.incoming(), []);
  });

  it('come again once what stood in the way of their store is gone', async () => {
    using fixture = new Fixture();
    writeFileSync(join(fixture.root, 'store'), 'not a directory');
    await assert.rejects(fixture.receive([{ name: 'a', content: 'a' }]), { code: 'EEXIST' });
    rmSync(join(fixture.root, 'store'));
    const { directory } = await fixture.receive([{ name: 'a', content: 'a' }]);
    assert.equal(readFileSync(join(directory, 'a'), 'utf8'), 'a');
  });
});
