import { DEFAULT_PATH } from '../../../build/stage-config.ts';
import { type ChainId, type Digest, type DiffId, sha256 } from '../../../oci/digest.ts';
import type { HistoryEntry } from '../../../oci/image.ts';
import type { BuildRecord } from '../../../state/build-records.ts';
import type { FilesPlace } from '../copy-step.ts';

/** Files as layers: what an operation gave. */
export interface LayerStack {
  readonly kind: 'layers';
  /** Hash of everything that led here. */
  readonly key: Digest;
  readonly chain: ChainId | undefined;
  readonly diffIds: readonly DiffId[];
  readonly history: readonly HistoryEntry[];
  /** RFC 3339. */
  readonly createdAt: string;
}

/** Files of a directory, which are made layers only where somebody builds on them. */
export interface PlainFiles {
  readonly kind: 'files';
  readonly place: FilesPlace;
}

/** The upper layers of a stack alone, with what they delete: what they are is seen upon others. */
export interface LayerChanges {
  readonly kind: 'changes';
  readonly stack: LayerStack;
  /** How many layers of it are no part. */
  readonly skip: number;
}

export type GraphValue = LayerStack | PlainFiles | LayerChanges;

export const EMPTY: LayerStack = {
  kind: 'layers',
  key: sha256('scratch'),
  chain: undefined,
  diffIds: [],
  history: [],
  createdAt: '1970-01-01T00:00:00Z',
};

/** The stack with the layer of a record upon it. */
export function withRecord(stack: LayerStack, { key, layer, text, createdAt }: BuildRecord): LayerStack {
  if (!layer) return { ...stack, key };
  return {
    kind: 'layers',
    key,
    chain: layer.chain,
    diffIds: [...stack.diffIds, layer.diffId],
    history: [...stack.history, { created: createdAt, created_by: text }],
    createdAt,
  };
}

/** Programs need a PATH: where nothing says one it is the usual one. */
export function withPath(env: readonly string[]): string[] {
  return env.some((line) => line.startsWith('PATH=')) ? [...env] : [`PATH=${DEFAULT_PATH}`, ...env];
}
