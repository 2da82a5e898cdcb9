import { EngineError } from '../../base/errors.ts';
import type { Task } from '../../runtime/task.ts';
import type { ContainerRecord } from '../../state/containers.ts';
import { type ContainerContext, currentRecord, findContainer, publishContainerEvent } from './context.ts';
import { presentAuthor, withFact } from './facts.ts';
import { hasProcess, paused, resumed } from './state.ts';

/** Freezes all processes. Throws `conflict` when there are none, or they are frozen already. */
export async function pauseContainer(context: ContainerContext, nameOrId: string): Promise<void> {
  const by = presentAuthor();
  const { id } = findContainer(context, nameOrId);
  await context.locks.run(id, async () => {
    const record = currentRecord(context, id);
    const task = runningTask(context, record);
    if (record.state.status === 'paused') throw new EngineError('conflict', `Container ${id} is already paused`);
    await task.pause();
    const changed = withFact({ ...record, state: paused(record.state) }, { Kind: 'paused', By: by });
    context.store.update(changed);
    publishContainerEvent(context, changed, 'pause');
  });
}

/** Throws `conflict` when it is not paused. */
export async function unpauseContainer(context: ContainerContext, nameOrId: string): Promise<void> {
  const by = presentAuthor();
  const { id } = findContainer(context, nameOrId);
  await context.locks.run(id, async () => {
    const record = currentRecord(context, id);
    const { task } = context.live.of(id);
    if (record.state.status !== 'paused' || !task) throw new EngineError('conflict', `Container ${id} is not paused`);
    await task.resume();
    const changed = withFact({ ...record, state: resumed(record.state) }, { Kind: 'unpaused', By: by });
    context.store.update(changed);
    publishContainerEvent(context, changed, 'unpause');
  });
}

/** Throws `conflict`: `container … is not running`, `Container … is restarting, wait until the container is running`. */
export function runningTask(context: Pick<ContainerContext, 'live'>, record: ContainerRecord): Task {
  const { task } = context.live.of(record.id);
  if (task && hasProcess(record.state)) return task;
  if (record.state.status === 'restarting') {
    throw new EngineError('conflict', `Container ${record.id} is restarting, wait until the container is running`);
  }
  throw new EngineError('conflict', `container ${record.id} is not running`);
}
