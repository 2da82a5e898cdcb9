import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

/** The directory of one build. It is made when something is first put into it: a build that finds all it wants needs none. */
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
      mkdirSync(this.path, { recursive: true });
      this.#made = true;
    }
    return join(this.path, name);
  }

  /** A directory in it, made when something is put there. */
  below(name: string): BuildDirectory {
    return new BuildDirectory(join(this.path, name), this);
  }
}
