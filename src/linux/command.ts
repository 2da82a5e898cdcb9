import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { EngineError } from '../base/errors.ts';

export interface CommandOptions {
  /** The whole environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Each line the program prints, on either stream, as it comes. */
  readonly onLine?: (line: string) => void;
  /** Ends the program and everything it started. */
  readonly signal?: AbortSignal | undefined;
}

export const COMMAND_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** Lines that are kept for the message of a failure. */
const LAST_LINES = 20;

/**
 * Runs a program that takes long and says how it goes on, without a shell. Throws `unavailable` when it is not installed,
 * `cancelled`, and `internal` with its last words when it fails.
 */
export async function runCommand(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<void> {
  const { signal, onLine } = options;
  signal?.throwIfAborted();
  // A group of its own, so that its children end with it.
  const child = spawn(program, args, {
    env: { PATH: COMMAND_PATH, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const ended = Promise.withResolvers<number | null>();
  child.once('error', ended.reject);
  child.once('close', ended.resolve);
  const last: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      if (last.push(line.slice(0, 1000)) > LAST_LINES) last.shift();
      onLine?.(line);
    });
  }
  const stop = (): void => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGTERM');
  };
  signal?.addEventListener('abort', stop, { once: true });
  try {
    const status = await ended.promise;
    if (signal?.aborted) throw new EngineError('cancelled', `${program} was cancelled`);
    if (status !== 0) throw new EngineError('internal', `${program} failed (exit ${status}): ${last.join('\n')}`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new EngineError('unavailable', `${program} is not installed`, { cause: error });
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}
