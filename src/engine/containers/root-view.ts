import { type ContainerContext } from './context.ts';
import type { ContainerRecord } from '../../state/containers.ts';
import { hasProcess } from './state.ts';
import { StoppedView } from './stopped-view.ts';

/**
 * Runs `work` with a directory that shows the container's files, volumes included: of a running one as its processes see
 * them, of another as they would. The directory is hostile ground: see linux/rooted.ts.
 */
export async function withRoot<T>(
  context: Pick<ContainerContext, 'config' | 'roots' | 'store'>,
  record: ContainerRecord,
  work: (root: string) => Promise<T>,
): Promise<T> {
  const { root, done } = await openRoot(context, record);
  try {
    return await work(root);
  } finally {
    await done();
  }
}

/** As `withRoot`, for a use that outlives the call: `done` must be called. */
export async function openRoot(
  context: Pick<ContainerContext, 'config' | 'roots' | 'store'>,
  record: ContainerRecord,
): Promise<{ root: string; done: () => Promise<void> }> {
  const { id, state } = context.store.get(record.id) ?? record;
  if (hasProcess(state)) return { root: `/proc/${state.pid}/root`, done: async () => {} };
  const root = await context.roots.hold(id);
  const release = (): Promise<void> => context.roots.release(id);
  if (record.mounts.length === 0) return { root, done: release };
  try {
    const view = new StoppedView(context.config.execRoot, record, root);
    const done = async (): Promise<void> => {
      view.close();
      await release();
    };
    return { root: view.path, done };
  } catch (error) {
    await release();
    throw error;
  }
}
