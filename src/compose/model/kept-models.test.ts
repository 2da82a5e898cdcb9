import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { ProjectInputs } from './inputs.ts';
import { KeptModels } from './kept-models.ts';
import { type LoadedProject, loadProject, type LoadOptions } from './load.ts';
import { asDict, asText } from './value.ts';

const FILES = {
  'compose.yaml': `name: demo
include: [more/compose.yaml]
services:
  web:
    image: busybox:\${TAG:-latest}
    extends: { file: base.yaml, service: base }
    env_file: [web.env, { path: optional.env, required: false }]
    environment: { SECRET: "\${SECRET}", PLAIN: }
  debug: { image: busybox, profiles: [debug] }
`,
  'more/compose.yaml': 'services: { other: { image: "busybox:${INCLUDED:-none}" } }\n',
  'base.yaml': 'services: { base: { labels: { a: "1" } } }\n',
  'web.env': 'FROM_FILE=1\n',
  '.env': 'OF_DOTENV=1\nTAG=2\n',
};

class Home {
  readonly directory: string;
  readonly models: string;

  constructor(t: TestContext) {
    this.directory = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'gantry-kept-')));
    this.models = join(this.directory, '.cache/gantry/compose/models');
    t.after(() => fs.rmSync(this.directory, { recursive: true }));
    for (const [name, text] of Object.entries(FILES)) this.write(name, text);
  }

  write(name: string, text: string): void {
    fs.mkdirSync(join(this.directory, name, '..'), { recursive: true });
    fs.writeFileSync(join(this.directory, name), text);
  }

  options(more: Partial<LoadOptions> = {}): LoadOptions {
    const env = { HOME: this.directory, SECRET: 'do not tell', UNUSED: '1' };
    return { files: [], envFiles: [], profiles: [], cwd: this.directory, env, warn: () => {}, ...more };
  }

  kept(build = '1'): KeptModels {
    return new KeptModels(this.directory, this.models, build);
  }

  keep(options = this.options()): LoadedProject {
    const inputs = new ProjectInputs(options.env);
    const warnings: string[] = [];
    const loaded = loadProject({ ...options, inputs, warn: (text) => warnings.push(text) });
    this.kept().keep(options, inputs, { loaded, warnings });
    return loaded;
  }

  get entries(): string[] {
    return fs.readdirSync(this.models).map((name) => join(this.models, name));
  }
}

const plain = (loaded: LoadedProject | undefined): unknown =>
  loaded && { ...loaded, lookup: undefined, model: loaded.model, disabled: loaded.disabled };

test('KeptModels gives what loading gave, with its warnings', (t) => {
  const home = new Home(t);
  home.write('base.yaml', 'version: "3"\nservices: { base: { labels: { a: "${NOWHERE}", __proto__: x } } }\n');
  const loaded = home.keep();
  const found = home.kept().find(home.options());
  assert.deepEqual(plain(found?.loaded), plain(loaded));
  assert.match(found?.warnings.join('\n') ?? '', /"NOWHERE" variable is not set[^]*obsolete/);
  assert.equal(found?.loaded.lookup('OF_DOTENV'), '1');
});

test('KeptModels: variables that no file asks for are those of now', (t) => {
  const home = new Home(t);
  home.keep();
  const env = { ...home.options().env, UNUSED: '2', OF_DOTENV: 'mine' };
  const found = home.kept().find(home.options({ env }));
  assert.equal(found?.loaded.environment.get('UNUSED'), '2');
  assert.equal(found?.loaded.environment.get('OF_DOTENV'), 'mine');
});

const CHANGES: Readonly<Record<string, (home: Home) => unknown>> = {
  "the file's text": (home) => home.write('compose.yaml', `${FILES['compose.yaml']}# more\n`),
  'the included file': (home) => home.write('more/compose.yaml', 'services: { other: { image: a } }\n'),
  'the file of extends': (home) => home.write('base.yaml', 'services: { base: { labels: { a: "2" } } }\n'),
  'the env file of a service': (home) => home.write('web.env', 'FROM_FILE=2\n'),
  'an env file that was not there': (home) => home.write('optional.env', 'A=1\n'),
  '.env': (home) => home.write('.env', 'TAG=3\n'),
  'a .env that is gone': (home) => fs.rmSync(join(home.directory, '.env')),
  "the included directory's .env, which was not there": (home) => home.write('more/.env', 'INCLUDED=1\n'),
  'an override that was not there': (home) => home.write('compose.override.yaml', 'services: {}\n'),
  'a file that has become a directory': (home) => {
    fs.rmSync(join(home.directory, 'web.env'));
    fs.mkdirSync(join(home.directory, 'web.env'));
  },
  'a variable': (home) => ({ env: { ...home.options().env, SECRET: 'another' } }),
  'a variable that was not set': (home) => ({ env: { ...home.options().env, TAG: '4' } }),
  'a variable that only the environment names': (home) => ({ env: { ...home.options().env, PLAIN: '1' } }),
  'a variable that is no longer set': (home) => ({ env: { HOME: home.directory } }),
  COMPOSE_PROFILES: (home) => ({ env: { ...home.options().env, COMPOSE_PROFILES: 'debug' } }),
  COMPOSE_FILE: (home) => ({ env: { ...home.options().env, COMPOSE_FILE: 'base.yaml' } }),
  'a profile': () => ({ profiles: ['debug'] }),
  'a service that is named': () => ({ services: ['debug'] }),
  'the project name': () => ({ projectName: 'another' }),
  'a file that is named': () => ({ files: ['base.yaml'] }),
  'an env file that is named': () => ({ envFiles: ['web.env'] }),
  'the working directory': (home) => ({ cwd: join(home.directory, 'more') }),
};

