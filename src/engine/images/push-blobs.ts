import { childrenOf, isIndex, readDocument } from '../../content/children.ts';
import type { Bytes, ContentSource } from '../../content/content-store.ts';
import { type Descriptor, MEDIA_TYPES } from '../../oci/descriptor.ts';
import type { Reference } from '../../oci/reference.ts';
import type { RemoteRepository } from '../../registry/client/remote-repository.ts';
import { Gate } from '../../base/gate.ts';
import { inParallel } from './parallel.ts';
import type { LayerInTheMaking, PushToOptions } from './registry-access.ts';

/** As many as Docker sends at once. */
const MAX_UPLOADS = 5;
const REPORT_MS = 100;

export interface PushManifestOptions extends Omit<PushToOptions, 'auth'> {
  readonly manifest: Descriptor;
  readonly source: ContentSource;
  /** What `pushEarly` brought there. */
  readonly sent?: ReadonlySet<string>;
}

/** Brings the layers there that are being made, large ones while they are; gives their digests. */
export async function pushEarly(
  repository: RemoteRepository,
  source: ContentSource,
  { early = [], ...options }: PushToOptions,
): Promise<ReadonlySet<string>> {
  const gate = new Gate(MAX_UPLOADS);
  const ends = await Promise.allSettled(
    early.map(async (layer) => {
      const grow = await layer.growing;
      const isSent = grow !== undefined && (await gate.run(() => pushGrowing(repository, layer, grow, options)));
      const blob = await layer.blob;
      if (!isSent) await gate.run(() => pushBlob(repository, blob, { source, ...options }));
      return blob.digest;
    }),
  );
  return new Set(
    ends.map((end) => {
      if (end.status === 'rejected') throw end.reason;
      return end.value;
    }),
  );
}

/** Sends a layer while it is made. False when that did not go well: then it is sent as a blob, with more patience. */
async function pushGrowing(
  repository: RemoteRepository,
  { name, blob }: LayerInTheMaking,
  grow: () => Bytes,
  { signal, onProgress }: Pick<PushToOptions, 'signal' | 'onProgress'>,
): Promise<boolean> {
  const there = new AbortController();
  let total: number | undefined;
  const known = blob.then(async (made) => {
    total = made.size;
    // On a slow line it matters that the rest of what the registry has need not be sent.
    if (await repository.has(made)) there.abort();
  });
  known.catch(() => {});
  const say = (current: number): void =>
    onProgress?.({ id: name, status: 'Pushing', current, ...(total !== undefined && { total }) });
  try {
    await repository.uploadGrowing(counted(grow(), say), blob, {
      signal: signal ? AbortSignal.any([signal, there.signal]) : there.signal,
    });
    onProgress?.({ id: name, status: 'Pushed' });
    return true;
  } catch {
    signal?.throwIfAborted();
    if (!there.signal.aborted) return false;
    onProgress?.({ id: name, status: 'Layer already exists' });
    return true;
  }
}

/** Brings to a repository what it lacks of the manifest's blobs, or of all those of an index, then itself under the tag of `reference`. */
export async function pushManifest(
  repository: RemoteRepository,
  reference: Reference,
  options: PushManifestOptions,
): Promise<void> {
  await pushChildren(repository, options);
  await putDocument(repository, reference, options);
}

async function pushChildren(repository: RemoteRepository, options: PushManifestOptions): Promise<void> {
  const { manifest, source, signal } = options;
  const children = await childrenOf(source, manifest, signal);
  if (isIndex(manifest.mediaType)) {
    for (const child of children) {
      await pushChildren(repository, { ...options, manifest: child });
      await repository.putManifest(child.digest, child, await readDocument(source, child, signal), { signal });
    }
    return;
  }
  const [config, ...layers] = children;
  const distinct = [...new Map(layers.map((layer) => [layer.digest, layer])).values()].filter(
    ({ digest }) => !options.sent?.has(digest),
  );
  await inParallel(distinct, MAX_UPLOADS, (layer) => pushBlob(repository, layer, options));
  // Last, and without a line of its own: it is small, and people do not know that there is one.
  await pushBlob(repository, config!, { source, signal });
}

async function putDocument(
  repository: RemoteRepository,
  reference: Reference,
  { manifest, source, signal, onProgress }: PushManifestOptions,
): Promise<void> {
  const bytes = await readDocument(source, manifest, signal);
  const tag = reference.tag ?? manifest.digest;
  await repository.putManifest(tag, manifest, bytes, { signal });
  onProgress?.({ id: '', status: `${tag}: digest: ${manifest.digest} size: ${manifest.size}` });
  onProgress?.({ id: '', status: '', aux: { Tag: tag, Digest: manifest.digest, Size: manifest.size } });
}

async function pushBlob(
  repository: RemoteRepository,
  blob: Descriptor,
  { source, signal, onProgress, names, mountFrom, ownBytes }: Omit<PushManifestOptions, 'manifest'>,
): Promise<void> {
  const id = names?.get(blob.digest) ?? blob.digest.slice(7, 19);
  const say = (status: string, more: { current?: number; total?: number } = {}): void =>
    onProgress?.({ id, status, ...more });
  if (blob.mediaType === MEDIA_TYPES.dockerForeignLayer) return say('Skipped foreign layer');
  if (await repository.has(blob)) return say('Layer already exists');
  for (const from of mountFrom?.(blob) ?? []) {
    if (await repository.mount(blob.digest, from, { signal })) return say(`Mounted from ${from}`);
  }
  const open = (): Bytes =>
    counted(source.read(blob, signal ? { signal } : {}), (current) => say('Pushing', { current, total: blob.size }));
  await repository.upload(blob, open, { signal, release: ownBytes === true });
  say('Pushed');
}

async function* counted(bytes: Bytes, report: (count: number) => void): Bytes {
  let count = 0;
  let reported = -Infinity;
  for await (const chunk of bytes) {
    count += chunk.byteLength;
    if (performance.now() - reported >= REPORT_MS) {
      reported = performance.now();
      report(count);
    }
    yield chunk;
  }
  report(count);
}
