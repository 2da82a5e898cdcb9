import { EngineError } from '../../src/base/errors.ts';
import { childrenOf, parseManifest, readDocument } from '../../src/content/children.ts';
import type { ContentSource } from '../../src/content/content-store.ts';
import { MemoryContentStore } from '../../src/content/memory-content-store.ts';
import type {
  FetchedImage,
  FetchOptions,
  OpenRepository,
  RegistryAccess,
} from '../../src/engine/images/registry-access.ts';
import type { Descriptor } from '../../src/oci/descriptor.ts';
import { canonicalName, type Reference } from '../../src/oci/reference.ts';

/** A registry in memory: what is pushed can be fetched. */
export class MemoryRegistry implements RegistryAccess {
  readonly #blobs = new MemoryContentStore();
  readonly #names = new Map<string, Descriptor>();

  async push(reference: Reference, coming: Descriptor | Promise<Descriptor>, source: ContentSource): Promise<void> {
    const manifest = await coming;
    for (const child of await childrenOf(source, manifest)) await this.#blobs.write(child, source.read(child));
    await this.#blobs.write(manifest, source.read(manifest));
    this.#names.set(canonicalName(reference), manifest);
    this.#names.set(canonicalName({ ...reference, tag: undefined, digest: manifest.digest }), manifest);
  }

  async fetch(reference: Reference, { content, lease }: FetchOptions): Promise<FetchedImage> {
    const manifest = this.#names.get(canonicalName(reference));
    if (!manifest) throw new EngineError('not-found', `manifest for ${canonicalName(reference)} not found`);
    const { config } = parseManifest(await readDocument(this.#blobs, manifest));
    const copy = async (blob: Descriptor): Promise<void> => {
      lease.add('blob', blob.digest);
      await content.write(blob, this.#blobs.read(blob));
    };
    await copy(manifest);
    await copy(config);
    return { target: manifest, manifest, fetchLayer: copy };
  }

  async tags({ repository }: Reference): Promise<string[]> {
    const prefix = `${repository}:`;
    return [...this.#names.keys()].filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
  }

  async open(): Promise<OpenRepository> {
    throw new EngineError('unavailable', 'images alone are kept here');
  }

  async signatures(): Promise<[]> {
    return [];
  }

  async search(): Promise<Record<string, unknown>[]> {
    return [];
  }

  async distribution(reference: Reference): Promise<Record<string, unknown>> {
    return { Descriptor: this.#names.get(canonicalName(reference)) };
  }
}
