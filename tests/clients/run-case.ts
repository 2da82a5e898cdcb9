import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { UnprivilegedUser } from '../support/unprivileged-user.ts';
import { mask } from './mask.ts';
import { removeNamed } from './remove-named.ts';

export interface CaseResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one script with the real docker CLI against `host`, and removes what it left under its name. */
export async function runCase(script: string, host: string, user?: UnprivilegedUser): Promise<CaseResult> {
  const prefix = `case-${randomBytes(4).toString('hex')}x`;
  const temporary = await mkdtemp(join(tmpdir(), 'gantry-case-'));
  if (user) await chown(temporary, user.uid, user.uid);
  const env = {
    PATH: process.env['PATH'],
    HOME: temporary,
    DOCKER_HOST: host,
    N: prefix,
    T: temporary,
    LC_ALL: 'C.UTF-8',
    DOCKER_CLI_HINTS: 'false',
  };
  try {
    const result = await shell(`rc() { echo "rc=$?"; }\n${script}`, env, 60_000, user);
    return {
      exitCode: result.exitCode,
      stdout: mask(result.stdout, prefix, temporary),
      stderr: mask(result.stderr, prefix, temporary),
    };
  } finally {
    await removeNamed(host, prefix);
    await rm(temporary, { recursive: true, force: true });
  }
}

async function shell(
  script: string,
  env: NodeJS.ProcessEnv,
  timeoutMs: number,
  user?: UnprivilegedUser,
): Promise<CaseResult> {
  const own: [string, ...string[]] = ['sh', '-c', script];
  const [program, ...args] = user?.command(own) ?? own;
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const chunks = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  child.stdout.on('data', (chunk: Buffer) => chunks.stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => chunks.stderr.push(chunk));
  // The whole group: a shell alone would leave its docker commands behind.
  const timer = setTimeout(() => process.kill(-child.pid!, 'SIGKILL'), timeoutMs);
  const exitCode = await new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? 137)));
  clearTimeout(timer);
  return { exitCode, stdout: Buffer.concat(chunks.stdout).toString(), stderr: Buffer.concat(chunks.stderr).toString() };
}
