import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { describeGitRule, GitIgnore } from './git-ignore.ts';
import { readGitPattern } from './git-pattern.ts';

const directory = fs.mkdtempSync(join(tmpdir(), 'gantry-gitignore-'));
after(() => fs.rmSync(directory, { recursive: true }));
const hasGit = spawnSync('git', ['--version']).status === 0;

/** Paths that end with a slash are directories. */
function tree(name: string, files: Readonly<Record<string, string>>): string {
  const root = join(directory, name);
  for (const [path, text] of Object.entries(files)) {
    const full = join(root, path);
    fs.mkdirSync(path.endsWith('/') ? full : dirname(full), { recursive: true });
    if (!path.endsWith('/')) fs.writeFileSync(full, text);
  }
  return root;
}

function git(root: string, ...words: string[]): string {
  const env = { PATH: process.env['PATH'], HOME: directory, GIT_CONFIG_NOSYSTEM: '1', XDG_CONFIG_HOME: directory };
  const { stdout, status, stderr } = spawnSync('git', words, { cwd: root, encoding: 'utf8', env });
  assert.ok(status === 0 || status === 1, stderr);
  return stdout;
}

const PATTERNS = [
  'foo',
  '/foo',
  'foo/',
  '/foo/',
  'foo//',
  '//foo',
  'a/foo',
  '/a/foo',
  'a/foo/',
  'a/',
  'b/c',
  '*.log',
  '/*.log',
  'a/*.log',
  '*',
  '*/',
  '/*',
  '/*/',
  '**',
  '**/',
  '/**',
  '/**/',
  '**/foo',
  '**/foo/',
  'a/**',
  'a/**/',
  'a/**/foo',
  'a/**/b/**/x.log',
  '**/b/*.log',
  'a**',
  'a**/foo',
  'a/b**',
  'a/b**/x.log',
  '***/foo',
  'a/***/foo',
  'a/*/foo',
  'a/*/x.*',
  'f?o',
  '?oo',
  'a?foo',
  'caf?',
  'caf??',
  'café',
  'f[a-o]o',
  'f[!a-o]o',
  'f[^o]o',
  'a[/]foo',
  '[[:alpha:]]oo',
  '[[:nonsense:]]oo',
  '[[:digit:]].log',
  '[]f]oo',
  '[f',
  'fo[o',
  '[o-]oo',
  'f[o-o]o',
  '[\\f]oo',
  '[a-\\f]oo',
  '\\foo',
  'fo\\o',
  'foo\\',
  '\\#hash',
  '#hash',
  '\\!bang',
  '!bang',
  'space ',
  'space\\ ',
  'space\\  ',
  'foo   ',
  'tab\t',
  '\\*',
  '*\\**',
  'st\\*r',
  'x.log\r',
  '*o*o*',
  'a/b/c/x.log',
  'a/b/c/*',
  '**/c/**',
  'b/**',
  '*/b/c',
  '[[:upper:][:punct:]]*',
  'tab[[:cntrl:]]',
  'd/caf[^[:cntrl:]]*',
  'a\\/foo',
  'a/**\\/foo',
  '*.l?g',
  '.*',
];
const PATHS = {
  foo: '',
  foox: '',
  'a/foo': '',
  'a/x/foo': '',
  'a/b/foo/y': '',
  'a/b/c/x.log': '',
  'a/b/x.log': '',
  'ab/foo': '',
  'ab/c/foo': '',
  'b/c': '',
  'b/foo/deep/z': '',
  'x.log': '',
  '1.log': '',
  'd/*': '',
  'd/st*r': '',
  'd/café': '',
  '#hash': '',
  '!bang': '',
  space: '',
  'd/space ': '',
  'd/f-o': '',
  'd/]oo': '',
  'd/[f': '',
  'd/UPPER': '',
  'foo\\': '',
  'tab\t': '',
  'c/x.log': '',
};

/** What `git check-ignore` says of the paths: `FILE:LINE:PATTERN` for each it ignores. */
function asked(root: string, paths: readonly string[]): Map<string, string> {
  const { stdout } = spawnSync('git', ['check-ignore', '-z', '-v', '-n', '--no-index', '--stdin'], {
    cwd: root,
    input: paths.join('\0'),
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], HOME: directory, GIT_CONFIG_NOSYSTEM: '1', XDG_CONFIG_HOME: directory },
  });
  const fields = stdout.split('\0');
  const out = new Map<string, string>();
  for (let index = 0; index + 3 < fields.length; index += 4) {
    const [file = '', line = '', pattern = '', path = ''] = fields.slice(index, index + 4);
    if (file !== '' && !pattern.startsWith('!')) out.set(path, `${file}:${line}: ${pattern}`);
  }
  return out;
}

