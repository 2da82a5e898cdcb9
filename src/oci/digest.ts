import { createHash, type Hash } from 'node:crypto';
import { EngineError } from '../base/errors.ts';

/** `sha256:` and 64 hex digits, or `sha512:` and 128. */
export type Digest = `sha256:${string}` | `sha512:${string}`;
/** Digest of a layer's tar, uncompressed. */
export type DiffId = Digest;
/** Digest of a stack of diff ids (image-spec config.md#layer-chainid). */
export type ChainId = Digest;

const PATTERN = /^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$/;

export function isDigest(text: string): text is Digest {
  return PATTERN.test(text);
}

/** Throws `invalid-argument`. */
export function parseDigest(text: string): Digest {
  if (!isDigest(text))
    throw new EngineError('invalid-argument', `invalid digest: ${JSON.stringify(text.slice(0, 200))}`);
  return text;
}

export function sha256(data: string | Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(data).digest('hex')}`;
}

/** A running hash for the algorithm that `digest` names. */
export function hasherFor(digest: Digest): Hash {
  return createHash(digest.slice(0, digest.indexOf(':')));
}

/** Chain ids of a stack of layers, bottom first: `[0]` is the first diff id itself. */
export function chainIds(diffIds: readonly DiffId[]): ChainId[] {
  const chain: ChainId[] = [];
  for (const diffId of diffIds) {
    const parent = chain.at(-1);
    chain.push(parent === undefined ? diffId : sha256(`${parent} ${diffId}`));
  }
  return chain;
}
