/**
 * The same command lines through docker's own command and through ours, on one engine: the same output, the same exit
 * code. Skipped where there is no docker command.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { DaemonProcess } from '../support/daemon-process.ts';
import { CASES } from './cases.ts';
import { type Ended, runInProcess } from './in-process.ts';

const directory = mkdtempSync(join(tmpdir(), 'gantry-compare-'));
const daemon = new DaemonProcess({ directory });
const docker = spawnSync('docker', ['--version']).status === 0;
const env = {
  ...daemon.clientEnv,
  DOCKER_CONFIG: join(directory, 'config'),
  DOCKER_API_VERSION: '1.50',
  FROM_HERE: 'yes',
};

describe(
  'gantry as docker',
  {
    skip: docker ? false : 'no docker command on this machine: apt-get install docker-cli (or docker.io)',
    concurrency: 2,
  },
  () => {
    before(async () => {
      await daemon.start();
      await daemon.importBusybox();
    });
    after(async () => {
      await daemon.stop();
      rmSync(directory, { recursive: true, force: true });
    });

    for (const [i, { words, stdin = '' }] of CASES.entries()) {
      test(`${i} ${words.join(' ')}`, async () => {
        const line = words.map((word) => word.replace(/(?<![-|])%(?=[a-z]|$)/g, `c${i}-`).replace('IMAGE', 'busybox'));
        const theirs = await runDocker(line, stdin);
        const ours = await runInProcess(line, { env, stdin });
        assert.deepEqual(masked(ours), masked(theirs));
      });
    }
  },
);

function runDocker(words: readonly string[], stdin: string): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn('docker', words, { env, stdio: 'pipe' });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.stdin.on('error', () => {});
    child.stdin.end(stdin);
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? -1, stdout, stderr }));
  });
}

/** Without the program's name, ages, and ids that are new each time. */
function masked({ code, stdout, stderr }: Ended): Ended {
  const mask = (text: string): string =>
    text
      .replace(/\bdocker\b(?!\.)/g, 'gantry')
      .replace(/(\d+|About an?|Less than a) (second|minute|hour|day|week|month|year)s? ago/g, 'AGO')
      .replace(/\b[0-9a-f]{12}\b/g, 'ID')
      .replace(/[ \t]+$/gm, '');
  return { code, stdout: mask(stdout), stderr: mask(stderr) };
}
