import { chainIds } from '../../../oci/digest.ts';
import { equalizeFiles } from '../../../build/copy-files.ts';
import { ActiveFiles } from './active-files.ts';
import { cached, type VertexContext } from './graph-context.ts';
import { EMPTY, type LayerStack, stepKey } from './layer-stack.ts';

/** The layers of all stacks, one upon the other: what a later one deletes in its own base it deletes here too. */
export async function mergeLayers(context: VertexContext, stacks: readonly LayerStack[]): Promise<LayerStack> {
  const [first = EMPTY, ...others] = stacks;
  let merged = first;
  for (const stack of others) {
    const key = stepKey(merged.key, 'MERGE', [{ name: 'layers', value: stack.key }]);
    merged = { ...(await placed(context, merged, stack, 0)), key };
  }
  return merged;
}

/** What `upper` has upon `lower`, deletions included, as layers of their own. */
export async function layersBetween(
  context: VertexContext,
  lower: LayerStack,
  upper: LayerStack,
): Promise<LayerStack> {
  const key = stepKey(upper.key, 'DIFF', [{ name: 'lower', value: lower.key }]);
  const isBelow = lower.diffIds.every((diffId, index) => upper.diffIds[index] === diffId);
  if (isBelow) return { ...(await placed(context, EMPTY, upper, lower.diffIds.length)), key };
  // They have nothing in common but what their files have: the one is made the other, and the change is the result.
  const inputs = [{ name: 'upper', value: upper.key }];
  const changed = await cached(context, lower, { kind: 'DIFF', text: 'DIFF', inputs }, async (name) => {
    await using files = await ActiveFiles.open(context, lower, name);
    await equalizeFiles(await context.views.of(upper.chain), files.root, context.signal);
    return files.commit();
  });
  return { ...(await placed(context, EMPTY, changed, lower.diffIds.length)), key };
}

/** The layers of a stack from `skip` on, upon another. */
async function placed(
  { parts, lease, signal }: VertexContext,
  base: LayerStack,
  stack: LayerStack,
  skip: number,
): Promise<LayerStack> {
  const chains = chainIds(stack.diffIds);
  // The history of layers alone, where it tells of each.
  const told = stack.history.filter((entry) => entry.empty_layer !== true);
  let result = base;
  for (const [index, diffId] of stack.diffIds.entries()) {
    if (index < skip) continue;
    const chain = chains[index]!;
    const { size } = parts.snapshotter.stat(chain)!.layer!;
    const layer = await parts.placeLayer({ chain, diffId, size }, { parent: result.chain, lease, signal });
    const entry = told.length === stack.diffIds.length ? told[index] : undefined;
    result = {
      ...result,
      chain: layer.chain,
      diffIds: [...result.diffIds, diffId],
      history: [...result.history, entry ?? { created_by: '' }],
      createdAt: stack.createdAt,
    };
  }
  return result;
}
