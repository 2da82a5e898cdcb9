import { EngineError } from '../../base/errors.ts';
import { timerMs } from '../../base/time.ts';
import type { Task } from '../../runtime/task.ts';
import type { ContainerRecord } from '../../state/containers.ts';
import { type ContainerContext, findContainer, publishContainerEvent } from './context.ts';
import type { FactAuthor } from '../../api/why.ts';
import { noteFact, presentAuthor } from './facts.ts';
import { parseSignal } from './signals.ts';
import { hasProcess, resumed } from './state.ts';

const SIGKILL = 9;
/** How long the kernel may take to end a killed process before we say that it does not. */
const KILL_PATIENCE_MS = 10_000;

/** Sends a signal (default KILL) to the first process. Throws `conflict` when there is none. */
export async function killContainer(context: ContainerContext, nameOrId: string, signal = 'KILL'): Promise<void> {
  const by = presentAuthor();
  const refuse = (code: 'conflict' | 'invalid-argument' | 'not-found', why: string): never => {
    throw new EngineError(code, `cannot kill container: ${nameOrId}: ${why}`);
  };
  let number = SIGKILL;
  try {
    number = parseSignal(signal === '' ? 'KILL' : signal);
  } catch (error) {
    refuse('invalid-argument', (error as Error).message);
  }
  let record: ContainerRecord;
  try {
    record = findContainer(context, nameOrId);
  } catch (error) {
    return refuse('not-found', (error as Error).message);
  }
  const { task } = context.live.of(record.id);
  if (!task || !hasProcess(record.state)) refuse('conflict', `container ${record.id} is not running`);
  else if (number === SIGKILL)
    await endTask(context, record.id, { what: 'kill', by, signal: SIGKILL, timeoutMs: KILL_PATIENCE_MS });
  else await signalTask(context, record, task, { signal: number, what: 'kill', by });
}

/** What a signal is sent for. */
export type SignalReason = 'stop' | 'kill' | 'restart' | 'rm';

/** Sends the signal, then SIGKILL after `timeoutMs` (undefined: never), and resolves when the end is recorded. */
export async function endTask(
  context: ContainerContext,
  id: string,
  options: {
    what: SignalReason;
    by: FactAuthor;
    signal: number;
    timeoutMs: number | undefined;
    abort?: AbortSignal | undefined;
  },
): Promise<void> {
  const live = context.live.of(id);
  const record = context.store.get(id);
  const { task } = live;
  if (!record || !task) return;
  live.stopRequested = true;
  const ended = recordedEnd(context, id, task);
  try {
    await signalTask(context, record, task, options);
    if (options.signal !== SIGKILL) {
      if (await within(ended, options.timeoutMs, options.abort)) return;
      await signalTask(context, context.store.get(id) ?? record, task, { ...options, signal: SIGKILL, timedOut: true });
    }
  } catch (error) {
    if ((error as EngineError).code !== 'not-found') throw error;
  }
  if (!(await within(ended, KILL_PATIENCE_MS, undefined))) {
    throw new EngineError(
      'internal',
      `container ${id} did not end within 10 s of SIGKILL: its process is stuck in the kernel`,
    );
  }
}

/** Resolves once the end of this task is in the record, at once when it is already. */
function recordedEnd(context: ContainerContext, id: string, task: Task): Promise<unknown> {
  const live = context.live.of(id);
  return live.task === task ? live.nextExit.wait() : Promise.resolve();
}

/** False when the time is over first. Throws `cancelled` on the abort: what was begun goes on. */
async function within(
  promise: Promise<unknown>,
  ms: number | undefined,
  abort: AbortSignal | undefined,
): Promise<boolean> {
  const { promise: over, resolve, reject } = Promise.withResolvers<boolean>();
  const timer = ms === undefined ? undefined : setTimeout(() => resolve(false), timerMs(ms));
  const aborted = (): void => reject(new EngineError('cancelled', 'gave up waiting for the container to end'));
  if (abort?.aborted) aborted();
  abort?.addEventListener('abort', aborted, { once: true });
  try {
    return await Promise.race([promise.then(() => true), over]);
  } finally {
    clearTimeout(timer);
    abort?.removeEventListener('abort', aborted);
  }
}

async function signalTask(
  context: ContainerContext,
  record: ContainerRecord,
  task: Task,
  options: { signal: number; what: SignalReason; by: FactAuthor; timedOut?: boolean },
): Promise<void> {
  const { signal, what, by, timedOut } = options;
  const stops = signal === SIGKILL || signal === stopSignalOf(record);
  if (stops) markStoppedByHand(context, record);
  // before it is sent: the end may be seen by another engine
  noteFact(context, record.id, {
    Kind: 'signal',
    Signal: signal,
    What: what,
    By: by,
    ...(timedOut && { TimedOut: true }),
  });
  await task.kill(signal);
  publishContainerEvent(context, record, 'kill', { signal: String(signal) });
  // a frozen process gets no signal before it is thawed
  if (stops && context.store.get(record.id)?.state.status === 'paused') await thaw(context, record.id, task, signal);
}

/** After `signal` was sent. */
async function thaw(context: ContainerContext, id: string, task: Task, signal: number): Promise<void> {
  await context.locks.run(id, async () => {
    const record = context.store.get(id);
    if (record?.state.status !== 'paused' || context.live.of(id).task !== task) return;
    try {
      await task.resume();
    } catch (error) {
      // SIGKILL ends frozen processes of cgroup v2 by itself: what was to be thawed is gone then
      if (signal === SIGKILL && (await within(task.exited, KILL_PATIENCE_MS, undefined))) return;
      throw error;
    }
    const running = { ...record, state: resumed(record.state) };
    context.store.update(running);
    publishContainerEvent(context, running, 'unpause');
  });
}

/** The restart policy keeps still; written only where a policy reads it when the engine starts again. */
export function markStoppedByHand(context: ContainerContext, record: ContainerRecord): void {
  context.live.of(record.id).stopRequested = true;
  const current = context.store.get(record.id);
  if (!current || current.stoppedByHand) return;
  const marked = { ...current, stoppedByHand: true };
  if ((current.hostConfig.RestartPolicy?.Name ?? 'no') === 'no') context.store.updateInMemory(marked);
  else context.store.update(marked);
}

export function stopSignalOf(record: ContainerRecord): number {
  return record.config.StopSignal ? parseSignal(record.config.StopSignal) : 15;
}
