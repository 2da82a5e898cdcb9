import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { EngineError } from '../base/errors.ts';
import { releaseChild } from '../linux/children.ts';
import { pipe, readEnd } from '../linux/pipe.ts';
import { identify, type ProcessIdentity } from '../linux/process.ts';
import { spawnProcess } from '../linux/spawn.ts';
import { RUNTIME_ENV, type OciRuntime } from './oci-runtime.ts';
import type { TaskLog } from './task.ts';
import { TaskPaths } from './task-paths.ts';

/**
 * A conmon process: parent and monitor of one container (docs/decisions/0001). It is our child, but in a session of its
 * own, and goes on as a child of init when we die.
 */
export interface Monitor {
  readonly identity: ProcessIdentity;
  /** Resolves when it is gone: after the exit file, if it wrote one. */
  readonly gone: Promise<void>;
  /** From now on it does not keep our event loop alive. */
  release(): void;
}

export interface MonitorRequest {
  readonly conmonPath: string;
  readonly id: string;
  readonly name: string;
  readonly runtime: OciRuntime;
  readonly bundle: string;
  readonly exitDirectory: string;
  readonly log: TaskLog;
  /** Bytes after which conmon itself starts the log anew; 0 is never. */
  readonly logLimit: number;
  readonly terminal: boolean;
  readonly stdin: boolean;
  /** Keep the container's stdin when our connection to it ends. */
  readonly leaveStdinOpen: boolean;
  /** Descriptors that it holds from now on, and no process of the container. */
  readonly keep: readonly number[];
}

/** What the monitor says once `<runtime> create` has ended. */
export type CreateResult = { readonly pid: number } | { readonly failure: string };

/** Starts conmon, which runs `<runtime> create`. Throws `unavailable` when it is not installed. */
export async function startMonitor(
  request: MonitorRequest,
): Promise<{ monitor: Monitor; created: Promise<CreateResult> }> {
  const sync = pipe();
  const null0 = openSync('/dev/null', 'r+');
  try {
    const child = await spawnProcess({
      path: request.conmonPath,
      argv: ['conmon', ...monitorArguments(request)],
      env: ['_OCI_SYNCPIPE=3', ...RUNTIME_ENV],
      // Until it detaches itself from stderr, its complaints come through the same pipe as its report.
      fds: [null0, null0, sync.write, sync.write, ...request.keep],
      cwd: request.bundle, // it writes the file `oom` there
      newSession: true,
    });
    const identity = identify(child.pid) ?? { pid: child.pid, startTime: 0 };
    const monitor: Monitor = {
      identity,
      gone: child.exited.then(() => undefined),
      release: () => releaseChild(child.pid),
    };
    return { monitor, created: readReport(sync.read, monitor.gone) };
  } catch (error) {
    closeSync(sync.read);
    const missing = (error as { code?: unknown }).code === 'ENOENT';
    const message = missing
      ? 'conmon is not installed: install the package conmon'
      : `cannot start conmon: ${String(error)}`;
    throw new EngineError('unavailable', message, { cause: error });
  } finally {
    closeSync(sync.write);
    closeSync(null0);
  }
}

/**
 * Finds the monitor that an earlier engine started, by the fifo that only it keeps open for writing: end of file there
 * is its death, whenever that was. Undefined when it never came so far.
 */
