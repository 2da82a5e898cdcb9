import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { byteString, textOf } from '../../base/byte-string.ts';
import { EngineError, type ErrorCode } from '../../base/errors.ts';
import { BLOCK, type TarHeader, tarHeader } from './header.ts';
import { TarParser } from './parser.ts';
import { paxRecord } from './pax.ts';
import { readTar } from './reader.ts';
import { encodeHeader, END_OF_ARCHIVE, type TarSource, writeTar } from './writer.ts';

interface Read {
  readonly header: TarHeader;
  readonly content: Buffer;
}

async function read(archive: Buffer, chunkSize = 65536): Promise<Read[]> {
  const entries: Read[] = [];
  for await (const { header, body } of readTar(chunks(archive, chunkSize))) {
    entries.push({ header, content: Buffer.concat(await Array.fromAsync(body)) });
  }
  return entries;
}

async function* chunks(data: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size);
}

async function write(sources: readonly TarSource[]): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(writeTar(sources)));
}

function comparable(header: TarHeader): unknown {
  return { ...header, xattrs: new Map([...header.xattrs].map(([name, value]) => [name, Buffer.from(value)])) };
}

/** An entry with PAX records of its own choice in front. */
function withPax(records: Readonly<Record<string, string>>, header: TarHeader, body: Buffer = Buffer.alloc(0)): Buffer {
  const text = Buffer.from(
    Object.entries(records)
      .map(([key, value]) => paxRecord(key, value))
      .join(''),
    'latin1',
  );
  const pax = encodeHeader(tarHeader({ type: 'file', name: 'pax', size: text.length }));
  return Buffer.concat([retyped(pax, 'x'), padded(text), encodeHeader(header), padded(body), END_OF_ARCHIVE]);
}

function retyped(block: Buffer, flag: string): Buffer {
  const copy = Buffer.from(block);
  copy.write(flag, 156, 'latin1');
  return resealed(copy);
}

