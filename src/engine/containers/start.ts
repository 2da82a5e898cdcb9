import { EngineError } from '../../base/errors.ts';
import { type ContainerContext, currentRecord, findContainer } from './context.ts';
import { presentAuthor } from './facts.ts';
import { beginRun } from './run.ts';

/** Throws `not-modified` when it runs already, `conflict` when it is paused or being removed. */
export async function startContainer(context: ContainerContext, nameOrId: string): Promise<void> {
  const by = presentAuthor();
  const { id } = findContainer(context, nameOrId);
  await context.locks.run(id, async () => {
    const record = currentRecord(context, id);
    const live = context.live.of(id);
    if (live.removing) {
      throw new EngineError('conflict', 'container is marked for removal and cannot be started');
    }
    if (record.state.status === 'paused') {
      throw new EngineError('conflict', 'cannot start a paused container, try unpause instead');
    }
    if (record.state.status === 'running') throw new EngineError('not-modified', `container ${id} is already running`);
    clearTimeout(live.restartTimer);
    live.restartTimer = undefined;
    live.backoff.reset();
    await beginRun(context, { ...record, restartCount: 0, stoppedByHand: false }, by);
  });
}
