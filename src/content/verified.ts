/** What every store does to take nothing but what a digest names. */
import type { Hash } from 'node:crypto';
import { EngineError } from '../base/errors.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Bytes, ContentStore } from './content-store.ts';

/** Throws `corrupt` unless `hash` and `size` are `target`'s. */
export function checkContent(target: Pick<Descriptor, 'digest' | 'size'>, hash: Hash, size: number): void {
  if (size !== target.size) {
    throw new EngineError('corrupt', `${target.digest} has ${size} bytes instead of ${target.size}`);
  }
  const found = `${target.digest.slice(0, target.digest.indexOf(':'))}:${hash.digest('hex')}`;
  if (found !== target.digest) throw new EngineError('corrupt', `content is ${found} instead of ${target.digest}`);
}

/** `ContentSink.write` by an ingest of the store: what is too long is refused before it is written. */
export async function writeBlob(
  store: Pick<ContentStore, 'has' | 'ingest'>,
  target: Pick<Descriptor, 'digest' | 'size'>,
  body: Bytes,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  if (await store.has(target)) return;
  await using ingest = await store.ingest();
  for await (const chunk of body) {
    signal?.throwIfAborted();
    if (ingest.offset + chunk.byteLength > target.size) {
      throw new EngineError('corrupt', `${target.digest} is larger than the ${target.size} bytes it should have`);
    }
    await ingest.append(chunk);
  }
  await ingest.commit(target);
}
