import type { ContainerRecord } from '../../state/containers.ts';
import type { ContainerContext } from './context.ts';

/** Tells that a run has the container's volumes. */
export function publishVolumesMounted(context: Pick<ContainerContext, 'events'>, record: ContainerRecord): void {
  for (const { point } of record.mounts) {
    if (point.Type !== 'volume' || point.Name === undefined) continue;
    context.events.publish('volume', 'mount', point.Name, {
      container: record.id,
      destination: point.Destination,
      driver: point.Driver ?? 'local',
      propagation: point.Propagation,
      'read/write': String(point.RW),
    });
  }
}

/** Tells that the run is over. */
export function publishVolumesUnmounted(context: Pick<ContainerContext, 'events'>, record: ContainerRecord): void {
  for (const { point } of record.mounts) {
    if (point.Type !== 'volume' || point.Name === undefined) continue;
    context.events.publish('volume', 'unmount', point.Name, { container: record.id, driver: point.Driver ?? 'local' });
  }
}
