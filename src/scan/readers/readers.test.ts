import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import { readerOf } from './choose.ts';

function read(path: string, content: string | Uint8Array): string[] {
  const bytes = Buffer.from(content);
  const reader = readerOf(path, { size: Math.max(bytes.length, 1 << 20), executable: true });
  assert.ok(reader, `nobody reads ${path}`);
  return reader
    .read(bytes, `/${path}`)
    .map(({ type, name, version, source, license }) =>
      [type, name, version, source && `${source.name}=${source.version}`, license].filter(Boolean).join(' '),
    );
}

test('dpkg: installed packages with their source, not those whose configuration stayed', () => {
  const status = `Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc (2.36-9)
Version: 2.36-9+b1
Description: a library
 Version: 9

Package: gone
Status: deinstall ok config-files
Version: 1

Package: bash
Status: install ok installed
Version: 5.2-1
`;
  assert.deepEqual(read('var/lib/dpkg/status', status), [
    'deb libc6 2.36-9+b1 glibc=2.36-9',
    'deb bash 5.2-1 bash=5.2-1',
  ]);
  assert.deepEqual(read('var/lib/dpkg/status.d/base', 'Package: base-files\nVersion: 12\n'), [
    'deb base-files 12 base-files=12',
  ]);
});

test('apk', () => {
  const text = 'P:libssl3\nV:3.1.4-r5\nA:x86_64\nL:Apache-2.0\no:openssl\nF:usr\n\nP:musl\nV:1.2.4-r2\nL:MIT\n\n';
  assert.deepEqual(read('lib/apk/db/installed', text), [
    'apk libssl3 3.1.4-r5 openssl=3.1.4-r5 Apache-2.0',
    'apk musl 1.2.4-r2 musl=1.2.4-r2 MIT',
  ]);
});

test('npm, only what is installed', () => {
  const path = 'app/node_modules/@a/b/package.json';
  assert.deepEqual(read(path, '{"name":"@a/b","version":"1.2.3","license":"MIT"}'), ['npm @a/b 1.2.3 MIT']);
  assert.deepEqual(read(path, '{"name":'), []);
  assert.deepEqual(read(path, '{"name":["x"],"version":"1"}'), []);
  assert.equal(readerOf('app/package.json', { size: 10, executable: false }), undefined);
  assert.equal(readerOf('app/node_modules/a/test/package.json', { size: 10, executable: false }), undefined);
});

test('PyPI', () => {
  const metadata = 'Metadata-Version: 2.1\nName: Flask\nVersion: 3.0.0\nLicense: BSD-3-Clause\n\nName: not this\n';
  assert.deepEqual(read('usr/lib/python3/dist-packages/flask-3.0.0.dist-info/METADATA', metadata), [
    'pypi Flask 3.0.0 BSD-3-Clause',
  ]);
});

test('Go: the modules that the linker wrote down, replacements in place of what they replace', () => {
  const mark = '0123456789abcdef';
  const modules = `${mark}path\texample.org/app\nmod\texample.org/app\t(devel)\t\ndep\tgithub.com/a/b\tv1.2.0\th1:x=\ndep\tgithub.com/c/d\tv1.0.0\n=>\tgithub.com/e/d\tv1.1.0\th1:y=\n${mark}`;
  const text = (value: string): Buffer => {
    const bytes = Buffer.from(value);
    const length = bytes.length;
    return Buffer.concat([Buffer.from(length < 128 ? [length] : [(length & 127) | 128, length >> 7]), bytes]);
  };
  const header = Buffer.alloc(32);
  header.write('\xff Go buildinf:', 'latin1');
  header[14] = 8;
  header[15] = 2;
  const program = Buffer.concat([Buffer.from('\x7fELF'), Buffer.alloc(60), header, text('go1.22.1'), text(modules)]);
  assert.deepEqual(read('usr/bin/app', program), [
    'golang stdlib 1.22.1',
    'golang github.com/a/b v1.2.0',
    'golang github.com/e/d v1.1.0',
  ]);
  for (let cut = 64; cut < program.length; cut++) read('usr/bin/app', program.subarray(0, cut)); // damaged: no exception
});

