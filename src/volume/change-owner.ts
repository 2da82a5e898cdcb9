import { realpath } from 'node:fs/promises';
import { EngineError } from '../base/errors.ts';
import type { ChangeOwnerParameters } from './change-owner-job.ts';
import { copyThreads } from './copy-threads.ts';

/** As `changeOwnerJob`, in a worker. Throws `invalid-argument` for directories of the host that its system is in. */
export async function changeOwner(parameters: ChangeOwnerParameters, signal?: AbortSignal): Promise<void> {
  const path = await realpath(parameters.path);
  if (SYSTEM.has(path) || PSEUDO.some((top) => path.startsWith(`${top}/`))) {
    throw new EngineError('invalid-argument', `the owner of ${path} is not changed: the host needs it as it is`);
  }
  await copyThreads.run<void>({ job: 'changeOwner', parameters: { ...parameters, path }, signal });
}

const PSEUDO = ['/dev', '/proc', '/sys'];
const SYSTEM = new Set([
  ...PSEUDO,
  ...'/ /bin /boot /etc /home /lib /lib32 /lib64 /libx32 /media /mnt /opt /root /run /sbin /srv /tmp /usr /var'.split(
    ' ',
  ),
  ...'/etc/passwd /etc/group /etc/shadow /usr/bin /usr/lib /usr/local /usr/sbin /var/lib /var/log /var/run /var/tmp'.split(
    ' ',
  ),
]);
