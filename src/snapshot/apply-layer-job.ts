import { createHash } from 'node:crypto';
import { closeSync, constants, createReadStream, openSync, readSync, statfsSync } from 'node:fs';
import { EngineError } from '../base/errors.ts';
import type { JobContext } from '../base/worker-server.ts';
import { decompress, SNIFF_BYTES, sniffCompression } from '../content/compression.ts';
import { TarParser } from '../content/tar/parser.ts';
import { externalDecompressor } from '../linux/external-decompressor.ts';
import { IsalGunzip } from '../linux/isal.ts';
import type { AppliedLayer, ApplyParameters } from './apply-layer.ts';
import { Extractor, LowerNeeded } from './extractor.ts';

export const MAX_ENTRIES = 10_000_000;
/** Bytes that an archive may not take from a disk: the database and removals go on with them. */
const RESERVE = 64 << 20;
/** Stays in the processor's cache between hash and file. */
const READ_CHUNK = 512 << 10;

/** The worker's side of `applyLayer` and `applyLayerAhead`. */
export async function applyLayerJob(
  parameters: ApplyParameters,
  context: JobContext,
): Promise<AppliedLayer | undefined> {
  try {
    return await apply(parameters, context);
  } catch (error) {
    if (error instanceof LowerNeeded) return undefined;
    throw error;
  }
}

async function apply({ path, target, options }: ApplyParameters, context: JobContext): Promise<AppliedLayer> {
  const { limits, compression, allowExternal, ...rest } = options;
  const hash = createHash('sha256');
  using extractor = new Extractor(target, {
    ...rest,
    maxEntries: limits?.maxEntries ?? MAX_ENTRIES,
    maxBytes: limits?.maxBytes ?? freeBytes(target),
  });
  const parser = new TarParser(extractor);
  await readArchive({ path, compression, allowExternal }, context, (chunk) => {
    hash.update(chunk);
    parser.push(chunk);
  });
  parser.finish();
  extractor.finish();
  const { bytes: size, entries, describesRoot } = extractor;
  return { diffId: `sha256:${hash.digest('hex')}`, size, entries, describesRoot };
}

/** Passes on what an archive holds without its compression: a file's, or what streams in. The chunks are only lent. */
export async function readArchive(
  {
    path,
    compression,
    allowExternal,
  }: { path?: string | undefined } & Pick<ApplyParameters['options'], 'compression' | 'allowExternal'>,
  context: JobContext,
  pass: (chunk: Buffer) => void,
): Promise<void> {
  const take = (chunk: Buffer): void => {
    context.check();
    pass(chunk);
  };
  using file = path === undefined ? undefined : openArchive(path);
  if (file && sniffCompression(file.start) === 'none' && (compression ?? 'none') === 'none') {
    file.readPlain(take);
  } else {
    const external = allowExternal ? externalDecompressor : undefined;
    const source = file?.stream() ?? context.input;
    // What came from the other thread is this one's alone.
    const onConsumed = file ? undefined : (chunk: Uint8Array): void => context.giveBack(chunk);
    for await (const chunk of decompress(source, {
      expected: compression,
      external,
      gunzip: () => IsalGunzip.open(),
      onConsumed,
    }))
      take(chunk);
  }
}

interface ArchiveFile extends Disposable {
  readonly start: Buffer;
  /** Reads all of it into one buffer that every chunk shares. */
  readPlain(take: (chunk: Buffer) => void): void;
  stream(): AsyncIterable<Uint8Array>;
}

function openArchive(path: string): ArchiveFile {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY);
  } catch (error) {
    throw new EngineError('not-found', `cannot read the archive: ${(error as Error).message}`, { cause: error });
  }
  const start = Buffer.alloc(SNIFF_BYTES);
  return {
    start: start.subarray(0, readSync(fd, start, 0, SNIFF_BYTES, 0)),
    readPlain: (take) => {
      const buffer = Buffer.allocUnsafe(READ_CHUNK);
      for (let length = 0, position = 0; ; position += length) {
        length = readSync(fd, buffer, 0, READ_CHUNK, position);
        if (length === 0) return;
        take(buffer.subarray(0, length));
      }
    },
    stream: () => createReadStream(path, { fd, start: 0, autoClose: false, highWaterMark: READ_CHUNK }),
    [Symbol.dispose]: () => closeSync(fd),
  };
}

/** What archives may take there. */
export function freeBytes(path: string): number {
  const { bavail, bsize } = statfsSync(path);
  return Math.max(0, bavail * bsize - RESERVE);
}
