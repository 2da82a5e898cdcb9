import { statfsSync } from 'node:fs';
import { EngineError } from '../../base/errors.ts';
import type { OciMount } from '../../runtime/spec/oci-spec.ts';
import { placesOf } from './mount-places.ts';

/** Files below /proc that something may be mounted on: what they tell of a machine can be told of a container (lxcfs). */
const HARMLESS: ReadonlySet<string> = new Set(
  [
    'cpuinfo diskstats meminfo stat swaps uptime loadavg slabinfo net/dev',
    'sys/kernel/ns_last_pid sys/crypto/fips_enabled',
  ].flatMap((line) => line.split(' ').map((name) => `/proc/${name}`)),
);
const PROC_SUPER_MAGIC = 0x9fa0;

/**
 * A runtime writes a process's security labels and sysctls below the container's /proc: files of somebody's choosing in
 * its place take the confinement away (CVE-2019-16884, CVE-2023-28642). runc refuses them, crun does not. Links are
 * followed, of the image and of what is mounted before. Throws `invalid-argument`, in Docker's words.
 */
export function refuseProcMounts(rootfs: string, mounts: readonly OciMount[]): void {
  for (const { mount, place } of placesOf(rootfs, mounts)) {
    const { type, source, destination } = mount;
    if (type !== 'bind' || source === undefined) continue;
    const isBelow = place.startsWith('/proc/') && !HARMLESS.has(place);
    if (!isBelow && place !== '/proc') continue;
    if (place === '/proc' && statfsSync(source).type === PROC_SUPER_MAGIC) continue;
    throw new EngineError(
      'invalid-argument',
      `error mounting "${source}" to rootfs at "${destination}": "${place}" cannot be mounted because it is ${isBelow ? 'inside /proc' : 'not of type proc'}`,
    );
  }
}
