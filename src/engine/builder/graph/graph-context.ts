import type { Gate } from '../../../base/gate.ts';
import type { AuthConfig } from '../../../api/auth.ts';
import { chainIds, type Digest } from '../../../oci/digest.ts';
import type { BuildRecord, StepInput } from '../../../state/build-records.ts';
import type { ContainerIds } from '../../../state/containers.ts';
import type { Lease } from '../../../state/leases.ts';
import type { BuildSession } from '../build-session.ts';
import type { BuilderParts } from '../builder-parts.ts';
import { copySelection, digestSelection, type PendingLinks } from '../../../build/copy-files.ts';
import type { HeldClientFiles } from '../client-files/client-files.ts';
import type { FilesPlace } from '../copy-step.ts';
import type { ResolvedSource } from '../solved-build.ts';
import type { SourceSecrets } from '../sources/source-secrets.ts';
import { stepKey } from '../stages/stage-state.ts';
import type { CacheImport, CacheTurn, StepCache } from '../step-cache.ts';
import type { Views } from '../views.ts';
import { ActiveFiles } from './active-files.ts';
import type { GraphVertex } from './graph.ts';
import { EMPTY, type GraphValue, type LayerChanges, type LayerStack, withRecord } from './layer-stack.ts';

/** What all operations of a build have in common. */
export interface GraphContext {
  readonly parts: BuilderParts;
  readonly cache: StepCache;
  /** This client's time with it. */
  readonly turn: CacheTurn;
  /** Other places that know steps. */
  readonly imports: readonly CacheImport[];
  /** What led to the result so far, by key: for caches that are exported. */
  readonly steps: Map<Digest, BuildRecord>;
  /** What came from elsewhere, by kind and name. */
  readonly sources: Map<string, ResolvedSource>;
  /** Directories of the client that were asked for. */
  readonly locals: Set<string>;
  readonly lease: Lease;
  readonly views: Views;
  readonly session: BuildSession | undefined;
  readonly secrets: SourceSecrets;
  readonly auth: Readonly<Record<string, AuthConfig>>;
  readonly signal: AbortSignal;
  /** Directories of the client that are here, by their keys: of one build each is brought once. */
  readonly clientFiles: Map<string, HeldClientFiles>;
  /** Commands of one build that run side by side: a graph may have any number. */
  readonly commands: Gate;
  /** Released when nothing of the build is needed any more. */
  readonly held: AsyncDisposableStack;
  /** An empty name in the build's own directory. */
  temporary(): string;
  /** Lets processes with these ids pass there. */
  letIn(ids: ContainerIds): void;
}

/** What an operation is told besides its inputs. */
export interface VertexContext extends GraphContext {
  readonly vertex: GraphVertex;
  readonly output: (text: string) => void;
  /** It had to be made: nothing knew it. */
  readonly onMade: () => void;
}

/** The record of a step upon `stack`: from the cache, from another build that makes it now, or made. */
export async function cached(
  context: VertexContext,
  stack: LayerStack,
  { kind, text, inputs }: { readonly kind: string; readonly text: string; readonly inputs: readonly StepInput[] },
  make: (key: Digest) => Promise<BuildRecord['layer']>,
): Promise<LayerStack> {
  const { cache, turn, imports, lease, signal, vertex } = context;
  const key = stepKey(stack.key, kind, inputs);
  const slot = `graph ${kind}`;
  const { record, origin } = await cache.get({
    key,
    chain: stack.chain,
    lease,
    signal,
    fresh: vertex.fresh,
    turn,
    imports,
    step: { kind, text, inputs, slot, state: stack, createdAt: undefined },
    onMiss: () => {},
    make: async () => ({
      key,
      parent: stack.key,
      text,
      layer: await make(key),
      createdAt: new Date().toISOString(),
      usedAt: Date.now(),
      uses: 0,
      slot,
      inputs,
    }),
  });
  if (origin === 'run') context.onMade();
  context.steps.set(key, record);
  return withRecord(stack, record);
}

/** The files of a value, to be read. */
export async function placeOf(context: VertexContext, value: GraphValue): Promise<FilesPlace> {
  if (value.kind === 'files') return value.place;
  const { chain } = await stackOf(context, value);
  return { root: await context.views.of(chain), ignore: [], keepOwner: true, name: context.vertex.name, chain };
}

/** The files of a value as layers, to be built upon. */
export async function stackOf(context: VertexContext, value: GraphValue): Promise<LayerStack> {
  if (value.kind === 'layers') return value;
  if (value.kind === 'changes') return layersUpon(context, EMPTY, value);
  const { name, ...files } = value.place;
  const selection = { ...files, ...WHOLE, sources: ['/'], sourceName: name };
  const { digest } = await digestSelection(selection, context.signal);
  const inputs = [{ name: 'files', value: digest }];
  return cached(context, EMPTY, { kind: 'SOURCE', text: name, inputs }, (key) =>
    makeLayer(context, EMPTY, key, async (root) => {
      const { pending } = await copySelection(selection, { root, destination: '/', linksLater: true }, context.signal);
      return pending;
    }),
  );
}

/** Changes upon other layers: what they delete is deleted there, and what is not there is not deleted. */
export async function layersUpon(
  context: VertexContext,
  base: LayerStack,
  { stack, skip }: Pick<LayerChanges, 'stack' | 'skip'>,
): Promise<LayerStack> {
  const { parts, lease, signal } = context;
  // The history of layers alone, where it tells of each.
  const told = stack.history.filter((entry) => entry.empty_layer !== true);
  let result = base;
  for (const [index, chain] of chainIds(stack.diffIds).entries()) {
    if (index < skip) continue;
    const text = (told.length === stack.diffIds.length && told[index]?.created_by) || 'MERGE';
    const inputs = [{ name: 'layer', value: chain }];
    const parent = result.chain;
    result = await cached(context, result, { kind: 'MERGE', text, inputs }, () =>
      parts.copyLayer(chain, { parent, lease, signal }),
    );
  }
  return result;
}

export const WHOLE = { exclude: [], parents: false, unpack: false } as const;

/** A layer upon `stack`: `work` gets its files mounted read-write, and gives what a copy at its end left out. Nothing is left of one that fails. */
export async function makeLayer(
  context: GraphContext,
  stack: LayerStack,
  key: Digest,
  work: (root: string) => Promise<PendingLinks | undefined>,
): Promise<BuildRecord['layer']> {
  const files = await ActiveFiles.open(context, stack, key);
  try {
    return await files.commit(await work(files.root));
  } finally {
    await files[Symbol.asyncDispose]();
  }
}
