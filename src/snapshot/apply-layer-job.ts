import { createHash } from 'node:crypto';
import { createReadStream, statfsSync } from 'node:fs';
import { EngineError } from '../base/errors.ts';
import type { JobContext } from '../base/worker-server.ts';
import { decompress } from '../content/compression.ts';
import { TarParser } from '../content/tar/parser.ts';
import { externalDecompressor } from '../linux/external-decompressor.ts';
import type { AppliedLayer, ApplyParameters } from './apply-layer.ts';
import { Extractor } from './extractor.ts';

const MAX_ENTRIES = 10_000_000;
/** Bytes that an archive may not take from a disk: the database and removals go on with them. */
const RESERVE = 64 << 20;
const READ_CHUNK = 1 << 20;

/** The worker's side of `applyLayer`. */
export async function applyLayerJob(
  { path, target, options }: ApplyParameters,
  context: JobContext,
): Promise<AppliedLayer> {
  const { limits, compression, allowExternal, ...rest } = options;
  const source = path === undefined ? context.input : createReadStream(path, { highWaterMark: READ_CHUNK });
  const hash = createHash('sha256');
  using extractor = new Extractor(target, {
    ...rest,
    maxEntries: limits?.maxEntries ?? MAX_ENTRIES,
    maxBytes: limits?.maxBytes ?? freeBytes(target),
  });
  const parser = new TarParser(extractor);
  try {
    for await (const chunk of decompress(source, {
      expected: compression,
      external: allowExternal ? externalDecompressor : undefined,
    })) {
      context.check();
      hash.update(chunk);
      parser.push(chunk);
    }
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT' && path !== undefined) {
      throw new EngineError('not-found', `the archive ${path} is gone`, { cause: error });
    }
    throw error;
  }
  parser.finish();
  extractor.finish();
  return { diffId: `sha256:${hash.digest('hex')}`, size: extractor.bytes, entries: extractor.entries };
}

function freeBytes(path: string): number {
  const { bavail, bsize } = statfsSync(path);
  return Math.max(0, bavail * bsize - RESERVE);
}
