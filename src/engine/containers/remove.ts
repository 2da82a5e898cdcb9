import { rm } from 'node:fs/promises';
import { EngineError, errorCode, errorMessage } from '../../base/errors.ts';
import { linksWithout } from '../networks/links.ts';
import type { FactAuthor } from '../../api/why.ts';
import type { ContainerRecord } from '../../state/containers.ts';
import { type ContainerContext, currentRecord, findContainer, publishContainerEvent } from './context.ts';
import { endTask } from './kill.ts';
import { presentAuthor, withFact } from './facts.ts';
import type { TrashTicket } from '../trash/trash.ts';
import type { Outcome } from './live.ts';
import { containerDirectory } from './networked.ts';
import { countsAsRunning, hasProcess, restartCancelled } from './state.ts';

/** Throws `conflict` while it runs, unless forced. */
export async function removeContainer(
  context: ContainerContext,
  nameOrId: string,
  options: { force?: boolean; volumes?: boolean; link?: boolean } = {},
): Promise<void> {
  if (options.link) {
    await removeLink(context, nameOrId);
    return;
  }
  const by = presentAuthor();
  const ticket = context.trash.ticket();
  const { id, name } = findContainer(context, nameOrId);
  const live = context.live.of(id);
  if (live.removing) throw new EngineError('conflict', `removal of container ${nameOrId} is already in progress`);
  if (!options.force) refuseRunning(currentRecord(context, id), nameOrId);
  live.removing = true;
  try {
    await killIfRunning(context, id, by);
    await context.locks.run(id, async () => {
      const record = context.store.get(id);
      if (!record) return; // auto-removed by the end of its run
      await live.cleanup;
      const drop = { volumes: options.volumes === true, by, ticket };
      await dropContainer(context, record, drop, { exitCode: record.state.exitCode });
    });
  } catch (error) {
    live.removing = false;
    throw new EngineError(errorCode(error), `cannot remove container "${name}": ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

/** `web/db`: the link named db of the container web. What runs knows the name until it is started again. */
async function removeLink(context: ContainerContext, path: string): Promise<void> {
  const [name = '', alias] = path.replace(/^\//, '').split('/');
  if (alias === undefined) {
    throw new EngineError('conflict', 'Conflict, cannot remove the default link name of the container');
  }
  const { id } = findContainer(context, name);
  await context.locks.run(id, async () => {
    const record = currentRecord(context, id);
    const links = linksWithout(record.hostConfig.Links, alias);
    if (!links) throw new EngineError('not-found', `No such container: ${path.replace(/^\//, '')}`);
    context.store.update({ ...record, hostConfig: { ...record.hostConfig, Links: links } });
  });
}

function refuseRunning({ state }: ContainerRecord, asked: string): void {
  const refuse = (why: string): never => {
    throw new EngineError('conflict', `cannot remove container "${asked}": ${why}`);
  };
  if (state.status === 'paused') refuse('container is paused and must be unpaused first');
  if (state.status === 'restarting')
    refuse('container is restarting: stop the container before removing or force remove');
  if (countsAsRunning(state)) refuse('container is running: stop the container before removing or force remove');
}

async function killIfRunning(context: ContainerContext, id: string, by: FactAuthor): Promise<void> {
  const live = context.live.of(id);
  await context.locks.run(id, async () => {
    const record = context.store.get(id);
    if (record?.state.status !== 'restarting') return;
    clearTimeout(live.restartTimer);
    context.store.updateInMemory({ ...record, state: restartCancelled(record.state) });
  });
  const record = context.store.get(id);
  if (record && hasProcess(record.state)) {
    await endTask(context, id, { what: 'rm', by, signal: 9, timeoutMs: 10_000 });
  }
}

/**
 * The container is gone when this resolves: name and id are free. Its files go in the background; what a crash
 * leaves of them is swept at the next start, as nothing in the database knows them.
 */
export async function dropContainer(
  context: ContainerContext,
  record: ContainerRecord,
  options: { volumes: boolean; by: FactAuthor; ticket?: TrashTicket | undefined },
  outcome: Outcome,
): Promise<void> {
  const { id } = record;
  const live = context.live.of(id);
  // one that goes at its end is not missed
  const ticket = record.hostConfig.AutoRemove ? undefined : options.ticket;
  live.removing = true;
  clearTimeout(live.restartTimer);
  live.health?.stop();
  live.memory?.close();
  // anonymous volumes are known by this record alone: they go before it does
  if (record.mounts.some((mount) => mount.point.Type === 'volume')) {
    await live.cleanup;
    await context.volumes.release(record, { anonymous: options.volumes, ticket });
  }
  const removed = withFact(record, { Kind: 'removed', By: options.by });
  context.store.remove(removed, ticket && (() => context.trash.put(ticket, { kind: 'container', record: removed })));
  await context.store.written(removed);
  publishContainerEvent(context, record, 'destroy');
  // why its last run failed is told to who waits for that, not for the removal
  live.removed.tell({ exitCode: outcome.exitCode });
  live.nextExit.tell(outcome);
  const { cleanup } = live;
  context.live.forget(id);
  void context.background.run(`container ${id}: removal of its files`, async () => {
    await cleanup;
    await live.shipping?.finish();
    if (ticket) return;
    await context.snapshots.remove(id);
    // when the engine closes before they are done, the next one sweeps
    if (!(await live.readers.empty(context.closing).then(yes, no))) return;
    await rm(containerDirectory(context, id), { recursive: true, force: true });
  });
}

const yes = (): boolean => true;
const no = (): boolean => false;