/** The same of ours. */
function decided(root: string, paths: readonly string[]): Map<string, string> {
  const rules = new GitIgnore(root);
  const out = new Map<string, string>();
  for (const path of paths) {
    const by = rules.decide(path, () => fs.lstatSync(join(root, path)).isDirectory());
    if (by) out.set(path, describeGitRule(by));
  }
  return out;
}

function everything(root: string): string[] {
  return (fs.readdirSync(root, { recursive: true }) as string[])
    .filter((path) => path !== '.git' && !path.startsWith('.git/'))
    .sort();
}

describe('GitIgnore decides as git check-ignore does', { skip: hasGit ? false : 'there is no git' }, () => {
  test('each pattern alone', () => {
    const root = tree('alone', PATHS);
    git(root, 'init', '-q');
    const paths = everything(root);
    for (const pattern of PATTERNS) {
      fs.writeFileSync(join(root, '.gitignore'), pattern);
      assert.deepEqual(decided(root, paths), asked(root, paths), JSON.stringify(pattern));
    }
  });

  test('files of several directories, what is taken back in, info/exclude', () => {
    const root = tree('several', {
      ...PATHS,
      '.gitignore': '\ufeff# comment\n\n*.log\r\n!a/b/x.log\na/x/\n/b\n!b/c\ndone/\n',
      'a/.gitignore': '!*.log\n/foo\nb/c/*\n',
      'a/b/.gitignore': 'x.log\n!foo\nfoo/*\n',
      'b/.gitignore': '!c\n',
      'c/.gitignore': '',
      'done/x': '',
      'e/done': '',
      'kept/one': '',
      'kept/two': '',
    });
    git(root, 'init', '-q');
    fs.writeFileSync(join(root, '.git/info/exclude'), 'kept/*\n!kept/two\n!1.log\nd/\n');
    fs.symlinkSync('../kept', join(root, 'c/done'));
    fs.rmSync(join(root, 'c/.gitignore'));
    fs.symlinkSync('../.gitignore', join(root, 'c/.gitignore'));
    const paths = everything(root).filter((path) => !path.startsWith('c/done/'));
    const ours = decided(root, paths);
    assert.deepEqual(ours, asked(root, paths));
    assert.equal(ours.get('a/x/foo'), '.gitignore:5: a/x/');
  });
});

test('a directory of a repository has the rules of those above it, and a repository inside only its own', () => {
  const root = tree('nested', {
    '.git/HEAD': '',
    '.git/info/exclude': '*.tmp\n',
    '.git/modules/sub/info/exclude': '*.mine\n',
    '.gitignore': '*.log\n/app/dist\n/gone\n',
    'app/a.log': '',
    'app/dist': '',
    'app/sub/.git': 'gitdir: ../../.git/modules/sub\n',
    'gone/x': '',
  });
  const rules = new GitIgnore(join(root, 'app'));
  const of = (path: string): string | undefined => {
    const by = rules.decide(path, () => false);
    return by && describeGitRule(by);
  };
  assert.deepEqual(['a.log', 'dist', 'x.tmp', 'b', 'sub/a.log', 'sub/x.tmp', 'sub/x.mine', 'sub/.git'].map(of), [
    '.gitignore:1: *.log',
    '.gitignore:2: /app/dist',
    '.git/info/exclude:1: *.tmp',
    undefined,
    undefined,
    undefined,
    '.git/info/exclude:1: *.mine',
    ".git is git's own",
  ]);
  assert.throws(
    () => new GitIgnore(join(root, 'gone')),
    /leaves nothing of the context .*gone: git ignores it \(\.gitignore:3: \/gone\)/,
  );
});

test('a hostile pattern takes pattern times name', () => {
  const name = 'a'.repeat(4000);
  assert.equal(readGitPattern(`${'*a'.repeat(200)}*b`)!.matches(name), false);
  assert.equal(readGitPattern(`x/${'**/a*/'.repeat(100)}b`)!.matches(`x/${'aa/'.repeat(1300)}c`), false);
});
