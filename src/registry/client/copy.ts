import { childrenOf, isIndex, isManifest } from '../../content/children.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { RemoteRepository } from './remote-repository.ts';

/** An index may hold an index; more than so many are a trap. */
const MAX_DEPTH = 4;

export interface CopyOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told before something is sent. */
  readonly onCopy?: (descriptor: Descriptor) => void;
}

/**
 * Copies a manifest or index with all it refers to from one repository to another, of the same registry or not, and gives
 * it the name of its digest there. What is there is not sent; within a registry blobs are mounted where it lets us.
 */
export async function copyManifest(
  from: RemoteRepository,
  to: RemoteRepository,
  target: Descriptor,
  options: CopyOptions = {},
  depth = 0,
): Promise<void> {
  const { signal, onCopy } = options;
  if (depth > MAX_DEPTH) throw new Error(`${target.digest}: more than ${MAX_DEPTH} indexes in each other`);
  const sameRegistry = from.session.host.base.href === to.session.host.base.href;
  if (sameRegistry && from.path === to.path) return;
  if (await to.stat(target.digest, { signal })) return;
  const { descriptor, bytes } = await from.manifest(target.digest, { signal });
  const source = { read: from.read.bind(from) };
  const children = await childrenOf(
    {
      read: async function* () {
        yield bytes;
      },
    },
    descriptor,
    signal,
  );
  onCopy?.(descriptor);
  for (const child of children) {
    if (isIndex(child.mediaType) || isManifest(child.mediaType)) {
      await copyManifest(from, to, child, options, depth + 1);
      continue;
    }
    // Layers that others serve (`urls`) are not ours to copy: nobody would find them here.
    if (child.urls?.length || (await to.has(child))) continue;
    if (sameRegistry && (await to.mount(child.digest, from.path, { signal }))) continue;
    onCopy?.(child);
    await to.upload(child, () => source.read(child, signal ? { signal } : {}), { signal });
  }
  await to.putManifest(descriptor.digest, descriptor, bytes, { signal });
}
