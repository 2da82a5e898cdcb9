/** Devices that are described on the host (CDI), in steps that ask for them. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runInProcess } from '../cli/in-process.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { nothingLeft } from '../support/daemon-suite.ts';

const here = fs.mkdtempSync(join(tmpdir(), 'gantry-devices-'));
const specifications = join(here, 'cdi');
const daemon = new DaemonProcess({ directory: join(here, 'd'), args: ['--cdi-spec-dir', specifications] });

before(async () => {
  fs.mkdirSync(specifications);
  fs.writeFileSync(join(here, 'library'), 'of the vendor\n');
  fs.writeFileSync(
    join(specifications, 'vendor.yaml'),
    `cdiVersion: "0.6.0"
kind: vendor1.com/device
containerEdits:
  env: [ALL=yes]
devices:
  - name: foo
    containerEdits:
      env: [FOO=injected]
      deviceNodes: [{path: /dev/given, hostPath: /dev/full, permissions: rw}]
      mounts: [{hostPath: ${join(here, 'library')}, containerPath: /vendor/library, options: [ro, bind]}]
      additionalGids: [4321]
  - name: bar
    annotations: {org.mobyproject.buildkit.device.class: class1, org.mobyproject.buildkit.device.autoallow: true}
    containerEdits: {env: [BAR=injected]}
  - name: hooked
    containerEdits: {hooks: [{hookName: createContainer, path: /bin/true}]}
`,
  );
  await daemon.start();
});
after(async () => {
  await daemon.stop();
  await nothingLeft(daemon, here);
});

async function build(lines: string, ...words: string[]) {
  const dockerfile = `FROM busybox\n${lines}\n`;
  return runInProcess(['build', '--no-cache', ...words, '-'], { env: daemon.clientEnv, stdin: dockerfile });
}

test('a step gets its devices with all that belongs to them, and others get nothing', async () => {
  const { code, stdout, stderr } = await build(
    [
      'RUN --device=vendor1.com/device=foo,required echo "[$FOO$ALL]" && cat /vendor/library && id -G && test -c /dev/given && ! echo x >/dev/given',
      'RUN --device=class1 echo "[$BAR]"',
      'RUN --device=vendor1.com/device echo "first: $FOO"',
      'RUN --device=vendor9.com/none=x echo "not there: [$FOO]"',
      'RUN test ! -e /dev/given && test ! -e /vendor/library && echo "[$FOO]"',
    ].join('\n'),
    '--allow',
    'device',
  );
  assert.equal(code, 0, stderr + stdout);
  for (const text of [
    '[injectedyes]',
    'of the vendor',
    '4321',
    '[injected]',
    'first: injected',
    'not there: []',
    '\n[]\n',
  ])
    assert.ok(stdout.includes(text), `${text} in ${stdout}`);
});

test('what is refused, and why', async () => {
  for (const [line, words, error] of [
    ['--device=vendor1.com/device=foo', [], /is not allowed: build with --allow device/],
    ['--device=vendor1.com/device=foo', ['--allow', 'device=vendor1.com/device=bar'], /is not allowed/],
    ['--device=vendor1.com/device=none,required', ['--allow', 'device'], /required device .*=none not found/],
    ['--device=vendor1.com/device=hooked', ['--allow', 'device'], /has hooks, which this engine does not run/],
    ['--device=/dev/null', ['--allow', 'device'], /line 2: invalid device "\/dev\/null"/],
    ['--device=a/b=c,size=1', ['--allow', 'device'], /unexpected key 'size'/],
  ] as const) {
    const { code, stderr } = await build(`RUN ${line} true`, ...words);
    assert.equal(code, 1, line);
    assert.match(stderr, error);
  }
  assert.equal((await build('RUN --device=class1,required test $BAR = injected')).code, 0, 'its description allows it');
});
