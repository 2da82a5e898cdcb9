import { EngineError } from '../../base/errors.ts';
import type { OutputChunk, Task } from '../../runtime/task.ts';
import type { ContainerRecord } from '../../state/containers.ts';
import type { AttachOptions, AttachSession } from '../engine.ts';
import { type ContainerContext, findContainer, publishContainerEvent } from './context.ts';
import { DetachScanner, parseDetachKeys } from './detach-keys.ts';
import { readOutput } from './logs.ts';
import { taskLog } from './set-up.ts';

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
  /** Of the present run, or the next one. */
  readonly #task: Promise<Task>;
  #detached = false;

  constructor(context: ContainerContext, record: ContainerRecord, options: AttachOptions, keys: DetachScanner) {
    this.tty = record.config.Tty === true;
    this.#context = context;
    this.#record = record;
    this.#options = options;
    this.#keys = keys;
    const live = context.live.of(record.id);
    const { signal } = this.#closed;
    this.#task = live.task ? Promise.resolve(live.task) : live.nextStart.wait(signal);
    this.#task.catch(() => {}); // closed before a run began
    // the end of the process, not of what we do about it: a client waits for its output first
    const ended = this.#task.then((task) => task.exited).then(nothing, nothing);
    this.output = this.#reading(ended);
    options.signal?.addEventListener('abort', () => this.close(), { once: true });
    if (options.signal?.aborted) this.close();
  }

  #reading(ended: Promise<void>): AsyncIterable<OutputChunk> {
    const { stdout, stderr, stream, logs } = this.#options;
    const { signal } = this.#closed;
    if (!stdout && !stderr) return onceOver(stream ? Promise.race([ended, aborted(signal)]) : Promise.resolve());
    const log = taskLog(this.#context, this.#record);
    return readOutput(this.#context, this.#record, {
      // a terminal has one stream, and it is stdout's
      stdout: stdout || this.tty,
      stderr,
      // fixed now, before anything is printed by a later start
      from: logs ? undefined : this.#context.logs.end(log),
      follow: stream ? ended : undefined,
      signal,
    });
  }

  async write(data: Uint8Array): Promise<'passed' | 'detached'> {
    if (this.#detached) return 'detached';
    if (!this.#options.stdin) return 'passed';
    const { pass, detached } = this.#keys.scan(data);
    if (pass.length > 0) await this.#toTask((task) => task.write(pass));
    if (!detached) return 'passed';
    this.#detached = true;
    publishContainerEvent(this.#context, this.#record, 'detach');
    this.close();
    return 'detached';
  }

  async endInput(): Promise<void> {
    const { StdinOnce, Tty } = this.#record.config;
    if (this.#options.stdin && StdinOnce && !Tty) await this.#toTask((task) => task.closeStdin());
  }

  /** What is typed at a run that ended, or at a container without stdin, goes nowhere, as with Docker. */
  async #toTask(work: (task: Task) => Promise<void>): Promise<void> {
    try {
      await work(await this.#task);
    } catch (error) {
      if (!(error instanceof EngineError) && !this.#closed.signal.aborted) throw error;
    }
  }

  close(): void {
    this.#closed.abort(new EngineError('cancelled', 'the client has gone'));
  }
}

function nothing(): void {}

function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => resolve(), { once: true });
  if (signal.aborted) resolve();
  return promise;
}

/** No output, until its end. */
function onceOver(over: Promise<void>): AsyncIterable<OutputChunk> {
  const next = async (): Promise<IteratorResult<OutputChunk>> => {
    await over;
    return { done: true, value: undefined };
  };
  return { [Symbol.asyncIterator]: () => ({ next }) };
}
