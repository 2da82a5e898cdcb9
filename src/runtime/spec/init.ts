import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import type { OciMount } from './oci-spec.ts';

/** Where Docker puts it, too. */
export const INIT_PATH = '/sbin/docker-init';

const NAMES = ['docker-init', 'catatonit', 'tini-static', 'tini'];

/** A small init that reaps zombies and passes signals on, first found in `directories`; undefined when the host has none. */
export function findInitBinary(
  directories: readonly string[] = ['/usr/libexec/docker', '/usr/libexec/podman', '/usr/local/bin', '/usr/bin', '/bin'],
): string | undefined {
  for (const name of NAMES) {
    for (const directory of directories) {
      const path = join(directory, name);
      try {
        accessSync(path, constants.X_OK);
        return path;
      } catch {
        // not there: the next one
      }
    }
  }
  return undefined;
}

export function initMount(binary: string): OciMount {
  return { destination: INIT_PATH, type: 'bind', source: binary, options: ['bind', 'ro'] };
}

export function initArgs(args: readonly string[]): string[] {
  return [INIT_PATH, '--', ...args];
}
