import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ChainId } from '../../oci/digest.ts';

/** Files of layers, mounted read-only for as long as a build takes; each chain once. */
export class Views implements AsyncDisposable {
  readonly #directory: string;
  readonly #mount: (chain: ChainId, target: string) => Promise<void>;
  readonly #unmount: (target: string) => Promise<void>;
  readonly #views = new Map<string, Promise<string>>();

  constructor(options: {
    readonly directory: string;
    readonly mount: (chain: ChainId, target: string) => Promise<void>;
    readonly unmount: (target: string) => Promise<void>;
  }) {
    this.#directory = options.directory;
    this.#mount = options.mount;
    this.#unmount = options.unmount;
  }

  /** Directory with the chain's files; an empty one for no layers at all. */
  of(chain: ChainId | undefined): Promise<string> {
    const name = chain ?? '';
    let view = this.#views.get(name);
    if (!view) {
      view = this.#make(chain, join(this.#directory, `view-${this.#views.size}`));
      this.#views.set(name, view);
    }
    return view;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const [name, view] of this.#views) {
      const path = await view.catch(() => undefined);
      if (path !== undefined && name !== '') await this.#unmount(path);
    }
    this.#views.clear();
  }

  async #make(chain: ChainId | undefined, path: string): Promise<string> {
    await mkdir(path);
    if (chain) await this.#mount(chain, path);
    return path;
  }
}
