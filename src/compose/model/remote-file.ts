import type { Place } from './place.ts';

/** What was fetched: a Compose file or the directory of one, and all that came with it. */
export interface RemoteFile {
  readonly path: string;
  readonly root: string;
}

/** Of a repository or a registry. */
export function isRemoteFile(path: string): boolean {
  return /^(oci|git|https?|ssh):\/\/|^git@|^github\.com\/|\.git(#|$)/.test(path);
}

/**
 * Thrown while a project is read, for an address that has to be fetched first. Whoever can wait fetches it and reads the
 * project again.
 */
export class RemoteFileNeeded extends Error {
  readonly address: string;
  /** Where a file names it. */
  readonly place: Place | undefined;

  constructor(address: string, place?: Place) {
    super(`${address} has not been fetched`);
    this.address = address;
    this.place = place;
  }
}
