import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Cli } from './cli.ts';
import { CommandError } from './command.ts';
import { answers } from './socket-probe.ts';

/** An engine without root starts Node three times. */
const PATIENCE_MS = 60_000;

/** `/var/log/gantry.log` for root. */
export function logPath(cli: Cli): string {
  return cli.root ? '/var/log/gantry.log' : join(cli.env['HOME'] ?? '/tmp', '.gantry', 'gantry.log');
}

/** Starts the daemon detached and waits until its socket answers. Throws with the end of its log when it does not. */
export async function startEngine(cli: Cli, socket: string, log: string): Promise<number> {
  fs.mkdirSync(dirname(log), { recursive: true });
  fs.mkdirSync(dirname(socket), { recursive: true, mode: 0o755 });
  const output = fs.openSync(log, 'a', 0o600);
  const before = fs.fstatSync(output).size;
  const child = spawn(
    cli.self.node,
    ['--disable-warning=ExperimentalWarning', cli.self.daemon, '--host', `unix://${socket}`],
    {
      cwd: '/',
      detached: true,
      stdio: ['ignore', output, output],
    },
  );
  fs.closeSync(output);
  let ended: string | undefined;
  child.once('exit', (code, signal) => (ended = signal ?? `exit code ${code}`));
  child.once('error', (error) => (ended = error.message));
  child.unref();
  const deadline = Date.now() + PATIENCE_MS;
  while (Date.now() < deadline) {
    if (await answers(socket)) return child.pid ?? 0;
    // Another command may have started one at the same moment: then ours gives way, and theirs answers soon.
    if (ended !== undefined && !(await answersWithin(socket, 2000))) break;
    await delay(25);
  }
  if (await answers(socket)) return child.pid ?? 0;
  const tail = fs.readFileSync(log).subarray(before).toString('utf8').trim().split('\n').slice(-8).join('\n  ');
  throw new CommandError(
    `The gantry engine could not be started (${ended ?? `no answer on ${socket} after ${PATIENCE_MS / 1000} s`}). Its log, ${log}, ends with:\n  ${tail}`,
    125,
  );
}

async function answersWithin(socket: string, milliseconds: number): Promise<boolean> {
  for (const deadline = Date.now() + milliseconds; Date.now() < deadline; await delay(50)) {
    if (await answers(socket)) return true;
  }
  return false;
}
