import type { MemoryWatch } from './memory-watch.ts';
import type { LinuxResources, OciSpec, ProcessSpec } from './spec/oci-spec.ts';

/**
 * Container processes that outlive the engine.
 *
 * A *task* is one run of a container: its monitor process (conmon) owns the stdio, writes the log and, at the end,
 * the exit file; the engine only starts it, follows the files and can be killed at any moment. After an engine's
 * restart `adopt` finds the task again.
 */
export interface TaskRunner {
  /** Writes the bundle, starts monitor and runtime, and resolves once the container's first process runs. Throws `no-such-command`, `not-executable`, `invalid-argument`, `internal`, with the runtime's own words in the message. A failed start leaves nothing. */
  start(request: TaskRequest): Promise<Task>;
  /** The task that an earlier engine started, whether it still runs or ended meanwhile; undefined when there never was one, or nothing is left to know of it (the host rebooted). */
  adopt(request: AdoptRequest): Promise<Task | undefined>;
  /** Removes whatever a task of this id left: runtime state, cgroup, bundle, sockets. Idempotent; kills what still runs. */
  forget(id: string): Promise<void>;
  /** Ids that have something left on this host. */
  list(): Promise<readonly string[]>;
  /** Lets go of the tasks, which go on: none keeps this process's event loop alive any more. */
  close(): void;
}

export interface TaskRequest {
  readonly id: string;
  readonly name: string;
  /** `config.json` of the bundle. */
  readonly spec: OciSpec;
  readonly terminal: boolean;
  /** Keep stdin open for `write`; otherwise it is /dev/null. */
  readonly stdin: boolean;
  /** Close stdin when the first client that wrote to it ends (`StdinOnce`). */
  readonly stdinOnce: boolean;
  /** The OCI runtime's name in the configuration: `crun`, `runc`, or another. */
  readonly runtime: string;
  readonly log: TaskLog;
  /** Awaited before the container's process, made by then, is let run; when it rejects, so does the start. */
  readonly ready?: Promise<void>;
  /** Descriptors that the monitor holds as long as it lives; see `Task.held`. They stay the caller's to close. */
  readonly keep?: readonly number[];
  /** Size of the terminal at the start, when known. */
  readonly consoleSize?: { readonly rows: number; readonly columns: number } | undefined;
}

export interface TaskLog {
  /** Absolute path of the record that the monitor appends to (format: runtime/logs/record.ts). */
  readonly path: string;
  /** Bytes at which the record is rotated; 0 is never. Never lost while it happens: see runtime/logs/rotation.ts. */
  readonly maxBytes: number;
  /** Files kept, the current one included; at least 1. */
  readonly maxFiles: number;
}

export interface AdoptRequest {
  readonly id: string;
  readonly pid: number;
  /** `starttime` of /proc/<pid>/stat, in clock ticks: a pid alone may have been given to another. */
  readonly pidStartTime: number;
  readonly terminal: boolean;
  readonly stdinOnce: boolean;
  readonly runtime: string;
  readonly log: TaskLog;
}

export interface Task {
  readonly id: string;
  /** Of the container's first process, as the host sees it. */
  readonly pid: number;
  readonly pidStartTime: number;
  /** A copy of one of `TaskRequest.keep`, by its name in /proc (`socket:[123]`), the caller's to close; undefined when the monitor has none such. */
  held(name: string): number | undefined;
  /** Resolves once, after the last byte of output is in the log. Never rejects. */
  readonly exited: Promise<TaskExit>;
  /** Resolves when the bytes are with the monitor. Throws `conflict` when stdin is closed or was never open. */
  write(data: Uint8Array): Promise<void>;
  closeStdin(): Promise<void>;
  resize(size: { readonly rows: number; readonly columns: number }): Promise<void>;
  /** Throws `not-found` when there is no such process any more. */
  kill(signal: number, options?: { readonly all?: boolean }): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  update(resources: LinuxResources): Promise<void>;
  /** Told of processes that the kernel kills for want of memory, from now on. Undefined where the container has no cgroup. */
  watchMemory(onKill: () => void): MemoryWatch | undefined;
  /** Process ids as the host sees them. */
  processes(): Promise<readonly number[]>;
  /** Resolves once the process runs. Throws `no-such-command`, `not-executable`, … in Docker's words when it cannot. */
  exec(request: ExecRequest): Promise<ExecProcess>;
}

export interface TaskExit {
  /** 0–255; 128 + n when signal n ended it. */
  readonly exitCode: number;
  readonly oomKilled: boolean;
  /** RFC 3339 with nanoseconds. */
  readonly exitedAt: string;
  /** Set when the code is not the process's own word: its monitor died, the host rebooted. */
  readonly lost?: string;
}

export interface ExecRequest {
  readonly id: string;
  readonly process: ProcessSpec;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly consoleSize?: { readonly rows: number; readonly columns: number } | undefined;
  /** Its descriptors from 3 on. They stay the caller's to close. */
  readonly descriptors?: readonly number[];
}

/** A further process in a running container. It belongs to the client that asked for it, and to this engine. */
export interface ExecProcess {
  readonly pid: number;
  readonly exited: Promise<{ readonly exitCode: number }>;
  /** Does nothing once it has ended. */
  kill(signal: number): Promise<void>;
  /** What the process prints, in order, until it closes its output. With a terminal everything is stream 1. Reading slowly slows only this process. */
  readonly output: AsyncIterable<OutputChunk>;
  write(data: Uint8Array): Promise<void>;
  closeStdin(): Promise<void>;
  resize(size: { readonly rows: number; readonly columns: number }): Promise<void>;
}

/** Bytes that a process printed, 1 to stdout (or a terminal), 2 to stderr. May hold many lines, or a part of one. */
export interface OutputChunk {
  readonly stream: 1 | 2;
  readonly data: Uint8Array;
}