test('jars: Maven properties, else the manifest, else the name; and jars inside', () => {
  const inner = zip({ 'META-INF/maven/g/a/pom.properties': '#x\ngroupId=g\nartifactId=a\nversion=1.0\n' });
  const manifest =
    'Implementation-Title: Outer\r\nImplementation-Version: 2.0\r\nImplementation-Vendor-Id: org.ou\r\n ter\r\n';
  const outer = zip({ 'META-INF/MANIFEST.MF': manifest, 'BOOT-INF/lib/a.jar': inner });
  assert.deepEqual(read('app/outer.jar', outer), ['maven org.outer:Outer 2.0', 'maven g:a 1.0']);
  assert.deepEqual(read('app/guava-32.1.jar', zip({ x: '' })), ['maven guava:guava 32.1']);
  assert.deepEqual(read('app/x.jar', 'PK no zip'), []);
  // made to be slow: an expression that goes back takes its square
  const spaces = zip({ 'META-INF/MANIFEST.MF': `Bundle-Version: 1${' '.repeat(900_000)}2` });
  assert.deepEqual(read('app/y.jar', spaces), []);
  assert.deepEqual(read(`app/${'-1'.repeat(30_000)}!.jar`, zip({ x: '' })), []);
});

test('rpm: sqlite and ndb', () => {
  const header = rpmHeader({
    1000: 'openssl-libs',
    1001: '3.0.7',
    1002: '27.el9',
    1003: 1,
    1014: 'ASL 2.0',
    1044: 'openssl-3.0.7-27.el9.src.rpm',
  });
  const expected = ['rpm openssl-libs 1:3.0.7-27.el9 openssl=3.0.7-27.el9 ASL 2.0'];
  const directory = mkdtempSync(join(tmpdir(), 'gantry-scan-test-'));
  try {
    const file = join(directory, 'rpmdb.sqlite');
    const database = new DatabaseSync(file);
    database.exec('CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB)');
    database.prepare('INSERT INTO Packages VALUES (1, ?)').run(header);
    database.close();
    assert.deepEqual(read('var/lib/rpm/rpmdb.sqlite', readFileSync(file)), expected);
  } finally {
    rmSync(directory, { recursive: true });
  }
  const ndb = Buffer.alloc(4096 + 16 + header.length);
  ndb.write('RpmP');
  ndb.writeUInt32LE(1, 12);
  ndb.write('Slot', 32);
  ndb.writeUInt32LE(7, 36);
  ndb.writeUInt32LE(256, 40); // in units of 16 bytes
  ndb.write('BlbS', 4096);
  ndb.writeUInt32LE(header.length, 4108);
  header.copy(ndb, 4112);
  assert.deepEqual(read('usr/lib/sysimage/rpm/Packages.db', ndb), expected);
});

function rpmHeader(tags: Readonly<Record<number, string | number>>): Buffer {
  const index: Buffer[] = [];
  let data = Buffer.alloc(0);
  for (const [tag, value] of Object.entries(tags)) {
    const entry = Buffer.alloc(16);
    if (typeof value === 'number') data = Buffer.concat([data, Buffer.alloc((4 - (data.length % 4)) % 4)]);
    entry.writeUInt32BE(Number(tag), 0);
    entry.writeUInt32BE(typeof value === 'number' ? 4 : 6, 4);
    entry.writeUInt32BE(data.length, 8);
    entry.writeUInt32BE(1, 12);
    index.push(entry);
    const bytes = typeof value === 'number' ? Buffer.alloc(4) : Buffer.from(`${value}\0`);
    if (typeof value === 'number') bytes.writeUInt32BE(value);
    data = Buffer.concat([data, bytes]);
  }
  const counts = Buffer.alloc(8);
  counts.writeUInt32BE(index.length, 0);
  counts.writeUInt32BE(data.length, 4);
  return Buffer.concat([counts, ...index, data]);
}

/** A zip with deflated entries; checksums are left out, nobody here reads them. */
function zip(files: Readonly<Record<string, string | Buffer>>): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, content] of Object.entries(files)) {
    const packed = deflateRawSync(content);
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(8, 8);
    local.writeUInt16LE(name.length, 26);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50, 0);
    entry.writeUInt16LE(8, 10);
    entry.writeUInt32LE(packed.length, 20);
    entry.writeUInt32LE(Buffer.byteLength(content), 24);
    entry.writeUInt16LE(name.length, 28);
    entry.writeUInt32LE(offset, 42);
    parts.push(local, Buffer.from(name), packed);
    directory.push(entry, Buffer.from(name));
    offset += local.length + name.length + packed.length;
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(Object.keys(files).length, 10);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, ...directory, end]);
}
