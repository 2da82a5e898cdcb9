import { type ContainerContext } from './context.ts';
import type { ContainerRecord } from '../../state/containers.ts';
import { hasProcess } from './state.ts';

/**
 * Runs `work` with a directory that shows the container's files: of a running one as its processes see them, volumes
 * included, of another its root filesystem alone. The directory is hostile ground: see linux/rooted.ts.
 */
export async function withRoot<T>(
  context: Pick<ContainerContext, 'roots' | 'store'>,
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
  context: Pick<ContainerContext, 'roots' | 'store'>,
  record: ContainerRecord,
): Promise<{ root: string; done: () => Promise<void> }> {
  const { id, state } = context.store.get(record.id) ?? record;
  if (hasProcess(state)) return { root: `/proc/${state.pid}/root`, done: async () => {} };
  const root = await context.roots.hold(id);
  return { root, done: () => context.roots.release(id) };
}
