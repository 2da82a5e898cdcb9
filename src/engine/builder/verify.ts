import { createHash } from 'node:crypto';
import { textOf } from '../../base/byte-string.ts';
import type { TarHeader } from '../../content/tar/header.ts';
import { readTar } from '../../content/tar/reader.ts';
import type { ChainId } from '../../oci/digest.ts';
import { diffLayer } from '../../snapshot/diff-layer.ts';
import type { Snapshotter } from '../../snapshot/snapshotter.ts';
import type { SolvedBuild } from './solved-build.ts';

/** Differences that are told; more of them say no more. */
const MAX_DIFFERENCES = 10;

/** Where two builds of the same inputs come apart. */
export interface BuildDifference {
  readonly line: number;
  /** The instruction. */
  readonly text: string;
  /** By file and field. */
  readonly differences: readonly string[];
}

/** The first step of two builds whose results are not the same, with the files and fields in which they are not; undefined when all are. */
export async function firstDifference(
  snapshotter: Pick<Snapshotter, 'changesDir'>,
  first: Pick<SolvedBuild, 'steps'>,
  second: Pick<SolvedBuild, 'steps'>,
  signal?: AbortSignal,
): Promise<BuildDifference | undefined> {
  const others = new Map(second.steps.map((step) => [step.vertex.id, step.record]));
  const inOrder = first.steps.toSorted(
    (a, b) => a.vertex.stage.index - b.vertex.stage.index || a.vertex.position - b.vertex.position,
  );
  for (const { vertex, record } of inOrder) {
    const other = others.get(vertex.id);
    if (!other) continue;
    if (record.output !== other.output) {
      const differences = [`it printed ${JSON.stringify(record.output)} → ${JSON.stringify(other.output)}`];
      return { line: vertex.line, text: vertex.text, differences };
    }
    if (record.layer?.diffId === other.layer?.diffId) continue;
    const differences = await compareLayers(snapshotter, record.layer?.chain, other.layer?.chain, signal);
    return { line: vertex.line, text: vertex.text, differences };
  }
  return undefined;
}

async function compareLayers(
  snapshotter: Pick<Snapshotter, 'changesDir'>,
  first: ChainId | undefined,
  second: ChainId | undefined,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const [before, after] = [
    await describeLayer(snapshotter, first, signal),
    await describeLayer(snapshotter, second, signal),
  ];
  const found: string[] = [];
  const names = [...new Set([...before.keys(), ...after.keys()])].sort();
  let more = 0;
  for (const name of names) {
    const reason = compareFiles(before.get(name), after.get(name));
    if (reason === undefined) continue;
    if (found.length < MAX_DIFFERENCES) found.push(`/${name}: ${reason}`);
    else more++;
  }
  return more > 0 ? [...found, `and ${more} more files`] : found;
}

interface DescribedFile {
  readonly header: TarHeader;
  readonly digest: string;
}

async function describeLayer(
  snapshotter: Pick<Snapshotter, 'changesDir'>,
  chain: ChainId | undefined,
  signal: AbortSignal | undefined,
): Promise<Map<string, DescribedFile>> {
  const files = new Map<string, DescribedFile>();
  if (!chain) return files;
  for await (const { header, body } of readTar(diffLayer(snapshotter.changesDir(chain), { signal }))) {
    const hash = createHash('sha256');
    for await (const chunk of body) hash.update(chunk);
    files.set(textOf(header.name).replace(/\/$/, ''), { header, digest: hash.digest('hex') });
  }
  return files;
}

function compareFiles(before: DescribedFile | undefined, after: DescribedFile | undefined): string | undefined {
  if (!before || !after) return before ? 'it is only in the first build' : 'it is only in the second build';
  const fields: [string, string, string][] = [
    ['kind', before.header.type, after.header.type],
    ['mode', before.header.mode.toString(8), after.header.mode.toString(8)],
    ['owner', ownerOf(before.header), ownerOf(after.header)],
    ['size', String(before.header.size), String(after.header.size)],
    ['link', textOf(before.header.linkName), textOf(after.header.linkName)],
    ['time', timeOf(before.header), timeOf(after.header)],
    ['attributes', xattrsOf(before.header), xattrsOf(after.header)],
    ['content', before.digest.slice(0, 12), after.digest.slice(0, 12)],
  ];
  const different = fields.filter(([, one, other]) => one !== other);
  return different.length === 0
    ? undefined
    : different.map(([name, one, other]) => `${name} ${one} → ${other}`).join(', ');
}

function ownerOf({ uid, gid }: TarHeader): string {
  return `${uid}:${gid}`;
}

function timeOf({ mtime }: TarHeader): string {
  return new Date(Number(mtime / 1_000_000n)).toISOString();
}

function xattrsOf({ xattrs }: TarHeader): string {
  return [...xattrs]
    .map(([name, value]) => `${textOf(name)}=${Buffer.from(value).toString('base64')}`)
    .sort()
    .join(' ');
}