function resealed(block: Buffer): Buffer {
  block.fill(0x20, 148, 156);
  block.write(
    `${block
      .subarray(0, BLOCK)
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
    'latin1',
  );
  return block;
}

function padded(data: Buffer): Buffer {
  return Buffer.concat([data, Buffer.alloc((BLOCK - (data.length % BLOCK)) % BLOCK)]);
}

function refuses(archive: Buffer, code: ErrorCode, words: RegExp): void {
  const parser = new TarParser({ entry: () => {}, data: () => {}, entryEnd: () => {} });
  assert.throws(
    () => {
      parser.push(archive);
      parser.finish();
    },
    { code, message: words },
  );
}

describe('writing and reading', () => {
  const everything: TarSource[] = [
    { header: tarHeader({ type: 'directory', name: 'dir/', mode: 0o1777, mtime: 1_700_000_000_123_456_789n }) },
    {
      header: tarHeader({ type: 'file', name: 'dir/a', size: 5, mode: 0o4755, uid: 1000, gid: 1001 }),
      body: [Buffer.from('hello')],
    },
    { header: tarHeader({ type: 'file', name: 'dir/empty', mtime: -1n }) },
    { header: tarHeader({ type: 'file', name: `${'long/'.repeat(40)}name` }) },
    { header: tarHeader({ type: 'file', name: `${'x'.repeat(120)}/${'y'.repeat(90)}` }) },
    { header: tarHeader({ type: 'file', name: `n/${'z'.repeat(255)}`, uid: 4_000_000_000, gid: 3_000_000 }) },
    { header: tarHeader({ type: 'symlink', name: 'l', linkName: 'target/'.repeat(50) }) },
    { header: tarHeader({ type: 'hard-link', name: 'h', linkName: 'dir/a' }) },
    { header: tarHeader({ type: 'character-device', name: 'c', deviceMajor: 1, deviceMinor: 3 }) },
    { header: tarHeader({ type: 'block-device', name: 'b', deviceMajor: 259, deviceMinor: 1_000_000 }) },
    { header: tarHeader({ type: 'fifo', name: 'f', mtime: 0x7fffffffffn * 1_000_000_000n }) },
    { header: tarHeader({ type: 'file', name: byteString('naïve/日本') }) },
    { header: tarHeader({ type: 'file', name: 'bytes-\xff\xfe' }) },
    {
      header: tarHeader({
        type: 'file',
        name: 'xattrs',
        xattrs: new Map([
          ['user.text', Buffer.from('v')],
          ['security.capability', Buffer.from([1, 0, 0, 2, 0, 10, 61, 0])],
        ]),
      }),
    },
    { header: tarHeader({ type: 'file', name: 'named', userName: 'u'.repeat(40), groupName: 'staff' }) },
  ];

  test('everything a header says comes back, whatever the chunks', async () => {
    const archive = await write(everything);
    assert.equal(archive.length % BLOCK, 0);
    for (const size of [1, 511, 513, 1 << 20]) {
      const entries = await read(archive, size);
      assert.deepEqual(
        entries.map((entry) => comparable(entry.header)),
        everything.map(({ header }) => comparable(header)),
      );
      assert.equal(entries[1]!.content.toString(), 'hello');
    }
    assert.equal(textOf(everything[11]!.header.name), 'naïve/日本');
  });

  test('extended headers are written only where they are needed, and the same each time', async () => {
    assert.equal(encodeHeader(everything[1]!.header).length, BLOCK);
    assert.equal(encodeHeader(everything[4]!.header).length, BLOCK, 'split into prefix and name');
    assert.equal(encodeHeader(everything[0]!.header).length, 3 * BLOCK);
    assert.deepEqual(await write(everything), await write(everything));
  });

  test('GNU tar lists what we write', async () => {
    const listed = execFileSync('tar', ['-tf', '-', '--quoting-style=literal'], { input: await write(everything) });
    assert.deepEqual(
      listed.toString('latin1').trimEnd().split('\n'),
      everything.map(({ header }) => header.name),
    );
  });

  test('a body that is not as long as its header says is an error', async () => {
    const header = tarHeader({ type: 'file', name: 'a', size: 5 });
    await assert.rejects(write([{ header, body: [Buffer.from('four')] }]), { code: 'internal' });
    await assert.rejects(write([{ header, body: [Buffer.from('sixsix')] }]), { code: 'internal' });
  });

  test('a body that nobody reads is skipped', async () => {
    const names: string[] = [];
    for await (const { header } of readTar(chunks(await write(everything), 100))) names.push(header.name);
    assert.equal(names.length, everything.length);
  });
});

test('archives of GNU tar in every format, sparse files too', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-tar-'));
  try {
    const source = join(directory, 's');
    mkdirSync(join(source, 'sub'), { recursive: true });
    writeFileSync(join(source, 'sub/plain'), 'content');
    chmodSync(join(source, 'sub/plain'), 0o640);
    utimesSync(join(source, 'sub/plain'), 1_600_000_000, 1_600_000_000);
    linkSync(join(source, 'sub/plain'), join(source, 'sub/second'));
    symlinkSync('plain', join(source, 'sub/link'));
    writeFileSync(join(source, `${'n'.repeat(200)}`), 'long');
    writeFileSync(join(source, 'sparse'), '');
    for (let piece = 0; piece < 30; piece++) {
      execFileSync('dd', [
        'if=/dev/urandom',
        `of=${join(source, 'sparse')}`,
        'bs=4096',
        'count=1',
        `seek=${piece * 20}`,
        'conv=notrunc',
        'status=none',
      ]);
    }
    truncateSync(join(source, 'sparse'), 5_000_001);
    const formats = [
      ['--format=v7'],
      ['--format=ustar'],
      ['--format=gnu'],
      ['--format=pax'],
      ['--format=gnu', '--sparse'],
      ['--format=pax', '--sparse', '--sparse-version=0.0'],
      ['--format=pax', '--sparse', '--sparse-version=0.1'],
      ['--format=pax', '--sparse', '--sparse-version=1.0'],
    ];
    for (const format of formats) {
      const short = format[0] === '--format=v7' || format[0] === '--format=ustar';
      const archive = execFileSync(
        'tar',
        [...format, '--sort=name', ...(short ? ['--exclude=s/nn*'] : []), '-cf', '-', 's'],
        { cwd: directory, maxBuffer: 1 << 28 },
      );
      for (const size of [1 << 20, 777]) {
        const entries = new Map((await read(archive, size)).map((entry) => [entry.header.name, entry]));
        assert.equal(entries.get('s/')!.header.type, 'directory');
        const plain = entries.get('s/sub/plain')!;
        assert.equal(plain.content.toString(), 'content');
        assert.equal(plain.header.mode, 0o640);
        assert.equal(plain.header.mtime, 1_600_000_000_000_000_000n);
        assert.equal(entries.get('s/sub/second')!.header.linkName, 's/sub/plain');
        assert.equal(entries.get('s/sub/link')!.header.linkName, 'plain');
        assert.ok(entries.get('s/sparse')!.content.equals(readFileSync(join(source, 'sparse'))), format.join(' '));
        assert.equal(entries.has(`s/${'n'.repeat(200)}`), !short);
      }
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});

describe('dialects', () => {
  test('numbers in base 256, unsigned and signed checksums, a global header, a volume label', async () => {
    const block = encodeHeader(tarHeader({ type: 'file', name: 'a\xe9' }));
    block.fill(0, 108, 116);
    block[108] = 0x80;
    block.writeUInt32BE(3_000_000_000, 112);
    block.fill(0xff, 136, 148); // mtime -1
    const unsigned = resealed(Buffer.from(block));
    const signed = resealed(Buffer.from(block));
    const sum = signed
      .subarray(0, BLOCK)
      .reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : (byte << 24) >> 24), 0);
    signed.write(`${(sum + 2 ** 21).toString(8).slice(-6).padStart(6, '0')}\0 `, 148, 'latin1');
    const label = retyped(encodeHeader(tarHeader({ type: 'file', name: 'label' })), 'V');
    const global = Buffer.concat([
      retyped(encodeHeader(tarHeader({ type: 'file', name: 'g', size: 20 })), 'g'),
      padded(Buffer.from('20 comment=abcdefgh\n')),
    ]);
    const [entry] = await read(Buffer.concat([label, global, unsigned, END_OF_ARCHIVE]));
    assert.equal(entry!.header.uid, 3_000_000_000);
    assert.equal(entry!.header.mtime, -1_000_000_000n);
    assert.equal(entry!.header.name, 'a\xe9');
  });

  test('libarchive attributes, and a directory that only its slash tells', async () => {
    const archive = withPax(
      { 'LIBARCHIVE.xattr.user.a%20b': Buffer.from('value').toString('base64') },
      tarHeader({ type: 'file', name: 'd/' }),
    );
    const [entry] = await read(archive);
    assert.equal(entry!.header.type, 'directory');
    assert.equal(Buffer.from(entry!.header.xattrs.get('user.a b')!).toString(), 'value');
  });

  test('an archive may end without an end mark or padding, and after it come whatever', async () => {
    const archive = await write([
      { header: tarHeader({ type: 'file', name: 'a', size: 1 }), body: [Buffer.from('x')] },
    ]);
    for (const variant of [
      archive.subarray(0, 1024),
      archive.subarray(0, 513),
      Buffer.concat([archive, Buffer.from('junk')]),
    ]) {
      assert.equal((await read(variant)).length, 1);
    }
    assert.deepEqual(await read(Buffer.alloc(0)), []);
  });

  test('a link has no content, whatever its size says', async () => {
    const link = encodeHeader(tarHeader({ type: 'hard-link', name: 'l', linkName: 'a' }));
    link.write('00000001000', 124, 'latin1');
    const entries = await read(
      Buffer.concat([resealed(link), encodeHeader(tarHeader({ type: 'file', name: 'b' })), END_OF_ARCHIVE]),
    );
    assert.deepEqual(
      entries.map((entry) => entry.header.name),
      ['l', 'b'],
    );
  });
});

describe('broken and hostile archives are refused', () => {
  const file = tarHeader({ type: 'file', name: 'a' });

  test('cut short', async () => {
    const archive = await write([{ header: { ...file, size: 600 }, body: [Buffer.alloc(600)] }]);
    refuses(archive.subarray(0, 100), 'corrupt', /unexpected end/);
    refuses(archive.subarray(0, 700), 'corrupt', /unexpected end/);
    await assert.rejects(read(archive.subarray(0, 700)), { code: 'corrupt' });
    refuses(withPax({ path: 'b' }, file).subarray(0, 1024), 'corrupt', /unexpected end/);
  });

  test('no tar at all', () => {
    refuses(Buffer.alloc(2048, 'junk'), 'corrupt', /not a number|checksum/);
    const block = Buffer.from(encodeHeader(file));
    block[0] = 0x62;
    refuses(block, 'corrupt', /checksum/);
    refuses(Buffer.concat([Buffer.alloc(512), encodeHeader(file)]), 'corrupt', /block of zeros/);
    refuses(retyped(encodeHeader(file), 'M'), 'corrupt', /unsupported type/);
  });

  test('header sets without an end', () => {
    const huge = encodeHeader({ ...file, size: 512 << 20 });
    for (const flag of ['x', 'L', 'K', 'g']) refuses(retyped(huge, flag), 'too-large', /headers of one entry/);
    const name = Buffer.concat([retyped(encodeHeader({ ...file, size: 1000 }), 'L'), Buffer.alloc(1024, 'n')]);
    refuses(Buffer.concat(Array.from({ length: 1000 }, () => name)), 'too-large', /headers of one entry/);
    refuses(withPax({ path: 'p/'.repeat(3000) }, file), 'too-large', /name is too long/);
    refuses(withPax({ path: 'p'.repeat(256) }, file), 'too-large', /name is too long/);
    refuses(
      withPax({ linkpath: 'p/'.repeat(3000) }, tarHeader({ type: 'symlink', name: 'l' })),
      'too-large',
      /too long/,
    );
    refuses(withPax({ 'SCHILY.xattr.user.a': 'v'.repeat(65537) }, file), 'too-large', /attribute/);
  });

  test('numbers that lie', () => {
    refuses(withPax({ size: '-1' }, file), 'corrupt', /size is not a number/);
    refuses(withPax({ size: '9'.repeat(16) }, file), 'corrupt', /size is not a number/);
    refuses(withPax({ uid: '4294967295' }, file), 'corrupt', /uid is out of range/);
    refuses(withPax({ mtime: 'yesterday' }, file), 'corrupt', /mtime is not a time/);
    refuses(withPax({ path: 'a\0b' }, file), 'corrupt', /NUL/);
    const negative = Buffer.from(encodeHeader(file));
    negative.fill(0xff, 124, 136);
    refuses(resealed(negative), 'corrupt', /size is negative/);
    const endless = Buffer.from(encodeHeader(file));
    endless.fill(0xff, 124, 136);
    endless[124] = 0x80;
    refuses(resealed(endless), 'corrupt', /size is out of range/);
  });

  test('extended headers that do not parse', () => {
    for (const text of ['5 a=b\n', '6 a=bc', 'x a=b\n', '99 a=b\n', '5 ab\n', '0 \n', '6 =bc\n', '99999999999 a=b\n']) {
      const pax = retyped(encodeHeader({ ...file, size: text.length }), 'x');
      refuses(Buffer.concat([pax, padded(Buffer.from(text)), encodeHeader(file)]), 'corrupt', /extended header/);
    }
    refuses(
      Buffer.concat([withPax({ path: 'b' }, file).subarray(0, 1024), END_OF_ARCHIVE]),
      'corrupt',
      /without an entry/,
    );
  });

  test('sparse maps that lie', () => {
    const sparse = (map: string, size = '100', stored = 0): Buffer =>
      withPax({ 'GNU.sparse.map': map, 'GNU.sparse.size': size }, { ...file, size: stored }, Buffer.alloc(stored));
    refuses(sparse('0,10,5,10', '100', 20), 'corrupt', /sparse/);
    refuses(sparse('50,60', '100', 60), 'corrupt', /sparse/);
    refuses(sparse('0,10', '100', 20), 'corrupt', /sparse/);
    refuses(sparse('0,10,5', '100', 10), 'corrupt', /sparse/);
    refuses(sparse('0,x', '100', 10), 'corrupt', /sparse/);
    const leading = (text: string): Buffer =>
      withPax(
        { 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': '10' },
        { ...file, size: 512 },
        padded(Buffer.from(text)),
      );
    refuses(leading('999999\n'), 'corrupt', /does not end/);
    refuses(leading('no number\n'), 'corrupt', /not a number/);
  });

  test('whatever is changed in an archive, the answer is an entry or a clear error', async () => {
    const entries = [
      tarHeader({ type: 'file', name: `${'long/'.repeat(40)}name`, size: 700, mtime: 1n }),
      tarHeader({ type: 'symlink', name: 'l', linkName: 'x'.repeat(150) }),
      tarHeader({ type: 'file', name: 'b', xattrs: new Map([['user.a', Buffer.from('b')]]) }),
    ];
    const sparse = withPax(
      { 'GNU.sparse.map': '0,10,50,10', 'GNU.sparse.size': '100' },
      { ...file, size: 20 },
      Buffer.alloc(20),
    );
    const whole = Buffer.concat([
      await write(entries.map((header) => ({ header, body: [Buffer.alloc(header.size)] }))),
      sparse,
    ]);
    let state = 1;
    const random = (below: number): number => (state = (state * 48271) % 0x7fffffff) % below;
    const bytes = [0, 10, 0x20, 0x2e, 0x2f, 0x30, 0x31, 0x35, 0x37, 0x39, 0x3d, 0x4c, 0x53, 0x67, 0x78, 0x80, 0xff];
    for (let round = 0; round < 5000; round++) {
      const archive = Buffer.from(whole);
      for (let change = random(4); change >= 0; change--) {
        const block = random(archive.length / BLOCK) * BLOCK;
        archive[block + random(BLOCK)] = bytes[random(bytes.length)]!;
        if (archive.toString('latin1', block + 257, block + 262) === 'ustar')
          resealed(archive.subarray(block, block + BLOCK));
      }
      const parser = new TarParser({ entry: () => {}, data: () => {}, entryEnd: () => {} });
      try {
        parser.push(archive.subarray(0, random(8) === 0 ? random(archive.length) : archive.length));
        parser.finish();
      } catch (error) {
        assert.ok(error instanceof EngineError, `round ${round}: ${String(error)}`);
      }
    }
  });
});
