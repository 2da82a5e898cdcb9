/** Bake files: what `--print` makes of them as against buildx 0.29 (expected.json), and builds with the real daemon. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { DaemonProcess } from '../support/daemon-process.ts';
import { runsDaemon } from '../support/daemon-suite.ts';
import { type Ended, runInProcess } from '../cli/in-process.ts';

interface BakeCase {
  readonly files: Readonly<Record<string, string>>;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly code: number;
  readonly plan?: unknown;
}

const CASES = JSON.parse(fs.readFileSync(new URL('expected.json', import.meta.url), 'utf8')) as Record<
  string,
  BakeCase
>;

/** Bake files are looked for where the command runs: one at a time. */
async function gantry(folder: string, words: readonly string[], env: Environment = {}): Promise<Ended> {
  const before = process.cwd();
  process.chdir(folder);
  try {
    return await runInProcess(words, { env: { PATH: process.env['PATH'], ...env } });
  } finally {
    process.chdir(before);
  }
}

type Environment = Readonly<Record<string, string | undefined>>;

function folderOf(files: Readonly<Record<string, string>>): string {
  const folder = fs.mkdtempSync(join(tmpdir(), 'gantry-bake-test-'));
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(dirname(join(folder, name)), { recursive: true });
    fs.writeFileSync(join(folder, name), text);
  }
  return folder;
}

describe('bake --print as buildx prints it', () => {
  for (const [name, one] of Object.entries(CASES)) {
    test(name, async () => {
      const folder = folderOf(one.files);
      try {
        const { code, stdout, stderr } = await gantry(folder, ['bake', '--print', ...one.args], one.env);
        assert.equal(code, one.code, stderr);
        if (code === 0) assert.deepEqual(JSON.parse(stdout), one.plan);
        else assert.match(stderr, /\S/);
      } finally {
        fs.rmSync(folder, { recursive: true });
      }
    });
  }
});

