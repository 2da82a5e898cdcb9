import { posix } from 'node:path';
import type { FilesystemChange, PathStat } from '../../api/container.ts';
import { EngineError } from '../../base/errors.ts';
import type { OperationOptions } from '../../base/operation.ts';
import type { Bytes } from '../../content/content-store.ts';
import { type ContainerContext, findContainer, publishContainerEvent } from './context.ts';
import { openRoot, withRoot } from './root-view.ts';

export async function containerChanges(context: ContainerContext, nameOrId: string): Promise<FilesystemChange[]> {
  return await context.files.changes(findContainer(context, nameOrId));
}

/** The whole filesystem as a tar, without volumes. */
export async function exportContainer(
  context: ContainerContext,
  nameOrId: string,
  options?: OperationOptions,
): Promise<Bytes> {
  const record = findContainer(context, nameOrId);
  const root = await context.roots.hold(record.id);
  publishContainerEvent(context, record, 'export');
  const done = (): Promise<void> => context.roots.release(record.id);
  try {
    return andThen(await context.files.export(root, { ...options, ids: record.ids }), done);
  } catch (error) {
    await done();
    throw error;
  }
}

export async function archiveStat(context: ContainerContext, nameOrId: string, path: string): Promise<PathStat> {
  return await withRoot(context, findContainer(context, nameOrId), (root) => context.files.stat(root, path, nameOrId));
}

export async function archiveGet(
  context: ContainerContext,
  nameOrId: string,
  path: string,
  options?: OperationOptions,
): Promise<{ stat: PathStat; tar: Bytes }> {
  const record = findContainer(context, nameOrId);
  const { root, done } = await openRoot(context, record);
  try {
    const { stat, tar } = await context.files.get(root, path, nameOrId, { ...options, ids: record.ids });
    publishContainerEvent(context, record, 'archive-path');
    return { stat, tar: andThen(tar, done) };
  } catch (error) {
    await done();
    throw error;
  }
}

export async function archivePut(
  context: ContainerContext,
  nameOrId: string,
  path: string,
  tar: Bytes,
  options?: OperationOptions & { noOverwriteDirNonDir?: boolean; copyUidGid?: boolean },
): Promise<void> {
  const record = findContainer(context, nameOrId);
  if (record.hostConfig.ReadonlyRootfs && !record.mounts.some(({ point }) => isWithin(path, point.Destination))) {
    throw new EngineError('invalid-argument', 'container rootfs is marked read-only');
  }
  const { copyUidGid, ...rest } = options ?? {};
  await withRoot(context, record, async (root) => {
    // as Docker has it: without a user of the container's own the archive's owners stay
    const owner = copyUidGid && record.config.User ? await context.specs.user(record, root) : undefined;
    await context.files.put(root, path, tar, nameOrId, { ...rest, ids: record.ids, ...(owner && { owner }) });
  });
  publishContainerEvent(context, record, 'extract-to-dir');
}

function isWithin(path: string, directory: string): boolean {
  return posix.resolve('/', path) === directory || posix.resolve('/', path).startsWith(`${directory}/`);
}

/** Passes `bytes` on, and calls `done` when they end, fail, or are given up, even when nobody begins to read. */
function andThen(bytes: Bytes, done: () => Promise<void>): Bytes {
  const iterator = bytes[Symbol.asyncIterator]();
  let finished: Promise<void> | undefined;
  const finish = (): Promise<void> => (finished ??= done());
  const wrapped: AsyncIterableIterator<Uint8Array> = {
    async next() {
      try {
        const result = await iterator.next();
        if (result.done) await finish();
        return result;
      } catch (error) {
        await finish();
        throw error;
      }
    },
    async return() {
      try {
        await iterator.return?.();
      } finally {
        await finish();
      }
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return wrapped;
    },
  };
  return wrapped;
}
