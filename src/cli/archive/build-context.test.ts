import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { readTar } from '../../content/tar/reader.ts';
import { checkContext, directoryContext } from './build-context.ts';

/** The names in the context of a directory with these files. */
async function contextOf(
  files: Readonly<Record<string, string>>,
  dockerfile = '',
  gitignore = false,
): Promise<string[]> {
  const folder = fs.mkdtempSync(join(tmpdir(), 'gantry-context-'));
  try {
    for (const [name, text] of Object.entries({ Dockerfile: 'FROM scratch\n', ...files })) {
      fs.mkdirSync(dirname(join(folder, name)), { recursive: true });
      fs.writeFileSync(join(folder, name), text);
    }
    const names: string[] = [];
    for await (const { header } of readTar(
      directoryContext(folder, dockerfile === '' ? '' : join(folder, dockerfile), { gitignore }).tar,
    )) {
      assert.deepEqual([header.uid, header.gid], [0, 0]);
      names.push(Buffer.from(header.name, 'latin1').toString());
    }
    return names;
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

test('everything, in a fixed order', async () => {
  assert.deepEqual(await contextOf({ 'b/c': '', 'a é': '' }), ['Dockerfile', 'a é', 'b/', 'b/c']);
});

test('what .dockerignore leaves out, and takes back', async () => {
  const files = { 'node_modules/x/y': '', 'src/a.log': '', 'src/b': '', 'docs/keep.md': '', 'docs/no.md': '' };
  assert.deepEqual(
    await contextOf({ ...files, '.dockerignore': '# comment\nnode_modules\n**/*.log\ndocs\n!docs/keep.md\n' }),
    ['.dockerignore', 'Dockerfile', 'docs/keep.md', 'src/', 'src/b'],
  );
});

test('the Dockerfile and the ignore file are sent even when they are ignored', async () => {
  assert.deepEqual(await contextOf({ a: '', '.dockerignore': '*\n' }), ['.dockerignore', 'Dockerfile']);
});

test('without a Dockerfile it is a Containerfile, without a .dockerignore a .containerignore', async () => {
  const folder = fs.mkdtempSync(join(tmpdir(), 'gantry-context-'));
  try {
    const sent = async (): Promise<[string, string[]]> => {
      const { tar, dockerfile } = directoryContext(folder, '');
      const names: string[] = [];
      for await (const { header } of readTar(tar)) names.push(header.name);
      return [dockerfile, names];
    };
    fs.writeFileSync(join(folder, 'Containerfile'), 'FROM scratch\n');
    fs.writeFileSync(join(folder, '.containerignore'), 'a\n');
    fs.writeFileSync(join(folder, 'a'), '');
    assert.deepEqual(await sent(), ['Containerfile', ['.containerignore', 'Containerfile']]);
    fs.writeFileSync(join(folder, 'Dockerfile'), 'FROM scratch\n');
    fs.writeFileSync(join(folder, '.dockerignore'), 'b\n');
    assert.deepEqual(await sent(), [
      'Dockerfile',
      ['.containerignore', '.dockerignore', 'Containerfile', 'Dockerfile', 'a'],
    ]);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});

test('a check is sent what a Dockerfile includes, and nothing through links', async () => {
  const folder = fs.mkdtempSync(join(tmpdir(), 'gantry-context-'));
  const outside = fs.mkdtempSync(join(tmpdir(), 'gantry-outside-'));
  try {
    const include = ['one', 'linked/secret', 'file', '../secret', 'none'].map((path) => `INCLUDE ${path}\n`).join('');
    fs.writeFileSync(join(folder, 'Dockerfile'), `# syntax=gantry/dockerfile:1\n${include}`);
    fs.writeFileSync(join(folder, 'one'), 'INCLUDE two\n');
    fs.writeFileSync(join(folder, 'two'), 'USER two\n');
    fs.writeFileSync(join(folder, 'other'), 'not included');
    fs.writeFileSync(join(outside, 'secret'), 'secret');
    fs.symlinkSync(outside, join(folder, 'linked'));
    fs.symlinkSync(join(outside, 'secret'), join(folder, 'file'));
    const texts: Record<string, string> = {};
    for await (const { header, body } of readTar(checkContext(folder, '').tar))
      texts[header.name] = Buffer.concat(await Array.fromAsync(body)).toString();
    delete texts['Dockerfile'];
    assert.deepEqual(texts, { one: 'INCLUDE two\n', two: 'USER two\n', file: '', linked: '', other: '' });
  } finally {
    for (const place of [folder, outside]) fs.rmSync(place, { recursive: true });
  }
});

test('an ignore file for one Dockerfile goes before the other', async () => {
  const files = {
    'other.Dockerfile': '',
    'other.Dockerfile.dockerignore': 'a\n',
    '.dockerignore': 'b\n',
    a: '',
    b: '',
  };
  assert.deepEqual(await contextOf(files, 'other.Dockerfile'), [
    '.dockerignore',
    'Dockerfile',
    'b',
    'other.Dockerfile',
    'other.Dockerfile.dockerignore',
  ]);
});

test('a Dockerfile from elsewhere is sent along', async () => {
  const elsewhere = fs.mkdtempSync(join(tmpdir(), 'gantry-context-'));
  try {
    fs.writeFileSync(join(elsewhere, 'Dockerfile'), 'FROM scratch\n');
    fs.mkdirSync(join(elsewhere, 'context'));
    const { tar, dockerfile } = directoryContext(join(elsewhere, 'context'), join(elsewhere, 'Dockerfile'));
    const names = [];
    for await (const { header } of readTar(tar)) names.push(header.name);
    assert.deepEqual(names, [dockerfile]);
    assert.match(dockerfile, /^\.dockerfile\.[0-9a-f]{20}$/);
  } finally {
    fs.rmSync(elsewhere, { recursive: true });
  }
});

test('no directory, no Dockerfile', () => {
  assert.throws(() => directoryContext('/nosuch/x', ''), {
    message: 'unable to prepare context: path "/nosuch/x" not found',
  });
  assert.throws(() => directoryContext(import.meta.dirname, ''), /Dockerfile: no such file or directory/);
});

test('what git ignores stays behind where that is wanted, but for the Dockerfile; .dockerignore counts beside it', async () => {
  const files = {
    '.git/HEAD': '',
    '.gitignore': '*.log\ndist/\n/out\n',
    '.dockerignore': '*.md\n!out/kept\n!dist/kept\n',
    'a.log': '',
    'b.md': '',
    'c.js': '',
    'dist/kept': '',
    'dist/app.Dockerfile': '',
    'out/kept': '',
    'src/.gitignore': '!debug.log\n',
    'src/debug.log': '',
    'src/dist': '',
  };
  const sent = ['.dockerignore', '.gitignore', 'Dockerfile', 'c.js'];
  const src = ['src/', 'src/.gitignore', 'src/debug.log', 'src/dist'];
  assert.deepEqual(await contextOf(files, '', true), [...sent, ...src]);
  assert.deepEqual(await contextOf(files, 'dist/app.Dockerfile', true), [...sent, 'dist/app.Dockerfile', ...src]);
});
