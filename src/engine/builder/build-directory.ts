import { chmodSync, chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ContainerIds } from '../../state/containers.ts';

/** The directory of one build, which nobody else on the host gets at. It is made when something is first put into it: a build that finds all it wants needs none. */
export class BuildDirectory {
  readonly path: string;
  readonly #parent: BuildDirectory | undefined;
  #made = false;

  constructor(path: string, parent?: BuildDirectory) {
    this.path = path;
    this.#parent = parent;
  }

  /** Whether there may be something to be removed. */
  get made(): boolean {
    return this.#made;
  }

  /** A place in the directory, which is there from now on. */
  place(name: string): string {
    if (!this.#made) {
      // Whoever removes the whole has to know of it.
      this.#parent?.place('');
      mkdirSync(this.path, { recursive: true, mode: this.#parent ? 0o755 : 0o700 });
      this.#made = true;
    }
    return join(this.path, name);
  }

  /** Lets processes with these ids pass, and nobody else on the host: the runtime looks for a step's files with them. */
  letIn({ gid }: Pick<ContainerIds, 'gid'>): void {
    if (this.#parent) return this.#parent.letIn({ gid });
    this.place('');
    chownSync(this.path, 0, gid.base);
    chmodSync(this.path, 0o710);
  }

  /** A directory in it, made when something is put there. */
  below(name: string): BuildDirectory {
    return new BuildDirectory(join(this.path, name), this);
  }
}