describe('bake', { skip: process.getuid?.() === 0 ? false : 'needs root, for an engine of its own' }, () => {
  const directory = fs.mkdtempSync(join(tmpdir(), 'gantry-bake-engine-'));
  const daemon = new DaemonProcess({ directory });
  runsDaemon(daemon);

  test('targets are built, with a Dockerfile in the file, a matrix, and what --set says', async () => {
    const folder = folderOf({
      'docker-bake.hcl': `
variable "TAG" { default = "1" }
target "app" {
  name = "app-\${v}"
  matrix = { v = ["a", "b"] }
  args = { V = v }
  dockerfile-inline = "FROM scratch\\nARG V\\nENV V=$V\\nCOPY f.txt /\\n"
  tags = ["app-\${v}:\${TAG}"]
}
`,
      'f.txt': 'f',
    });
    try {
      const metadata = join(folder, 'metadata.json');
      const words = ['bake', 'app', '--set', 'app-b.args.V=other', '--metadata-file', metadata];
      const { code, stdout, stderr } = await gantry(folder, words, { ...daemon.clientEnv, TAG: '2' });
      assert.equal(code, 0, stderr + stdout);
      assert.deepEqual(Object.keys(JSON.parse(fs.readFileSync(metadata, 'utf8')) as object), ['app-a', 'app-b']);
      for (const [name, value] of [
        ['app-a', 'a'],
        ['app-b', 'other'],
      ]) {
        const found = await gantry(folder, ['inspect', '-f', '{{.Config.Env}}', `${name}:2`], daemon.clientEnv);
        assert.match(found.stdout, new RegExp(`V=${value}\\]`), found.stderr);
      }
      const listed = await gantry(folder, ['bake', '--list', 'variables'], daemon.clientEnv);
      assert.match(listed.stdout, /^VARIABLE +VALUE +DESCRIPTION\nTAG +1/);
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  });

  test('targets of targets, entitlements that are granted, conditions of variables', async () => {
    const folder = folderOf({
      'docker-bake.hcl': `
variable "WORD" {
  default = "fine"
  validation {
    condition = WORD != ""
    error_message = "WORD must say something."
  }
  validation {
    condition = strlen(WORD) < MOST
    error_message = "WORD is too long: \${WORD}"
  }
}
variable "MOST" { default = 8 }
function "twice" {
  params = [word]
  result = "\${word}-\${word}"
}
group "default" { targets = ["end"] }
target "base" {
  dockerfile-inline = "FROM busybox\\nARG W\\nRUN --security=insecure grep CapEff /proc/self/status >/caps; echo $W >/base\\n"
  entitlements = ["security.insecure"]
  args = { W = twice(WORD) }
}
target "middle" {
  contexts = { below = "target:base" }
  dockerfile-inline = "FROM below\\nRUN cp /base /middle\\n"
}
target "end" {
  contexts = { files = "target:middle", other = "target:base" }
  dockerfile-inline = "FROM other\\nCOPY --from=files /middle /end\\n"
  tags = ["baked-end:1"]
}
`,
    });
    try {
      assert.equal((await gantry(folder, ['pull', 'busybox'], daemon.clientEnv)).code, 0);
      const refused = await gantry(folder, ['bake'], daemon.clientEnv);
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /pass --allow=security\.insecure/);
      const words = ['bake', '--allow', 'security.insecure'];
      // A target that others are made from is nobody's to pull.
      const built = await gantry(folder, [...words, '--set', 'end.pull=true'], daemon.clientEnv);
      assert.equal(built.code, 0, built.stderr + built.stdout);
      const found = await gantry(
        folder,
        ['run', '--rm', '--network=none', 'baked-end:1', 'cat', '/base', '/end'],
        daemon.clientEnv,
      );
      assert.equal(found.stdout, 'fine-fine\nfine-fine\n');
      const names = await gantry(folder, ['images', '--format', '{{.Repository}}'], daemon.clientEnv);
      assert.doesNotMatch(names.stdout, /gantry-bake/, 'names that were only for the build are gone');
      for (const [word, error] of [
        ['', /validation of the variable WORD failed: WORD must say something\./],
        ['muchtoolong', /validation of the variable WORD failed: WORD is too long: muchtoolong/],
      ] as const) {
        const wrong = await gantry(folder, ['bake', '--print'], { ...daemon.clientEnv, WORD: word });
        assert.equal(wrong.code, 1);
        assert.match(wrong.stderr, error);
      }
      fs.writeFileSync(
        join(folder, 'docker-bake.json'),
        '{"variable": {"N": {"default": 1, "validation": {"condition": "${N < 3}", "error_message": "N is ${N}"}}}}',
      );
      const json = await gantry(folder, ['bake', '--print'], { ...daemon.clientEnv, N: '5' });
      assert.match(json.stderr, /validation of the variable N failed: N is 5/);
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  });

  test('what fails says why', async () => {
    const loop = folderOf({ 'docker-bake.hcl': 'target "default" {\n  inherits = ["default"]\n  colour = "red"\n}\n' });
    const found = await gantry(loop, ['bake', '--print']);
    fs.rmSync(loop, { recursive: true });
    assert.equal(
      found.stderr,
      'WARN: docker-bake.hcl: line 1: "colour" of the target "default" means nothing here\ninfinite loop from inheritance: default → default\n',
    );
    const folder = folderOf({ 'docker-bake.hcl': 'target "default" {\n  tags = ["a" "b"]\n}\n' });
    try {
      const { code, stderr } = await gantry(folder, ['bake'], daemon.clientEnv);
      assert.equal(code, 1);
      assert.match(stderr, /failed to parse docker-bake\.hcl: line 2: expected ",", and found "b"/);
      fs.writeFileSync(
        join(folder, 'docker-bake.hcl'),
        'target "default" {\n  entitlements = ["security.insecure"]\n}\n',
      );
      const refused = await gantry(folder, ['bake'], daemon.clientEnv);
      assert.match(
        refused.stderr,
        /the target default wants security\.insecure: pass --allow=security\.insecure to grant them/,
      );
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  });
});
