import { equalizeFiles } from '../../../build/copy-files.ts';
import { ActiveFiles } from './active-files.ts';
import { cached, layersUpon, stackOf, type VertexContext } from './graph-context.ts';
import { EMPTY, type GraphValue, type LayerStack } from './layer-stack.ts';

/** The layers of all values, one upon the other: what a later one deletes in its own base it deletes here too. */
export async function mergeLayers(context: VertexContext, values: readonly GraphValue[]): Promise<LayerStack> {
  let merged: LayerStack | undefined;
  for (const value of values) {
    if (!merged) merged = await stackOf(context, value);
    else if (value.kind === 'changes') merged = await layersUpon(context, merged, value);
    else merged = await layersUpon(context, merged, { stack: await stackOf(context, value), skip: 0 });
  }
  return merged ?? EMPTY;
}

/** What `upper` has upon `lower`, deletions included. */
export async function changesBetween(
  context: VertexContext,
  lower: LayerStack,
  upper: LayerStack,
): Promise<GraphValue> {
  const skip = lower.diffIds.length;
  const isBelow = lower.diffIds.every((diffId, index) => upper.diffIds[index] === diffId);
  if (isBelow) return { kind: 'changes', stack: upper, skip };
  // They have nothing in common but what their files have: the one is made the other, and the change is the result.
  const inputs = [{ name: 'upper', value: upper.key }];
  const stack = await cached(context, lower, { kind: 'DIFF', text: 'DIFF', inputs }, async (name) => {
    await using files = await ActiveFiles.open(context, lower, name);
    await equalizeFiles(await context.views.of(upper.chain), files.root, context.signal);
    return await files.commit();
  });
  return { kind: 'changes', stack, skip };
}
