import { closeSync, fchmodSync, fchownSync, writeSync } from 'node:fs';
import { bind, check } from './libc.ts';

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
/** No more seals, no shrinking, no growing, no writing. */
const ALL_SEALS = 0xf;

const memfdCreate = bind<(name: string, flags: number) => number>(
  'int memfd_create(const char *name, unsigned int flags)',
);
const fcntl = bind<(fd: number, command: number, argument: number) => number>('int fcntl(int fd, int cmd, int arg)');

/**
 * A file in memory that has no name anywhere, with `content`, which nobody can change any more. Whoever has its descriptor
 * opens it anew, from its beginning, by `/proc/self/fd/<number>`. The caller closes it.
 */
export function memoryFile(
  content: Uint8Array,
  access: { readonly uid: number; readonly gid: number; readonly mode: number },
): number {
  const fd = check(memfdCreate('secret', MFD_CLOEXEC | MFD_ALLOW_SEALING), 'memfd_create');
  try {
    for (let at = 0; at < content.length;) at += writeSync(fd, content, at, content.length - at, at);
    check(fcntl(fd, F_ADD_SEALS, ALL_SEALS), 'fcntl', 'seals');
    fchmodSync(fd, access.mode);
    fchownSync(fd, access.uid, access.gid);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
