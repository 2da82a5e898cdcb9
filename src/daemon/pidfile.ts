import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { EngineError } from '../base/errors.ts';

/** Throws `conflict` when the file names a process that runs and is not this one. */
export function writePidfile(path: string): void {
  const earlier = readPid(path);
  if (earlier !== undefined && earlier !== process.pid && isRunning(earlier)) {
    throw new EngineError(
      'conflict',
      `process with PID ${earlier} is still running: stop it, or remove ${path} when it is no daemon`,
    );
  }
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  writeFileSync(path, String(process.pid));
}

/** Removes it when it is ours. */
export function removePidfile(path: string): void {
  if (readPid(path) === process.pid) rmSync(path, { force: true });
}

function readPid(path: string): number | undefined {
  try {
    return Number(readFileSync(path, 'utf8').trim()) || undefined;
  } catch {
    return undefined;
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
