import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { EngineError } from '../../base/errors.ts';
import type { Digest } from '../../oci/digest.ts';
import type { LinkFiles } from './link-files.ts';

/** A deletion that has taken so long to be decided is not made. */
const DECIDE_MS = 60_000;
/** A note so old is of a server that died. */
const STALE_MS = 10 * 60_000;
const WAIT_MS = 30_000;
const LOOK_MS = 50;

/**
 * Where several servers share a store: what one of them is about to delete, as a file for each blob. Whoever deletes writes
 * the note first and looks for links then; whoever adds links first and looks for the note then. So one of the two sees
 * the other, whatever the order.
 */
export class Condemned {
  readonly #files: LinkFiles;
  readonly #server = randomUUID();

  constructor(files: LinkFiles) {
    this.#files = files;
  }

  /** Deletes unless it is wanted after all, or another server is at it. Says whether it deleted. */
  async condemn(
    digest: Digest,
    { isWanted, remove }: { isWanted: () => Promise<boolean>; remove: () => Promise<void> },
  ): Promise<boolean> {
    const path = pathOf(digest);
    const begun = performance.now();
    // A write whose answer was lost is ours all the same.
    if (
      !(await this.#files.write(path, this.#server, { once: true })) &&
      (await this.#files.read(path)) !== this.#server
    ) {
      await this.#dropStale(path);
      return false;
    }
    try {
      if ((await isWanted()) || performance.now() - begun > DECIDE_MS) return false;
      await remove();
      return true;
    } finally {
      await this.#files.remove(path);
    }
  }

  /** Resolves once no server is about to delete what has a link by now. Throws `unavailable` when one takes too long. */
  async spared(digest: Digest): Promise<void> {
    const path = pathOf(digest);
    for (const begun = performance.now(); await this.#dropStale(path); await sleep(LOOK_MS)) {
      if (performance.now() - begun > WAIT_MS)
        throw new EngineError('unavailable', `${digest} is being deleted by another server: push it again`);
    }
  }

  /** Says whether there is a note of a server that lives. */
  async #dropStale(path: string): Promise<boolean> {
    const at = await this.#files.modifiedAt(path);
    if (!at) return false;
    if (Date.now() - at.getTime() < STALE_MS) return true;
    await this.#files.remove(path);
    return false;
  }
}

function pathOf(digest: Digest): string {
  // No repository's name begins with an underscore.
  return `_condemned/${digest.replace(':', '-')}`;
}
