import { closeSync, existsSync, openSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs';
import { EngineError } from '../base/errors.ts';
import { within } from '../base/time.ts';
import { exitStatus } from '../linux/children.ts';
import { pipe } from '../linux/pipe.ts';
import { descendants, identify, signalProcess } from '../linux/process.ts';
import { spawnProcess, type SpawnedProcess } from '../linux/spawn.ts';
import { openTerminal, setTerminalSize } from '../linux/terminal.ts';
import { accept, listenStream, receiveDescriptor } from '../linux/unix-socket.ts';
import { pipeStreams, terminalStreams, type ExecStreams } from './exec-streams.ts';
import { RUNTIME_ENV, type OciRuntime } from './oci-runtime.ts';
import { lastWords, runtimeError } from './runtime-error.ts';
import type { ExecProcess, ExecRequest } from './task.ts';

export interface StartExecOptions {
  readonly runtime: OciRuntime;
  readonly containerId: string;
  readonly request: ExecRequest;
  /** Where its few files are while it runs. */
  readonly directory: string;
  /** How long the runtime may take until the process runs. */
  readonly timeoutMs: number;
}

/**
 * Runs a process in a container by `<runtime> exec`, which stays as its parent: it passes on the exit status. Resolves
 * once the process runs; a command that cannot run is an error in runc's words, as Docker shows it.
 */
export async function startExec(options: StartExecOptions): Promise<ExecProcess> {
  const { runtime, request } = options;
  const { descriptors = [] } = request;
  const files = new ExecFiles(options.directory, request.id);
  const spec = { ...request.process };
  if (request.consoleSize) spec.consoleSize = { height: request.consoleSize.rows, width: request.consoleSize.columns };
  writeFileSync(files.process, JSON.stringify(spec), { mode: 0o600 });
  const started = new StartWatch(options.directory, files.pid);
  const stdio =
    request.process.terminal !== true
      ? new PipeStdio(request)
      : (await runtime.isCrun())
        ? new ConsoleSocketStdio(files.socket)
        : new TerminalStdio(request);
  try {
    const child = await spawnProcess({
      path: runtime.path,
      argv: [
        runtime.name,
        ...runtime.args,
        '--log',
        files.log,
        'exec',
        '--process',
        files.process,
        '--pid-file',
        files.pid,
        ...stdio.args,
        ...(descriptors.length > 0 ? ['--preserve-fds', String(descriptors.length)] : []),
        options.containerId,
      ],
      env: RUNTIME_ENV,
      fds: [...stdio.fds, ...descriptors],
      newSession: true,
    });
    const running = Promise.race([
      started.pid.then((pid) => ({ pid })),
      child.exited.then(() => ({ pid: readPid(files.pid) })),
    ]);
    const outcome = await within(options.timeoutMs, running);
    if (!outcome) {
      // it waits for something that the container's files made it wait for
      killFamily(child.pid);
      await child.exited;
      throw new EngineError(
        'timeout',
        `the runtime ${runtime.name} started no process within ${options.timeoutMs / 1000} s: it was killed`,
      );
    }
    const { pid } = outcome;
    const streams = pid === undefined ? undefined : stdio.streams(child);
    if (pid === undefined || !streams) {
      const words = readText(files.log) || (await stdio.words());
      throw runtimeError({ doing: 'exec', runtime: runtime.name, words, command: request.process.args[0] });
    }
    return execProcess({ pid, child, streams, files });
  } catch (error) {
    files.remove();
    throw error;
  } finally {
    started.close();
    stdio.closeTheirs();
  }
}

function killFamily(pid: number): void {
  const leader = identify(pid);
  for (const member of [...(leader ? [leader] : []), ...descendants(pid)]) signalProcess(member, SIGKILL);
}

const SIGKILL = 9;

function execProcess(running: {
  pid: number;
  child: SpawnedProcess;
  streams: ExecStreams;
  files: ExecFiles;
}): ExecProcess {
  const { pid, child, streams, files } = running;
  const identity = identify(pid);
  const exited = child.exited.then((exit) => {
    const exitCode = exitStatus(exit);
    // The kernel refused the program only at the very end (a script without its interpreter, another architecture).
    streams.processEnded(exitCode === 0 ? '' : lastWords(readText(files.log)));
    files.remove();
    return { exitCode };
  });
  return {
    pid,
    exited,
    output: streams.output,
    write: (data) => streams.write(data),
    closeStdin: () => streams.closeStdin(),
    resize: async (size) => streams.resize(size),
    kill: async (signal) => {
      if (identity) signalProcess(identity, signal);
    },
  };
}

/** Names are short: a console socket's path has 107 bytes. */
class ExecFiles {
  readonly process: string;
  readonly pid: string;
  readonly log: string;
  readonly socket: string;

  constructor(directory: string, id: string) {
    const base = `${directory}/${id.slice(0, 16)}`;
    this.process = `${base}.json`;
    this.pid = `${base}.pid`;
    this.log = `${base}.log`;
    this.socket = `${base}.sock`;
  }

  remove(): void {
    for (const path of [this.process, this.pid, this.log, this.socket]) rmSync(path, { force: true });
  }
}

/** Waits for the runtime's pid file, which it writes when the process is about to run. */
class StartWatch {
  readonly pid: Promise<number>;
  readonly #watcher;

  constructor(directory: string, pidFile: string) {
    const { promise, resolve } = Promise.withResolvers<number>();
    this.pid = promise;
    this.#watcher = watch(directory, (_, name) => {
      if (name !== null && !pidFile.endsWith(`/${name}`)) return;
      const pid = readPid(pidFile);
      if (pid !== undefined) resolve(pid);
    });
    this.#watcher.on('error', () => undefined);
  }

  close(): void {
    this.#watcher.close();
  }
}

