import { EngineError } from '../../base/errors.ts';
import type { OutputChunk, Task } from '../../runtime/task.ts';
import type { ContainerRecord } from '../../state/containers.ts';
import type { AttachOptions, AttachSession } from '../engine.ts';
import { type ContainerContext, findContainer, publishContainerEvent } from './context.ts';
import { DetachScanner, parseDetachKeys } from './detach-keys.ts';
import { taskLog } from './set-up.ts';
import { hasProcess } from './state.ts';

/**
 * A client at the container's streams: a reader of the log record with its own place, and a writer of stdin. Before a
 * container runs it waits for the run. Throws `conflict` when it is paused.
 */
export async function attachToContainer(
  context: ContainerContext,
  nameOrId: string,
  options: AttachOptions,
): Promise<AttachSession> {
  const record = findContainer(context, nameOrId);
  const keys = parseDetachKeys(options.detachKeys);
  if (record.state.status === 'paused') {
    throw new EngineError('conflict', `container ${nameOrId} is paused, unpause the container before attach`);
  }
  if (record.state.status === 'restarting') {
    throw new EngineError('conflict', `container ${nameOrId} is restarting, wait until the container is running`);
  }
  const session = new RecordSession(context, record, options, new DetachScanner(keys));
  await session.open();
  publishContainerEvent(context, record, 'attach');
  return session;
}

class RecordSession implements AttachSession {
  readonly tty: boolean;
  readonly output: AsyncIterable<OutputChunk>;
  readonly #context: ContainerContext;
  readonly #record: ContainerRecord;
  readonly #options: AttachOptions;
  readonly #keys: DetachScanner;
  readonly #closed = new AbortController();
  #from: object | undefined;
  #task: Promise<Task>;
  #detached = false;

  constructor(context: ContainerContext, record: ContainerRecord, options: AttachOptions, keys: DetachScanner) {
    this.tty = record.config.Tty === true;
    this.#context = context;
    this.#record = record;
    this.#options = options;
    this.#keys = keys;
    const live = context.live.of(record.id);
    this.#task = live.task ? Promise.resolve(live.task) : live.nextStart.wait(this.#closed.signal);
    this.#task.catch(() => {}); // closed before a run began
    this.output = this.#read();
    options.signal?.addEventListener('abort', () => this.close(), { once: true });
    if (options.signal?.aborted) this.close();
  }

  /** Fixes where the client begins, before anything is printed by a later start. */
  async open(): Promise<void> {
    if (!this.#options.logs) this.#from = await this.#context.logs.end(this.#log());
  }

  async *#read(): AsyncGenerator<OutputChunk> {
    const { stdout, stderr, stream } = this.#options;
    if (!stdout && !stderr) {
      if (stream) await this.#runEnded();
      return;
    }
    yield* this.#context.logs.read(this.#log(), {
      // a terminal has one stream, and it is stdout's
      stdout: stdout || this.tty,
      stderr,
      from: this.#from,
      follow: stream ? this.#runEnded() : undefined,
      signal: this.#closed.signal,
    });
  }

  /** The end of the present run, or of the next when none is under way; or of the session. */
  async #runEnded(): Promise<void> {
    const live = this.#context.live.of(this.#record.id);
    const current = this.#context.store.get(this.#record.id);
    const { signal } = this.#closed;
    const gone = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    const ended = live.nextExit.wait(signal).then(
      () => {},
      () => {},
    );
    const over = current && !hasProcess(current.state) && !this.#waitsForStart();
    if (!over) await Promise.race([ended, gone]);
  }

  #waitsForStart(): boolean {
    const status = this.#context.store.get(this.#record.id)?.state.status;
    return status === 'created' || status === 'exited';
  }

  async write(data: Uint8Array): Promise<'passed' | 'detached'> {
    if (this.#detached) return 'detached';
    if (!this.#options.stdin) return 'passed';
    const { pass, detached } = this.#keys.scan(data);
    if (pass.length > 0) await this.#pass(pass);
    if (detached) {
      this.#detached = true;
      publishContainerEvent(this.#context, this.#record, 'detach');
      this.close();
      return 'detached';
    }
    return 'passed';
  }

  /** What is typed at a run that ended, or at a container without stdin, goes nowhere, as with Docker. */
  async #pass(data: Uint8Array): Promise<void> {
    try {
      await (await this.#task).write(data);
    } catch (error) {
      if (!(error instanceof EngineError) && !this.#closed.signal.aborted) throw error;
    }
  }

  async endInput(): Promise<void> {
    const { StdinOnce, Tty } = this.#record.config;
    if (!this.#options.stdin || !StdinOnce || Tty) return;
    try {
      await (await this.#task).closeStdin();
    } catch (error) {
      if (!(error instanceof EngineError) && !this.#closed.signal.aborted) throw error;
    }
  }

  close(): void {
    this.#closed.abort(new EngineError('cancelled', 'the client has gone'));
  }

  #log() {
    return taskLog(this.#context, this.#record);
  }
}
