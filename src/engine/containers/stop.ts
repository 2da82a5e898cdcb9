import { EngineError, errorCode, errorMessage } from '../../base/errors.ts';
import { type ContainerContext, findContainer, publishContainerEvent } from './context.ts';
import { endTask, markStoppedByHand, stopSignalOf } from './kill.ts';
import { parseSignal } from './signals.ts';
import { presentAuthor, withFact } from './facts.ts';
import { beginRun } from './run.ts';
import { hasProcess, restartCancelled } from './state.ts';

export interface StopOptions {
  readonly signal?: string;
  /** -1 waits for ever. */
  readonly timeoutSeconds?: number;
  readonly abort?: AbortSignal;
}

/** Throws `not-modified` when it does not run. */
export async function stopContainer(
  context: ContainerContext,
  nameOrId: string,
  options: StopOptions = {},
): Promise<void> {
  const { id } = findContainer(context, nameOrId);
  if (!(await endRun(context, id, options, 'stop'))) {
    throw new EngineError('not-modified', `container ${id} is already stopped`);
  }
  publishStop(context, id);
}

/** Unless the end of its run has done so. */
function publishStop(context: ContainerContext, id: string): void {
  const live = context.live.of(id);
  const record = context.store.get(id);
  if (record && live.stopEventOwed) publishContainerEvent(context, record, 'stop');
  live.stopEventOwed = false;
}

/** Stops it if it runs, and starts it. */
export async function restartContainer(
  context: ContainerContext,
  nameOrId: string,
  options: StopOptions = {},
): Promise<void> {
  const by = presentAuthor();
  const { id } = findContainer(context, nameOrId);
  if (options.signal) parseSignal(options.signal);
  const live = context.live.of(id);
  live.keep = true;
  try {
    if (await endRun(context, id, options, 'restart')) publishStop(context, id);
  } finally {
    live.keep = false;
  }
  await context.locks.run(id, async () => {
    const record = context.store.get(id);
    if (!record) throw new EngineError('not-found', `No such container: ${nameOrId}`);
    if (!hasProcess(record.state)) {
      live.backoff.reset();
      try {
        await beginRun(context, { ...record, stoppedByHand: false }, by);
      } catch (error) {
        throw new EngineError(errorCode(error), `Cannot restart container ${nameOrId}: ${errorMessage(error)}`, {
          cause: error,
        });
      }
    }
    publishContainerEvent(context, record, 'restart');
  });
}

/** Whether there was something to end. */
async function endRun(
  context: ContainerContext,
  id: string,
  options: StopOptions,
  what: 'stop' | 'restart',
): Promise<boolean> {
  const by = presentAuthor();
  const number = options.signal ? parseSignal(options.signal) : undefined;
  // waits for a start that is under way, and ends the back-off of a restart
  const waited = await context.locks.run(id, async () => {
    const record = context.store.get(id);
    if (record?.state.status !== 'restarting') return false;
    const live = context.live.of(id);
    clearTimeout(live.restartTimer);
    live.restartTimer = undefined;
    markStoppedByHand(context, record);
    live.stopEventOwed = true;
    const noted = withFact(record, { Kind: 'signal', What: what, By: by });
    context.store.update({ ...noted, stoppedByHand: true, state: restartCancelled(record.state) });
    live.nextExit.tell({ exitCode: record.state.exitCode });
    return true;
  });
  const record = context.store.get(id);
  if (!record || !hasProcess(record.state)) return waited;
  markStoppedByHand(context, record);
  context.live.of(id).stopEventOwed = true;
  const seconds = options.timeoutSeconds ?? record.config.StopTimeout ?? context.config.stopTimeoutSeconds;
  await endTask(context, id, {
    what,
    by,
    signal: number ?? stopSignalOf(record),
    timeoutMs: seconds < 0 ? undefined : seconds * 1000,
    abort: options.abort,
  });
  return true;
}
