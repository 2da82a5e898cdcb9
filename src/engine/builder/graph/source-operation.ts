import { chmod, lchown } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode } from '../../../base/errors.ts';
import { chainIds, type Digest, sha256 } from '../../../oci/digest.ts';
import { parseReference } from '../../../oci/reference.ts';
import type { ImageConfig } from '../../../oci/image.ts';
import type { ResolvedImage } from '../../containers/parts.ts';
import { authFor } from '../outputs/deliver.ts';
import type { ResolvedSource, SolvedImage } from '../solved-build.ts';
import { subdirectoryOf } from '../sources/remote-sources.ts';
import { withoutPassword } from '../sources/git-address.ts';
import type { GraphSource } from './graph.ts';
import type { VertexContext } from './graph-context.ts';
import { EMPTY, type GraphValue, type LayerStack } from './layer-stack.ts';

/** Brings what comes from elsewhere. Throws `not-found`, `unavailable`, `invalid-argument`. */
export async function bringSource(context: VertexContext, source: GraphSource): Promise<GraphValue> {
  switch (source.kind) {
    case 'image': {
      const image = await resolveImage(context, source);
      const { platform } = context.vertex;
      told(context, { kind: 'image', name: source.reference, digest: image.id, platform });
      return imageStack(context, image, source.layers);
    }
    case 'layout':
      return layoutStack(context, source);
    case 'client':
      return clientFiles(context, source);
    case 'git':
      return repository(context, source);
    case 'http':
      return webFile(context, source);
    case 'result': {
      const { image } = source;
      if (image.chain) context.lease.add('snapshot', image.chain);
      const config = JSON.parse(image.configText) as ImageConfig;
      const key = sha256(`layers ${image.chain ?? ''}`);
      addStepsOf(context, image, key);
      return stackOfImage(config, image.chain, key);
    }
  }
}

/** A cache of what is built upon a result has the steps that made the result. `key` is what it is called here. */
function addStepsOf({ steps, lease }: VertexContext, { cacheable }: SolvedImage, key: Digest): void {
  if (!cacheable) return;
  for (const { record } of cacheable.steps) {
    if (record.layer) lease.add('snapshot', record.layer.chain);
    steps.set(record.key, record);
  }
  const parent = cacheable.target.key;
  const now = new Date().toISOString();
  if (parent !== key)
    steps.set(key, { key, parent, text: 'RESULT', layer: undefined, createdAt: now, usedAt: 0, uses: 0 });
}

function told({ sources }: VertexContext, source: ResolvedSource): void {
  sources.set(`${source.kind} ${source.name}`, source);
}

async function resolveImage(
  context: VertexContext,
  source: Extract<GraphSource, { kind: 'image' }>,
): Promise<ResolvedImage> {
  const { images } = context.parts;
  const { vertex, signal, auth } = context;
  const { platform } = vertex;
  const reference =
    source.checksum === undefined || source.reference.includes('@')
      ? source.reference
      : `${source.reference}@${source.checksum}`;
  if (!source.pull) {
    try {
      return await images.resolve(reference, platform);
    } catch (error) {
      if (errorCode(error) !== 'not-found') throw error;
    }
  }
  const credentials = authFor(auth, parseReference(reference));
  await images.pull(reference, {
    signal,
    onProgress: ({ id, status }) => context.output(`${id === '' ? '' : `${id}: `}${status}\n`),
    ...(credentials && { auth: credentials }),
    ...(platform !== undefined && { platform }),
  });
  context.onMade();
  return images.resolve(reference, platform);
}

async function layoutStack(
  { parts, lease, signal, vertex, onMade }: VertexContext,
  { digest, read }: Extract<GraphSource, { kind: 'layout' }>,
): Promise<LayerStack> {
  const { configText, chain } = await parts.layout(digest, read, { lease, platform: vertex.platform, signal });
  onMade();
  return stackOfImage(JSON.parse(configText) as ImageConfig, chain, sha256(`image ${sha256(configText)}`));
}

function imageStack(context: VertexContext, image: ResolvedImage, layers: number | undefined): LayerStack {
  if (image.chain) context.lease.add('snapshot', image.chain);
  const whole = stackOfImage(image.config, image.chain, sha256(`image ${image.id}`));
  if (layers === undefined || layers >= whole.diffIds.length) return whole;
  const diffIds = whole.diffIds.slice(0, layers);
  return {
    ...whole,
    key: sha256(`image ${image.id} ${layers}`),
    diffIds,
    chain: chainIds(diffIds).at(-1),
    history: whole.history.filter((entry) => entry.empty_layer !== true).slice(0, layers),
  };
}

function stackOfImage(config: ImageConfig, chain: LayerStack['chain'], key: LayerStack['key']): LayerStack {
  return {
    kind: 'layers',
    key,
    chain,
    diffIds: config.rootfs.diff_ids,
    history: config.history ?? [],
    createdAt: config.created ?? EMPTY.createdAt,
  };
}

async function clientFiles(
  { parts, held, signal, onMade, clientFiles: known, locals }: VertexContext,
  { directory }: Extract<GraphSource, { kind: 'client' }>,
): Promise<GraphValue> {
  locals.add(directory.name);
  let files = known.get(directory.key);
  if (!files) {
    onMade();
    files = held.use(await parts.files.hold(directory, signal));
    known.set(directory.key, files);
  }
  return {
    kind: 'files',
    place: {
      root: files.root,
      ignore: [],
      keepOwner: false,
      name: directory.name,
      steady: 'shared',
      known: files.tree === undefined ? undefined : { list: files.manifest, tree: files.tree, complete: true },
    },
  };
}

async function repository(
  context: VertexContext,
  { address, keepGitDir, checksum }: Extract<GraphSource, { kind: 'git' }>,
): Promise<GraphValue> {
  const { parts, secrets, signal } = context;
  const options = { secrets, keepGitDir, checksum, signal };
  const commit = await parts.remote.git.resolve(address, options);
  const directory = context.temporary();
  await parts.remote.git.checkOut(address, commit, directory, options);
  context.onMade();
  const name = withoutPassword(address.remote);
  told(context, { kind: 'git', name, digest: `sha1:${commit}` });
  const root = await subdirectoryOf(directory, address.subdirectory, name);
  return { kind: 'files', place: { root, ignore: [], keepOwner: false, name, steady: 'shared' } };
}

async function webFile(
  context: VertexContext,
  { url, checksum, filename, mode, owner }: Extract<GraphSource, { kind: 'http' }>,
): Promise<GraphValue> {
  const { parts, secrets, signal } = context;
  const fetched = await parts.remote.http.fetch(url, context.temporary(), {
    checksum,
    name: filename,
    secrets,
    signal,
  });
  context.onMade();
  told(context, { kind: 'http', name: withoutPassword(url), digest: fetched.digest });
  const path = join(fetched.directory, fetched.name);
  await lchown(path, owner.uid, owner.gid);
  await chmod(path, mode ?? 0o600);
  return {
    kind: 'files',
    place: {
      root: fetched.directory,
      ignore: [],
      keepOwner: true,
      name: withoutPassword(url),
      steady: 'shared',
    },
  };
}