for (const [what, change] of Object.entries(CHANGES))
  test(`KeptModels: another model with ${what}`, (t) => {
    const home = new Home(t);
    home.keep();
    assert.ok(home.kept().find(home.options()));
    assert.equal(home.kept().find(home.options((change(home) ?? {}) as Partial<LoadOptions>)), undefined);
  });

test('KeptModels takes nothing that another build kept', (t) => {
  const home = new Home(t);
  home.keep();
  assert.equal(home.kept('2').find(home.options()), undefined);
});

test('KeptModels: whoever has an entry and not what it is made of reads no value in it', (t) => {
  const home = new Home(t);
  home.keep();
  const [entry] = home.entries;
  const bytes = fs.readFileSync(entry!);
  for (const text of ['do not tell', 'busybox', 'FROM_FILE']) assert.equal(bytes.includes(text), false, text);
  assert.deepEqual([fs.statSync(entry!).mode & 0o777, fs.statSync(home.models).mode & 0o777], [0o600, 0o700]);
});

test('KeptModels ignores entries that are damaged, cut off, open to others, or links', (t) => {
  const home = new Home(t);
  home.keep();
  const [entry] = home.entries as [string];
  const good = fs.readFileSync(entry);
  const found = (): boolean => home.kept().find(home.options()) !== undefined;
  for (let at = 0; at < good.length; at += 7) {
    const bad = Buffer.from(good);
    bad[at]! ^= 0x55;
    fs.writeFileSync(entry, bad);
    assert.equal(found(), false, `byte ${at}`);
    fs.writeFileSync(entry, good.subarray(0, at));
    assert.equal(found(), false, `${at} bytes`);
  }
  fs.writeFileSync(entry, good);
  assert.equal(found(), true);
  fs.chmodSync(entry, 0o644);
  assert.equal(found(), false);
  fs.renameSync(entry, join(home.directory, 'entry'));
  fs.chmodSync(join(home.directory, 'entry'), 0o600);
  fs.symlinkSync(join(home.directory, 'entry'), entry);
  assert.equal(found(), false);
  home.keep();
  assert.equal(found(), true);
});

test('KeptModels keeps nothing of what cannot be looked at again', (t) => {
  const home = new Home(t);
  home.keep(
    home.options({ files: ['-'], stdin: () => FILES['base.yaml'].replace('{ base: {', '{ base: { image: a,') }),
  );
  home.write('fetched/compose.yaml', 'services: { base: { image: a } }\n');
  const root = join(home.directory, 'fetched');
  const fetchRemote = (): { path: string; root: string } => ({ path: join(root, 'compose.yaml'), root });
  home.keep(home.options({ files: ['https://host.example/repo.git'], fetchRemote }));
  home.write('infinite.yaml', 'services: { base: { image: a, x-number: .inf } }\n');
  home.keep(home.options({ files: ['infinite.yaml'] }));
  assert.equal(fs.existsSync(home.models), false);
});

test('KeptModels keeps the newest entries, and nothing where the directory is open to others', (t) => {
  const home = new Home(t);
  for (let i = 0; i < 66; i++) home.keep(home.options({ projectName: `p${i}` }));
  assert.equal(home.entries.length, 64);
  assert.equal(home.kept().find(home.options({ projectName: 'p0' })), undefined);
  assert.equal(asText(asDict(home.kept().find(home.options({ projectName: 'p65' }))?.loaded.model)['name']), 'p65');
  fs.chmodSync(home.models, 0o755);
  home.keep(home.options({ projectName: 'more' }));
  assert.equal(home.kept().find(home.options({ projectName: 'more' })), undefined);
});
