/** Labs that need no image but the built-in busybox, run on a real engine: they do what they say. `npm run test:labs` runs all. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gantryWords } from '../cli/command.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { runsDaemon } from '../support/daemon-suite.ts';

const directory = mkdtempSync(join(tmpdir(), 'gantry-labs-'));
const hosts = join(directory, 'hosts');
mkdirSync(join(hosts, 'docker.io'), { recursive: true });
// Nobody answers for Docker Hub, whatever this machine reaches.
writeFileSync(join(hosts, 'docker.io/hosts.toml'), 'server = "http://127.0.0.1:9"\n');
const daemon = new DaemonProcess({ directory, args: ['--registry-config-dir', hosts] });

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function gantry(...words: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...gantryWords, ...words], {
      env: daemon.clientEnv,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk) => (stdout += String(chunk)));
    child.stderr.on('data', (chunk) => (stderr += String(chunk)));
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}

runsDaemon(daemon);

test('gantry labs lists them', async () => {
  const { code, stdout } = await gantry('labs');
  assert.equal(code, 0);
  assert.match(stdout, /^02 +nginx +Run a web server and reach it +nginx:1\.23$/m);
});

for (const lab of ['build-time-and-run-time', 'copy-paths', 'private-registry', 'dev-ci-registry-deploy']) {
  test(`gantry labs run ${lab}`, async () => {
    const { code, stdout, stderr } = await gantry('labs', 'run', '--yes', lab);
    assert.equal(code, 0, `${stdout}\n${stderr}`);
  });
}

test('nothing of a lab stays: no container, no image but the built-in one', async () => {
  assert.equal((await gantry('ps', '-aq')).stdout, '');
  assert.equal((await gantry('images', '--format', '{{.Repository}}')).stdout, 'busybox\n');
});

test('a lab whose images cannot be had says so at once, and what to do', async () => {
  const { code, stdout, stderr } = await gantry('labs', 'run', '--yes', 'nginx');
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^lab 2 needs the image nginx:1\.23, which is not here and cannot be had: .+\n.*labs\/hub\/up makes/m,
  );
  assert.equal(stdout, '');
});

test('a lab that is not there', async () => {
  const { code, stderr } = await gantry('labs', 'run', '99');
  assert.equal(code, 1);
  assert.match(stderr, /no lab "99": gantry labs lists them/);
});