interface Stdio {
  /** For the runtime: descriptors 0, 1 and 2. */
  readonly fds: readonly number[];
  readonly args: readonly string[];
  /** Our ends, once the process runs. Called once. */
  streams(child: SpawnedProcess): ExecStreams | undefined;
  /** What was printed where the process's stderr goes, when it never ran. Called instead of `streams`. */
  words(): Promise<string>;
  /** Closes what only the runtime needs. */
  closeTheirs(): void;
}

class PipeStdio implements Stdio {
  readonly args: readonly string[] = [];
  readonly fds: readonly number[];
  readonly #ours: { stdin?: number; stdout?: number; stderr?: number } = {};
  #theirsOpen = true;

  constructor(request: ExecRequest) {
    const nothing = (): number => openSync('/dev/null', 'r+');
    const input = request.stdin ? pipe() : undefined;
    const output = request.stdout ? pipe() : undefined;
    const errors = request.stderr ? pipe() : undefined;
    if (input) this.#ours.stdin = input.write;
    if (output) this.#ours.stdout = output.read;
    if (errors) this.#ours.stderr = errors.read;
    this.fds = [input?.read ?? nothing(), output?.write ?? nothing(), errors?.write ?? nothing()];
  }

  streams(): ExecStreams {
    return pipeStreams(this.#ours);
  }

  async words(): Promise<string> {
    this.closeTheirs();
    const { stdin, stdout, stderr } = this.#ours;
    let text = '';
    const streams = pipeStreams({
      ...(stdout === undefined ? {} : { stdout }),
      ...(stderr === undefined ? {} : { stderr }),
    });
    if (stdin !== undefined) closeSync(stdin);
    streams.processEnded('');
    for await (const chunk of streams.output) if (text.length < 64 * 1024) text += Buffer.from(chunk.data).toString();
    return text;
  }

  closeTheirs(): void {
    if (this.#theirsOpen) for (const fd of this.fds) closeSync(fd);
    this.#theirsOpen = false;
  }
}

/** The runtime makes the terminal inside the container and sends us its master end. */
class ConsoleSocketStdio implements Stdio {
  readonly fds: readonly number[];
  readonly args: readonly string[];
  readonly #listener: number;

  constructor(socketPath: string) {
    rmSync(socketPath, { force: true });
    this.#listener = listenStream(socketPath);
    const nothing = openSync('/dev/null', 'r+');
    this.fds = [nothing, nothing, nothing];
    this.args = ['--console-socket', socketPath];
  }

  streams(): ExecStreams | undefined {
    // The runtime connects and sends before it writes the pid file, so both are there by now.
    const connection = accept(this.#listener);
    if (connection === undefined) return undefined;
    try {
      const master = receiveDescriptor(connection);
      return master === undefined ? undefined : terminalStreams(master);
    } finally {
      closeSync(connection);
    }
  }

  async words(): Promise<string> {
    return '';
  }

  closeTheirs(): void {
    closeSync(this.fds[0]!);
    closeSync(this.#listener);
  }
}

/** runc sends no terminal while it stays: it gets one from us, and passes on between the two. */
class TerminalStdio implements Stdio {
  readonly fds: readonly number[];
  readonly args: readonly string[] = [];
  readonly #master: number;

  constructor(request: ExecRequest) {
    const terminal = openTerminal();
    this.#master = terminal.master;
    this.fds = [terminal.slave, terminal.slave, terminal.slave];
    if (request.consoleSize) setTerminalSize(this.#master, request.consoleSize);
  }

  streams(child: SpawnedProcess): ExecStreams {
    const runtime = identify(child.pid);
    const SIGWINCH = 28;
    return terminalStreams(this.#master, { onResize: () => void (runtime && signalProcess(runtime, SIGWINCH)) });
  }

  async words(): Promise<string> {
    closeSync(this.#master);
    return '';
  }

  closeTheirs(): void {
    closeSync(this.fds[0]!);
  }
}

function readPid(path: string): number | undefined {
  const text = readText(path).trim();
  return /^\d+$/.test(text) ? Number(text) : undefined;
}

function readText(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}
