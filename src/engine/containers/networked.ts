import { join } from 'node:path';
import type { ContainerRecord } from '../../state/containers.ts';
import type { EngineConfig } from '../config.ts';
import type { NetworkedContainer } from '../networks/networking.ts';

/** Where a container's own files are: its log, hosts, hostname and resolv.conf. */
export function containerDirectory(context: { readonly config: EngineConfig }, id: string): string {
  return join(context.config.dataRoot, 'containers', id);
}

/** What networking reads of a container. */
export function networkedContainer(
  context: { readonly config: EngineConfig },
  record: ContainerRecord,
): NetworkedContainer {
  const { id, name, config, hostConfig, networks, ids } = record;
  return { id, name, config, hostConfig, networks, ids, directory: containerDirectory(context, id) };
}
