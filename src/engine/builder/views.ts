import { mkdir } from 'node:fs/promises';
import type { ChainId } from '../../oci/digest.ts';
import type { ContainerIds } from '../../state/containers.ts';
import type { BuildDirectory } from './build-directory.ts';

/** Files of layers, mounted read-only for as long as a build takes; each chain once. */
export class Views implements AsyncDisposable {
  readonly #directory: BuildDirectory;
  readonly #mount: (chain: ChainId, target: string, ids?: ContainerIds) => Promise<void>;
  readonly #unmount: (target: string) => Promise<void>;
  readonly #views = new Map<string, Promise<string>>();

  constructor(options: {
    readonly directory: BuildDirectory;
    readonly mount: (chain: ChainId, target: string, ids?: ContainerIds) => Promise<void>;
    readonly unmount: (target: string) => Promise<void>;
  }) {
    this.#directory = options.directory;
    this.#mount = options.mount;
    this.#unmount = options.unmount;
  }

  /** Directory with the chain's files, seen with the ids of a user namespace if given; an empty one for no layers at all. */
  of(chain: ChainId | undefined, ids?: ContainerIds): Promise<string> {
    const name = chain === undefined ? '' : JSON.stringify([chain, ids?.uid.base, ids?.gid.base]);
    let view = this.#views.get(name);
    if (!view) {
      view = this.#make(chain, this.#directory.place(`view-${this.#views.size}`), ids);
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

  async #make(chain: ChainId | undefined, path: string, ids: ContainerIds | undefined): Promise<string> {
    await mkdir(path);
    if (chain) await this.#mount(chain, path, ids);
    return path;
  }
}
