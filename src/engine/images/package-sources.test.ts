import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseBase, parseLines, parseStanzas, sourceLine, sourcesFor } from './package-sources.ts';

const directory = await mkdtemp(join(tmpdir(), 'gantry-apt-'));
after(() => rm(directory, { recursive: true }));
await mkdir(join(directory, 'sources.list.d'));
await writeFile(
  join(directory, 'sources.list.d/debian.sources'),
  `Types: deb
# a comment
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /keys/debian.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Types: deb-src
URIs: http://mirror.example/debian
Suites: bookworm
Components: main
`,
);
await writeFile(join(directory, 'sources.list.d/other.list'), 'deb http://other.example/apt tool main\n');
const host = { directory, distribution: 'debian', codename: 'bookworm' };

test('a base is a distribution, a suite, and perhaps slim', () => {
  assert.deepEqual(parseBase('debian:bookworm-slim'), { distribution: 'debian', suite: 'bookworm', slim: true });
  assert.deepEqual(parseBase('debian:12'), { distribution: 'debian', suite: 'bookworm', slim: false });
  assert.deepEqual(parseBase('ubuntu:24.04'), { distribution: 'ubuntu', suite: 'noble', slim: false });
  assert.deepEqual(parseBase('debian'), { distribution: 'debian', suite: 'stable', slim: false });
  assert.equal(parseBase('debian:slim', 'sid').suite, 'sid');
  for (const base of ['alpine', 'debian:', 'debian:../x', 'debian:a b', 'ubuntu']) {
    assert.throws(() => parseBase(base), { code: 'invalid-argument' }, base);
  }
});

test("this machine's own sources of the suite, with updates and security", async () => {
  const sources = await sourcesFor(parseBase('debian:bookworm'), host);
  assert.deepEqual(sources.map(sourceLine), [
    'deb [signed-by=/keys/debian.gpg] http://mirror.example/debian bookworm main contrib',
    'deb [signed-by=/keys/debian.gpg] http://mirror.example/debian bookworm-updates main contrib',
    'deb http://mirror.example/debian-security bookworm-security main',
  ]);
});

test('another suite of the same distribution comes from the same place', async () => {
  const sources = await sourcesFor(parseBase('debian:trixie'), host);
  assert.deepEqual(
    sources.map((source) => source.suite),
    ['trixie', 'trixie-updates', 'trixie-security'],
  );
});

test('a mirror goes before all, and without one another distribution has no source', async () => {
  const [source] = await sourcesFor(parseBase('debian:trixie'), host, 'http://m.example/d');
  assert.equal(sourceLine(source!), 'deb [signed-by=/keys/debian.gpg] http://m.example/d trixie main');
  await assert.rejects(sourcesFor(parseBase('ubuntu:noble'), host), { code: 'unavailable' });
  await assert.rejects(sourcesFor(parseBase('debian:trixie'), host, '[x] y'), { code: 'invalid-argument' });
});

test('both formats of sources are read', () => {
  assert.deepEqual(parseLines('# deb http://no x y\ndeb [arch=amd64 signed-by=/k.gpg] http://h/d s a b # c\n'), [
    { uri: 'http://h/d', suite: 's', components: ['a', 'b'], signedBy: '/k.gpg' },
  ]);
  assert.deepEqual(parseStanzas('Types: deb\nEnabled: no\nURIs: http://h\nSuites: s\nComponents: c\n'), []);
});
