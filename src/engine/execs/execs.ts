import { closeSync } from 'node:fs';
import type { ExecCreateRequest, ExecInspect } from '../../api/exec.ts';
import { EngineError, errorCode, errorMessage, notFound } from '../../base/errors.ts';
import { newId } from '../../base/ids.ts';
import type { ExecProcess, OutputChunk } from '../../runtime/task.ts';
import { type ContainerContext, findContainer, publishContainerEvent } from '../containers/context.ts';
import { DetachScanner, parseDetachKeys } from '../containers/detach-keys.ts';
import { runningTask } from '../containers/pause.ts';
import type { AttachSession, ExecService } from '../engine.ts';

/** Records kept of execs that nobody starts, or that have ended. */
const KEPT = 1000;
const KEPT_AFTER_END_MS = 5 * 60_000;

interface ExecRecord {
  readonly id: string;
  readonly containerId: string;
  readonly request: ExecCreateRequest;
  readonly detachKeys: Uint8Array;
  phase: 'created' | 'running' | 'ended';
  process: ExecProcess | undefined;
  exitCode: number | undefined;
}

type Size = { readonly rows: number; readonly columns: number };

/** Further processes in running containers. They are known in memory only: they end with the client that asked for them. */
export class Execs implements ExecService {
  readonly #context: ContainerContext;
  readonly #byId = new Map<string, ExecRecord>();

  constructor(context: ContainerContext) {
    this.#context = context;
  }

  async create(containerId: string, request: ExecCreateRequest): Promise<{ Id: string }> {
    const record = findContainer(this.#context, containerId);
    if (!request.Cmd || request.Cmd.length === 0) {
      throw new EngineError('invalid-argument', 'No exec command specified');
    }
    const { task } = this.#runnable(record.id);
    this.#context.specs.checkUser(record, rootOf(task), request.User ?? '');
    // what is wrong with its secrets is told now, not when it is started
    this.#context.secrets.forExec(request.Secrets ?? []).fds.forEach((fd) => closeSync(fd));
    const detachKeys = parseDetachKeys(request.DetachKeys);
    const exec: ExecRecord = {
      id: newId(),
      containerId: record.id,
      request,
      detachKeys,
      phase: 'created',
      process: undefined,
      exitCode: undefined,
    };
    this.#byId.set(exec.id, exec);
    this.#bound();
    publishContainerEvent(this.#context, record, `exec_create: ${commandLine(exec)}`, { execID: exec.id });
    return { Id: exec.id };
  }

  async startDetached(id: string): Promise<void> {
    const exec = this.#startable(id);
    const process = await this.#start(exec, { tty: exec.request.Tty === true, streams: false });
    void drain(process.output);
  }

  async start(
    id: string,
    options: { tty: boolean; consoleSize?: Size | undefined; signal?: AbortSignal },
  ): Promise<AttachSession> {
    const exec = this.#startable(id);
    const tty = options.tty || exec.request.Tty === true;
    const process = await this.#start(exec, { tty, streams: true, consoleSize: options.consoleSize });
    return new ExecSession(exec, process, tty, () => {
      const record = this.#context.store.get(exec.containerId);
      if (record) publishContainerEvent(this.#context, record, 'exec_detach', { execID: exec.id });
    });
  }

  async resize(id: string, size: Size): Promise<void> {
    const exec = this.#find(id);
    // a client may ask before its start has got so far
    if (exec.phase !== 'running' || !exec.process) {
      throw new EngineError('conflict', `exec process ${id} is not running`);
    }
    await exec.process.resize(size);
  }

  async inspect(id: string): Promise<ExecInspect> {
    const exec = this.#find(id);
    const { request } = exec;
    const [entrypoint = '', ...args] = request.Cmd ?? [];
    return {
      ID: exec.id,
      Running: exec.phase === 'running',
      ExitCode: exec.exitCode ?? null,
      ProcessConfig: {
        tty: request.Tty === true,
        entrypoint,
        arguments: args,
        privileged: request.Privileged === true,
        ...(request.User && { user: request.User }),
      },
      OpenStdin: request.AttachStdin === true,
      OpenStderr: request.AttachStderr === true,
      OpenStdout: request.AttachStdout === true,
      CanRemove: exec.phase === 'ended',
      ContainerID: exec.containerId,
      DetachKeys: Buffer.from(exec.detachKeys).toString('latin1'),
      Pid: exec.process?.pid ?? 0,
    };
  }

  /** Those of a container that have not ended. */
  idsOf(containerId: string): string[] {
    const ids: string[] = [];
    for (const exec of this.#byId.values()) {
      if (exec.containerId === containerId && exec.phase !== 'ended') ids.push(exec.id);
    }
    return ids;
  }

  #find(id: string): ExecRecord {
    const exec = this.#byId.get(id);
    if (!exec) throw notFound('exec instance', id);
    return exec;
  }

  #startable(id: string): ExecRecord {
    const exec = this.#find(id);
    if (exec.phase === 'running') throw new EngineError('conflict', `exec ${id} is already running`);
    if (exec.phase === 'ended') throw new EngineError('conflict', `exec ${id} has already run`);
    this.#runnable(exec.containerId);
    exec.phase = 'running';
    return exec;
  }

  #runnable(containerId: string) {
    const record = findContainer(this.#context, containerId);
    const task = runningTask(this.#context, record);
    if (record.state.status === 'paused') {
      throw new EngineError('conflict', `Container ${record.name} is paused, unpause the container before exec`);
    }
    return { record, task };
  }

  async #start(
    exec: ExecRecord,
    options: { tty: boolean; streams: boolean; consoleSize?: Size | undefined },
  ): Promise<ExecProcess> {
    const { request } = exec;
    const [rows = 0, columns = 0] = request.ConsoleSize ?? [];
    let secrets: ReturnType<ContainerContext['secrets']['forExec']> = { fds: [], env: [] };
    try {
      const { record, task } = this.#runnable(exec.containerId);
      if (request.Secrets?.length) secrets = this.#context.secrets.forExec(request.Secrets);
      const process = await this.#context.specs.process(record, rootOf(task), {
        args: request.Cmd ?? [],
        env: [...(request.Env ?? []), ...secrets.env],
        user: request.User ?? '',
        workingDir: request.WorkingDir ?? '',
        tty: options.tty,
        privileged: request.Privileged === true,
      });
      publishContainerEvent(this.#context, record, `exec_start: ${commandLine(exec)}`, { execID: exec.id });
      exec.process = await task.exec({
        id: exec.id,
        process,
        stdin: options.streams && request.AttachStdin === true,
        stdout: options.streams && request.AttachStdout === true,
        stderr: options.streams && request.AttachStderr === true,
        consoleSize: options.consoleSize ?? (rows > 0 && columns > 0 ? { rows, columns } : undefined),
        descriptors: secrets.fds,
      });
    } catch (error) {
      const failure = execError(error);
      this.#ended(exec, failure.code === 'no-such-command' ? 127 : 126);
      throw failure;
    } finally {
      secrets.fds.forEach((fd) => closeSync(fd));
    }
    const { process } = exec;
    void process.exited.then(({ exitCode }) => {
      this.#ended(exec, exitCode);
      const record = this.#context.store.get(exec.containerId);
      if (record) {
        publishContainerEvent(this.#context, record, 'exec_die', { execID: exec.id, exitCode: String(exitCode) });
      }
    });
    return process;
  }

  #ended(exec: ExecRecord, exitCode: number): void {
    exec.phase = 'ended';
    exec.exitCode = exitCode;
    setTimeout(() => this.#byId.delete(exec.id), KEPT_AFTER_END_MS).unref();
  }

  /** The oldest that do not run give way. */
  #bound(): void {
    if (this.#byId.size <= KEPT) return;
    for (const exec of this.#byId.values()) {
      if (exec.phase === 'running') continue;
      this.#byId.delete(exec.id);
      return;
    }
  }
}

class ExecSession implements AttachSession {
  readonly tty: boolean;
  readonly #process: ExecProcess;
  readonly #keys: DetachScanner | undefined;
  readonly #onDetach: () => void;
  readonly #gone = Promise.withResolvers<void>();
  #detached = false;

