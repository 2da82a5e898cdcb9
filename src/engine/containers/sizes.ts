import type { ContainerRecord } from '../../state/containers.ts';
import type { ContainerContext } from './context.ts';

/** Bytes: what the container wrote, and that with its image. Walks the container's own files: not cheap. */
export async function containerSizes(
  context: Pick<ContainerContext, 'snapshots'>,
  record: ContainerRecord,
): Promise<{ SizeRw?: number; SizeRootFs: number }> {
  const { snapshots } = context;
  const { bytes } = await snapshots.usage(record.id);
  let image = 0;
  for (let chain = record.chain; chain !== undefined;) {
    const info = snapshots.stat(chain);
    image += info?.layer?.size ?? 0;
    chain = info?.parent;
  }
  return { ...(bytes > 0 && { SizeRw: bytes }), SizeRootFs: bytes + image };
}
