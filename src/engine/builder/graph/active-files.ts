import { mkdir } from 'node:fs/promises';
import type { Digest } from '../../../oci/digest.ts';
import type { ContainerIds } from '../../../state/containers.ts';
import { type PendingLinks, placeLinks } from '../../../build/copy-files.ts';
import type { BuildRecord } from '../../../state/build-records.ts';
import type { ScaffoldEntry } from '../../../snapshot/scaffold.ts';
import type { GraphContext } from './graph-context.ts';
import type { LayerStack } from './layer-stack.ts';

/** Files that are being changed, mounted read-write: they become a layer, or are dropped when they are disposed. */
export class ActiveFiles implements AsyncDisposable {
  readonly root: string;
  readonly #context: GraphContext;
  readonly #stack: LayerStack;
  readonly #name: string;
  #mounted = true;
  #committed = false;

  private constructor(context: GraphContext, stack: LayerStack, name: string, root: string) {
    this.#context = context;
    this.#stack = stack;
    this.#name = name;
    this.root = root;
  }

  /**
   * Seen with the `ids` of a user namespace, if given.
   * @param key for the name, which is the caller's alone all the same
   */
  static async open(
    context: GraphContext,
    stack: LayerStack,
    key: Digest,
    {
      scaffold = [],
      ids,
    }: { readonly scaffold?: readonly ScaffoldEntry[]; readonly ids?: ContainerIds | undefined } = {},
  ): Promise<ActiveFiles> {
    const { parts } = context;
    const name = `build-${key.slice(7, 31)}-${process.hrtime.bigint().toString(36)}`;
    if (ids) context.letIn(ids);
    const root = context.temporary();
    await mkdir(root);
    await parts.snapshotter.prepare(name, stack.chain, { scaffold });
    try {
      await parts.mountActive(name, root, ids);
    } catch (error) {
      await parts.snapshotter.remove(name);
      throw error;
    }
    return new ActiveFiles(context, stack, name, root);
  }

  /** What was changed, as a layer; `pending` is what a copy left out, which was the last change. */
  async commit(pending?: PendingLinks): Promise<BuildRecord['layer']> {
    const { parts, lease, signal } = this.#context;
    await this.#unmount();
    if (pending) await placeLinks(pending, parts.snapshotter.changesDir(this.#name), signal);
    const layer = await parts.commitLayer(this.#name, { parent: this.#stack.chain, lease, signal });
    this.#committed = true;
    return layer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#unmount();
    if (!this.#committed) await this.#context.parts.snapshotter.remove(this.#name);
  }

  async #unmount(): Promise<void> {
    if (!this.#mounted) return;
    this.#mounted = false;
    await this.#context.parts.unmount(this.root);
  }
}