  constructor(exec: ExecRecord, process: ExecProcess, tty: boolean, onDetach: () => void) {
    this.tty = tty;
    this.#process = process;
    this.#keys = tty ? new DetachScanner(exec.detachKeys) : undefined;
    this.#onDetach = onDetach;
  }

  get output(): AsyncIterable<OutputChunk> {
    return this.#read();
  }

  /** Ends when the process closes its output; once the client is gone the rest is read and dropped, so that it does not block. */
  async *#read(): AsyncGenerator<OutputChunk> {
    const iterator = this.#process.output[Symbol.asyncIterator]();
    const gone = this.#gone.promise.then(() => undefined);
    try {
      for (;;) {
        const next = await Promise.race([iterator.next(), gone]);
        if (next === undefined || next.done) break;
        yield next.value;
      }
      if (!this.#detached) await Promise.race([this.#process.exited, gone]);
    } finally {
      void drain({ [Symbol.asyncIterator]: () => iterator });
    }
  }

  async write(data: Uint8Array): Promise<'passed' | 'detached'> {
    if (this.#detached) return 'detached';
    const { pass, detached } = this.#keys?.scan(data) ?? { pass: data, detached: false };
    try {
      if (pass.length > 0) await this.#process.write(pass);
    } catch (error) {
      if (!(error instanceof EngineError)) throw error; // it has closed its input
    }
    if (!detached) return 'passed';
    this.#detached = true;
    this.#onDetach();
    this.close();
    return 'detached';
  }

  async endInput(): Promise<void> {
    try {
      await this.#process.closeStdin();
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
    }
  }

  close(): void {
    this.#gone.resolve();
  }
}

async function drain(output: AsyncIterable<OutputChunk>): Promise<void> {
  try {
    for await (const _ of output);
  } catch {
    // its process is gone: nothing is left to read
  }
}

function commandLine({ request }: ExecRecord): string {
  const [command = '', ...args] = request.Cmd ?? [];
  return `${command} ${args.join(' ')}`;
}

/** Docker's words around the runtime's. */
function execError(error: unknown): EngineError {
  const code = errorCode(error);
  const message = errorMessage(error);
  if (code !== 'no-such-command' && code !== 'not-executable') {
    return error instanceof EngineError ? error : new EngineError(code, message, { cause: error });
  }
  const words = message.startsWith('OCI runtime exec failed')
    ? message
    : `OCI runtime exec failed: exec failed: ${message}`;
  return new EngineError(code, words, { cause: error });
}

/** A running container's own view of its files, volumes included. */
function rootOf(task: { readonly pid: number }): string {
  return `/proc/${task.pid}/root`;
}