export function adoptMonitor(bundle: string): Monitor | undefined {
  let fd: number;
  try {
    fd = openSync(`${bundle}/winsz`, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch {
    return undefined;
  }
  if (!hasWriter(fd)) {
    // Polling such a fifo would wait for its first writer.
    closeSync(fd);
    return { identity: NOBODY, gone: Promise.resolve(), release: () => undefined };
  }
  const stream = readEnd(fd);
  const gone = new Promise<void>((resolve) => {
    stream.once('close', resolve);
    stream.on('error', () => stream.destroy());
    stream.once('end', () => stream.destroy());
    stream.resume();
  });
  return { identity: readMonitorRecord(bundle) ?? NOBODY, gone, release: () => void stream.unref() };
}

function hasWriter(fifo: number): boolean {
  try {
    return readSync(fifo, Buffer.alloc(1)) !== 0;
  } catch {
    return true; // EAGAIN: open at the other end, and nothing to read
  }
}

/** Stands for a monitor that is not known, or was gone before we looked. */
export const NOBODY: ProcessIdentity = { pid: 0, startTime: 0 };

/** A container's stdin: `terminal`, or a pipe as /proc names it, `pipe:[123]`. */
export type TaskStdin = string;

/** Kept in the bundle for a later engine. */
export interface MonitorRecord extends ProcessIdentity {
  /** Its container's stdin, where it is kept open. */
  readonly stdin: TaskStdin | null;
  /** What is to be known of the spec, which is large; undefined: an engine that did not write it has started this one. */
  readonly known?: TaskFacts | undefined;
}

/** Of a spec, what is needed when its container ends. */
export interface TaskFacts {
  /** A cgroup that the engine can find itself; null for another. */
  readonly cgroupPath: string | null;
  /** It has hooks for its end. */
  readonly poststop: boolean;
}

export function writeMonitorRecord(bundle: string, record: MonitorRecord): void {
  writeFileSync(`${bundle}/monitor.json.new`, JSON.stringify(record));
  renameSync(`${bundle}/monitor.json.new`, `${bundle}/monitor.json`);
}

export function readMonitorRecord(bundle: string): MonitorRecord | undefined {
  try {
    const record = JSON.parse(readFileSync(`${bundle}/monitor.json`, 'utf8')) as Partial<MonitorRecord>;
    if (!Number.isInteger(record.pid) || !Number.isInteger(record.startTime)) return undefined;
    const stdin = typeof record.stdin === 'string' ? record.stdin : null;
    return { pid: record.pid!, startTime: record.startTime!, stdin, known: factsOf(record.known) };
  } catch {
    return undefined;
  }
}

function factsOf(value: Partial<TaskFacts> | undefined): TaskFacts | undefined {
  const { cgroupPath, poststop } = value ?? {};
  if (typeof poststop !== 'boolean' || (cgroupPath !== null && typeof cgroupPath !== 'string')) return undefined;
  return { cgroupPath, poststop };
}

/** Asks the bundle's monitor to begin a new log file; nothing happens when it is gone. */
export function requestReopen(bundle: string): void {
  let fd: number;
  try {
    fd = openSync(`${bundle}/ctl`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch {
    return;
  }
  try {
    writeSync(fd, '2 0 0\n');
  } finally {
    closeSync(fd);
  }
}

/** Processes that are, or were, monitors below this exec root: where one lives, the containers' mounts are. Each is read when it is asked for. */
export function* recordedMonitors(execRoot: string): Generator<ProcessIdentity, undefined> {
  const tasks = new TaskPaths(execRoot).tasks();
  if (!existsSync(tasks)) return;
  for (const id of readdirSync(tasks)) {
    const record = readMonitorRecord(`${tasks}/${id}`);
    if (record) yield record;
  }
}

/** The monitor of a bundle whose engine died before it wrote the record, found among all processes by its command line. */
export function searchMonitor(bundle: string): ProcessIdentity | undefined {
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    let words: string[];
    try {
      words = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
    } catch {
      continue;
    }
    if (words[0] === 'conmon' && words.includes(`--bundle=${bundle}`)) return identify(Number(name));
  }
  return undefined;
}

function monitorArguments(request: MonitorRequest): string[] {
  const { runtime, bundle, id } = request;
  return [
    '--api-version=1',
    '--sync',
    '--full-attach',
    '--no-new-keyring',
    '--no-sync-log',
    `--cid=${id}`,
    `--cuuid=${id}`,
    `--name=${request.name}`,
    `--runtime=${runtime.path}`,
    ...runtime.args.map((argument) => `--runtime-arg=${argument}`),
    `--bundle=${bundle}`,
    `--container-pidfile=${bundle}/pid`,
    `--exit-dir=${request.exitDirectory}`,
    `--log-path=k8s-file:${request.log.path}`,
    ...(request.logLimit > 0 ? ['--log-size-max', String(request.logLimit)] : []),
    ...(request.terminal ? ['--terminal'] : []),
    ...(request.stdin ? ['--stdin'] : []),
    ...(request.leaveStdinOpen ? ['--leave-stdin-open'] : []),
  ];
}

/** Reads the pipe until the report, a line of JSON; other lines are conmon's own complaints. */
async function readReport(fd: number, gone: Promise<void>): Promise<CreateResult> {
  const stream = readEnd(fd);
  const decoder = new TextDecoder();
  let text = '';
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      text += decoder.decode(chunk, { stream: true });
      const report = parseReport(text);
      if (report) return report;
      if (text.length > MAX_REPORT) break;
    }
  } finally {
    stream.destroy();
  }
  await gone;
  return { failure: text.trim() === '' ? 'the monitor ended without a word' : text.trim() };
}

const MAX_REPORT = 256 * 1024;

function parseReport(text: string): CreateResult | undefined {
  for (const line of text.split('\n').slice(0, -1)) {
    if (!line.startsWith('{')) continue;
    try {
      const report = JSON.parse(line) as { data?: unknown; message?: unknown };
      if (typeof report.data === 'number' && report.data > 0) return { pid: report.data };
      return { failure: typeof report.message === 'string' ? report.message : 'the runtime failed without a word' };
    } catch {
      return { failure: line }; // conmon does not escape every byte of the runtime's words
    }
  }
  return undefined;
}
