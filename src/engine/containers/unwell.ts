import { setTimeout as sleep } from 'node:timers/promises';
import { ON_UNHEALTHY_LABEL } from '../../api/gantry.ts';
import { errorCode } from '../../base/errors.ts';
import { timerMs } from '../../base/time.ts';
import type { Task } from '../../runtime/task.ts';
import { type ContainerContext, publishContainerEvent } from './context.ts';
import { byEngine, noteFact } from './facts.ts';
import { stopSignalOf } from './kill.ts';

const SIGKILL = 9;

/**
 * A run whose health check has failed for good. Where the container's label asks for it the run is ended, politely, and
 * begins anew with the back-off of the restart policies, whatever the container's own policy is. A person who stops it
 * meanwhile has the last word.
 */
export function runIsUnhealthy(context: ContainerContext, id: string, task: Task): void {
  const record = context.store.get(id);
  const live = context.live.of(id);
  if (record?.config.Labels?.[ON_UNHEALTHY_LABEL] !== 'restart' || live.task !== task || live.stopRequested) return;
  live.unwell = true;
  const seconds = record.config.StopTimeout ?? context.config.stopTimeoutSeconds;
  const send = async (signal: number): Promise<void> => {
    noteFact(context, id, { Kind: 'signal', Signal: signal, What: 'restart', By: byEngine('health check') });
    await task.kill(signal).catch((error: unknown) => {
      if (errorCode(error) !== 'not-found') throw error;
    });
    publishContainerEvent(context, record, 'kill', { signal: String(signal) });
  };
  void context.background.run(`container ${record.name}: restart, for it is unhealthy`, async () => {
    await send(stopSignalOf(record));
    if (seconds < 0) return;
    const patience = new AbortController();
    const late = sleep(timerMs(seconds * 1000), true, { signal: patience.signal }).catch(() => false);
    const ended = task.exited.then(() => false);
    if (await Promise.race([late, ended])) await send(SIGKILL);
    patience.abort();
  });
}
