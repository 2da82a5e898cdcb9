import { closeSync, openSync } from 'node:fs';
import { EngineError } from '../base/errors.ts';
import { exitStatus } from './children.ts';
import { pipe, readEnd, writeEnd } from './pipe.ts';
import { spawnHere, spawnProcess, type SpawnRequest } from './spawn.ts';

export interface ToolOptions {
  readonly stdin?: string | Uint8Array;
  /** `NAME=value`; the default is a plain PATH. */
  readonly env?: readonly string[];
  readonly cwd?: string;
  /** It starts before the first `await`, in the namespaces where this thread is until then. */
  readonly here?: boolean;
  /** Bytes of stdout to accept; more is an error, not memory. Default 16 MiB. */
  readonly maxOutput?: number;
  /** Default 30 s. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** Exit codes that are no failure; default only 0. */
  readonly accept?: readonly number[];
}

export interface ToolResult {
  readonly exitCode: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export const TOOL_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * Runs a program of the host, found by its absolute path, never through a shell. Throws `unavailable` when it is not
 * there, `timeout`, `cancelled`, and `internal` with what it said on stderr when it fails.
 */
export async function runTool(path: string, args: readonly string[], options: ToolOptions = {}): Promise<ToolResult> {
  options.signal?.throwIfAborted();
  const name = path.slice(path.lastIndexOf('/') + 1);
  const tool = await startTool(path, [name, ...args], options);
  let stopped: EngineError | undefined;
  const stop = (reason: EngineError): void => {
    stopped ??= reason;
    tool.kill();
  };
  const timeoutMs = options.timeoutMs ?? 30_000;
  const timer = setTimeout(
    () => stop(new EngineError('timeout', `${name} did not end within ${timeoutMs / 1000} s`)),
    timeoutMs,
  );
  const onAbort = (): void => stop(new EngineError('cancelled', `${name} was cancelled`));
  options.signal?.addEventListener('abort', onAbort, { once: true });
  if (options.signal?.aborted) onAbort(); // while it was started
  try {
    const maxOutput = options.maxOutput ?? 16 * 1024 * 1024;
    const tooMuch = (): void => stop(new EngineError('too-large', `${name} printed more than ${maxOutput} bytes`));
    const [exitCode, stdout, stderr] = await Promise.all([
      tool.exitCode,
      collect(tool.stdout, maxOutput, tooMuch),
      collect(tool.stderr, MAX_WORDS, () => undefined),
    ]);
    if (stopped) throw stopped;
    const words = stderr.toString('utf8').trim();
    if (!(options.accept ?? [0]).includes(exitCode)) {
      throw new EngineError(
        'internal',
        `${name} failed (exit ${exitCode}): ${words === '' ? 'it said nothing' : words}`,
      );
    }
    return { exitCode, stdout, stderr: words };
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', onAbort);
  }
}

/** What is kept of a failing tool's words. */
const MAX_WORDS = 64 * 1024;

async function startTool(path: string, argv: readonly string[], options: ToolOptions) {
  const out = pipe();
  const err = pipe();
  const input = options.stdin === undefined ? undefined : pipe();
  const ours = [out.read, err.read, ...(input ? [input.write] : [])];
  const theirs = [out.write, err.write, input?.read ?? openSync('/dev/null', 'r')];
  try {
    const request: SpawnRequest = {
      path,
      argv,
      env: options.env ?? [TOOL_PATH],
      fds: [theirs[2]!, theirs[0]!, theirs[1]!],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      newSession: true,
    };
    const child = options.here ? spawnHere(request) : await spawnProcess(request);
    if (input && options.stdin !== undefined) {
      const stdin = writeEnd(input.write);
      stdin.on('error', () => undefined); // it may end without reading all: its exit code tells
      stdin.end(options.stdin);
    }
    let ended = false;
    const exitCode = child.exited.then((exit) => {
      ended = true;
      return exitStatus(exit);
    });
    const kill = (): void => {
      // Its own session is its process group too: what it started goes with it.
      if (!ended) process.kill(-child.pid, 'SIGKILL');
    };
    return { stdout: readEnd(out.read), stderr: readEnd(err.read), exitCode, kill };
  } catch (error) {
    for (const fd of ours) closeSync(fd);
    const missing = (error as { code?: unknown }).code === 'ENOENT';
    const message = missing
      ? `${path} is not installed on this host`
      : `cannot run ${path}: ${(error as Error).message}`;
    throw new EngineError('unavailable', message, { cause: error });
  } finally {
    for (const fd of theirs) closeSync(fd);
  }
}

/** Everything a stream says, up to `limit`; the rest is read and dropped, so that the writer never waits. */
async function collect(stream: AsyncIterable<Buffer>, limit: number, onExcess: () => void): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    if (size + chunk.length > limit) onExcess();
    else chunks.push(chunk);
    size += chunk.length;
  }
  return Buffer.concat(chunks);
}
