import type { Inventory } from '../api/inventory.ts';
import { textOf } from '../base/byte-string.ts';
import { EngineError } from '../base/errors.ts';
import { decompress } from '../content/compression.ts';
import type { Bytes } from '../content/content-store.ts';
import { readTar } from '../content/tar/reader.ts';
import { Collector } from './collector.ts';

const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';
const LARGEST_DOCUMENT = 16 << 20;
/** Larger files are not looked into: they are held in memory here. Bytes. */
const LARGEST_FILE = 512 << 20;

/** What one layer of an archive would do to a collector, kept until the order of the layers is known. */
type Step = (collector: Collector) => void;

/**
 * What is installed in the one image of a `docker save` archive (also of an OCI layout in a tar), read in one pass.
 * Throws `invalid-argument` when there is no image in it, or several.
 */
export async function scanArchive(archive: Bytes): Promise<Inventory> {
  const layers = new Map<string, Step[]>();
  const documents = new Map<string, unknown>();
  for await (const { header, body } of readTar(archive)) {
    const name = textOf(header.name).replace(/^\.\//, '');
    if (header.type === 'symlink') layers.set(name, layers.get(resolve(name, textOf(header.linkName))) ?? []);
    if (header.type !== 'file') continue;
    const [start, rest] = await peek(body);
    if (start.length > 0 && start[0] === 0x7b && header.size <= LARGEST_DOCUMENT) documents.set(name, await json(rest));
    else if (name === 'manifest.json') documents.set(name, await json(rest));
    else if (header.size > 0) layers.set(name, await layerSteps(rest));
  }
  const collector = new Collector();
  for (const layer of layersOf(documents)) {
    const steps = layers.get(layer);
    if (!steps) throw new EngineError('invalid-argument', `the archive has no layer ${layer}`);
    for (const step of steps) step(collector);
  }
  return collector.finish();
}

/** Names of the files that hold the image's layers, lowest first. */
function layersOf(documents: ReadonlyMap<string, unknown>): string[] {
  const listed = documents.get('manifest.json') as { Layers?: string[] }[] | undefined;
  if (Array.isArray(listed)) {
    if (listed.length !== 1) throw several(listed.length);
    return listed[0]?.Layers ?? [];
  }
  type Descriptor = { digest: string };
  type Manifest = { manifests?: Descriptor[]; layers?: Descriptor[] };
  let document = documents.get('index.json') as Manifest | undefined;
  if (!document) throw new EngineError('invalid-argument', 'this is no archive of an image: make one with gantry save');
  for (let depth = 0; document?.manifests && depth < 4; depth++) {
    const known: string[] = document.manifests
      .map(({ digest }) => blobName(digest))
      .filter((name) => documents.has(name));
    if (known.length !== 1) throw several(known.length);
    document = documents.get(known[0]!) as Manifest | undefined;
  }
  return (document?.layers ?? []).map(({ digest }) => blobName(digest));
}

function several(count: number): EngineError {
  return new EngineError('invalid-argument', `the archive holds ${count} images: save one of them alone`);
}

function blobName(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`;
}

function resolve(name: string, target: string): string {
  const parts = name.split('/').slice(0, -1);
  for (const part of target.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '.') parts.push(part);
  }
  return parts.join('/');
}

async function layerSteps(source: Bytes): Promise<Step[]> {
  const probe = new Collector();
  const steps: Step[] = [];
  try {
    for await (const { header, body } of readTar(decompress(source))) {
      const path = textOf(header.name)
        .replace(/^(\.?\/)+/, '')
        .replace(/\/+$/, '');
      const slash = path.lastIndexOf('/');
      const name = path.slice(slash + 1);
      const parent = path.slice(0, Math.max(slash, 0));
      if (name === OPAQUE) steps.unshift((collector) => collector.removeBelow(parent));
      else if (name.startsWith(WHITEOUT)) {
        const gone = slash < 0 ? name.slice(WHITEOUT.length) : `${parent}/${name.slice(WHITEOUT.length)}`;
        steps.unshift((collector) => collector.remove(gone)); // of the layers below, whatever the order here
      } else if (header.type === 'directory') continue;
      else if (header.type === 'file') {
        const facts = { path, size: header.size, executable: (header.mode & 0o111) !== 0 };
        if (!probe.wants(path, facts) || header.size > LARGEST_FILE) {
          steps.push((collector) => collector.remove(path));
          continue;
        }
        const content = await collect(body);
        steps.push((collector) =>
          collector.add({ ...facts, peek: (length) => content.subarray(0, length), content: () => content }),
        );
      } else steps.push((collector) => collector.remove(path));
    }
  } catch (error) {
    if (error instanceof EngineError && error.code === 'corrupt') return []; // no tar: a file of another kind
    throw error;
  }
  return steps;
}

async function peek(body: Bytes): Promise<[Uint8Array, Bytes]> {
  const iterator = body[Symbol.asyncIterator]();
  const first = await iterator.next();
  const start = first.done ? new Uint8Array() : first.value;
  async function* all(): AsyncGenerator<Uint8Array> {
    if (!first.done) yield first.value;
    for (;;) {
      const { done, value } = await iterator.next();
      if (done) return;
      yield value;
    }
  }
  return [start, all()];
}

async function collect(body: Bytes): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of body) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}

async function json(body: Bytes): Promise<unknown> {
  try {
    return JSON.parse((await collect(body)).toString('utf8'));
  } catch {
    return undefined;
  }
}
