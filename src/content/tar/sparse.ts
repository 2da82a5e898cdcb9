import type { ByteString } from '../../base/byte-string.ts';
import { EngineError } from '../../base/errors.ts';
import { readNumber } from './header.ts';
import { type PaxRecords, paxInteger } from './pax.ts';

/** A piece of a sparse file that the archive stores; what lies between pieces is zeros. */
export interface Extent {
  readonly offset: number;
  readonly length: number;
}

/** In old GNU headers and their continuation blocks: 12 digits of offset, 12 of length, each. */
const PAIR = 24;
const OLD_HEADER_PAIRS = { start: 386, count: 4, moreFlag: 482 } as const;
const CONTINUATION_PAIRS = { start: 0, count: 21, moreFlag: 504 } as const;
export const OLD_REAL_SIZE = [483, 12] as const;

/** Extents in a block of the old GNU format, and whether another block of them follows. */
export function oldSparseExtents(
  block: Buffer,
  place: 'header' | 'continuation',
): { extents: Extent[]; more: boolean } {
  const { start, count, moreFlag } = place === 'header' ? OLD_HEADER_PAIRS : CONTINUATION_PAIRS;
  const extents: Extent[] = [];
  for (let index = 0; index < count; index++) {
    const at = start + index * PAIR;
    if (block[at] === 0) break;
    extents.push({
      offset: readNumber(block, [at, 12], 'the sparse map'),
      length: readNumber(block, [at + 12, 12], 'the sparse map'),
    });
  }
  return { extents, more: block[moreFlag] !== 0 };
}

/** The map of PAX formats 0.0 and 0.1; undefined when the file is not sparse in one of these ways. */
export function paxSparseExtents({ values, sparsePairs }: PaxRecords): Extent[] | undefined {
  const text = values.get('GNU.sparse.map');
  if (text === undefined && sparsePairs.length === 0) return values.has('GNU.sparse.numblocks') ? [] : undefined;
  return extentsOf(text === undefined ? sparsePairs : text === '' ? [] : text.split(','));
}

/** The map of PAX format 1.0, in front of the content: a count, then pairs, one number a line. Undefined when `data` does not hold all of it yet. */
export function leadingSparseMap(data: Buffer): { extents: Extent[]; bytes: number } | undefined {
  const numbers: ByteString[] = [];
  let position = 0;
  let wanted = 1;
  while (numbers.length < wanted) {
    const newline = data.indexOf(0x0a, position);
    if (newline < 0) return undefined;
    numbers.push(data.toString('latin1', position, newline));
    position = newline + 1;
    if (numbers.length === 1) wanted = 1 + 2 * paxInteger(numbers[0]!, 'the sparse map');
  }
  return { extents: extentsOf(numbers.slice(1)), bytes: position };
}

/** Throws `corrupt` unless the extents rise, do not overlap, stay below `realSize` and together are the `stored` bytes. */
export function checkExtents(extents: readonly Extent[], realSize: number, stored: number): void {
  let end = 0;
  let sum = 0;
  for (const { offset, length } of extents) {
    if (offset < end || length < 0 || offset + length > realSize) throw invalid();
    end = offset + length;
    sum += length;
  }
  if (sum !== stored) throw invalid();
}

function extentsOf(numbers: readonly ByteString[]): Extent[] {
  if (numbers.length % 2 !== 0) throw invalid();
  const extents: Extent[] = [];
  for (let index = 0; index < numbers.length; index += 2) {
    extents.push({
      offset: paxInteger(numbers[index]!, 'the sparse map'),
      length: paxInteger(numbers[index + 1]!, 'the sparse map'),
    });
  }
  return extents;
}

function invalid(): EngineError {
  return new EngineError('corrupt', 'invalid tar: the map of a sparse file contradicts its size');
}
