import { closeSync, existsSync, ftruncateSync, openSync, renameSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * A file that only takes up room: when the disk is full it is given up, so that what must still be written can be (how
 * containers ended, that something was removed). It is taken again when there is room.
 */
export class DiskReserve {
  readonly #path: string;
  readonly #bytes: number;
  #held: boolean;

  constructor(path: string, bytes: number) {
    this.#path = path;
    this.#bytes = bytes;
    this.#held = existsSync(path);
  }

  /** Whether it was there to be given up. */
  release(): boolean {
    if (!this.#held) return false;
    this.#held = false;
    rmSync(this.#path, { force: true });
    return true;
  }

  /** Takes the room when it is not held and there is several times as much. Cheap when there is not. Never throws. */
  hold(): void {
    if (this.#held) return;
    const path = `${this.#path}.new`;
    try {
      const { bavail, bsize } = statfsSync(dirname(this.#path));
      if (bavail * bsize < 3 * this.#bytes) return;
      const fd = openSync(path, 'w', 0o600);
      try {
        // Written, not only announced: a file of holes takes no room.
        const chunk = Buffer.alloc(1 << 20, 1);
        for (let done = 0; done < this.#bytes; done += chunk.length) writeSync(fd, chunk);
      } catch (error) {
        ftruncateSync(fd, 0);
        throw error;
      } finally {
        closeSync(fd);
      }
      renameSync(path, this.#path);
      this.#held = true;
    } catch {
      rmSync(path, { force: true });
    }
  }
}
