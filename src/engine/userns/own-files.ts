import { chownSync } from 'node:fs';
import type { ContainerRecord } from '../../state/containers.ts';
import type { PreparedNetwork } from '../networks/networking.ts';

/** A container's root may write into its own /etc/hosts, by whichever id it goes on the host. */
export function ownFiles({ ids, hostConfig }: ContainerRecord, { files }: PreparedNetwork): void {
  if (!ids || hostConfig.NetworkMode?.startsWith('container:')) return;
  for (const file of [files.hosts, files.hostname, files.resolvConf]) {
    if (file !== '') chownSync(file, ids.uid.base, ids.gid.base);
  }
}
