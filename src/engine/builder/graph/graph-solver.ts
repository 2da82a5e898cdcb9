import { EngineError, errorMessage } from '../../../base/errors.ts';
import type { Digest } from '../../../oci/digest.ts';
import { runCommand } from './exec-operation.ts';
import { FileOperation } from './file-operation.ts';
import type { BuildGraph, GraphEvent, GraphOutput, GraphVertex } from './graph.ts';
import { type GraphContext, stackOf, type VertexContext } from './graph-context.ts';
import { EMPTY, type GraphValue, type LayerStack } from './layer-stack.ts';
import { changesBetween, mergeLayers } from './merge-operation.ts';
import { bringSource } from './source-operation.ts';

/** Results of a vertex by their numbers. */
type Values = readonly (GraphValue | undefined)[];

/**
 * Solves a graph: of its vertices those that the result needs, each once, side by side where nothing makes one wait for
 * another. The first failure stops the rest; it is thrown when all have ended.
 */
export async function solveGraph(
  context: GraphContext,
  graph: BuildGraph,
  onEvent: (event: GraphEvent) => void,
): Promise<LayerStack> {
  const { result } = graph;
  if (!result) return EMPTY;
  const stop = new AbortController();
  const own: GraphContext = { ...context, signal: AbortSignal.any([context.signal, stop.signal]) };
  const values = new Map<Digest, Promise<Values>>();
  let first: { readonly error: unknown } | undefined;
  const needed = neededFor(graph, result);
  for (const vertex of graph.vertices) {
    if (!needed.has(vertex.digest)) continue;
    const work = solveVertex(own, vertex, { values, onEvent });
    work.catch((error: unknown) => {
      first ??= { error };
      stop.abort(new EngineError('cancelled', 'another operation of the build failed'));
    });
    values.set(vertex.digest, work);
  }
  await Promise.allSettled(values.values());
  if (first) throw first.error;
  const value = valueAt(await values.get(result.vertex)!, result);
  if (value.kind === 'layers') return value;
  // Its files are layers only now.
  const vertex = graph.vertices.find(({ digest }) => digest === result.vertex)!;
  return stackOf({ ...own, vertex, output: () => {}, onMade: () => {} }, value);
}

/** Digests of what has to be solved. Throws `invalid-argument` for inputs that do not stand in front of their vertex. */
function neededFor({ vertices }: BuildGraph, result: GraphOutput): ReadonlySet<Digest> {
  const needed = new Set([result.vertex]);
  for (const vertex of vertices.toReversed())
    if (needed.has(vertex.digest)) for (const input of vertex.inputs) needed.add(input.vertex);
  const known = new Set<Digest>();
  for (const { digest, inputs } of vertices) {
    if (needed.has(digest))
      for (const input of inputs)
        if (!known.has(input.vertex))
          throw new EngineError('invalid-argument', `input ${input.vertex} of ${digest} is not in front of it`);
    known.add(digest);
  }
  if (!known.has(result.vertex)) throw new EngineError('invalid-argument', `${result.vertex} is not in the graph`);
  return needed;
}

function valueAt(values: Values, { vertex, index }: GraphOutput): GraphValue {
  const value = values[index];
  if (!value) throw new EngineError('invalid-argument', `${vertex} has no result ${index}`);
  return value;
}

async function solveVertex(
  context: GraphContext,
  vertex: GraphVertex,
  {
    values,
    onEvent,
  }: {
    readonly values: ReadonlyMap<Digest, Promise<Values>>;
    readonly onEvent: (event: GraphEvent) => void;
  },
): Promise<Values> {
  const inputs = await Promise.all(vertex.inputs.map(async (input) => valueAt(await values.get(input.vertex)!, input)));
  context.signal.throwIfAborted();
  onEvent({ type: 'started', vertex, time: Date.now() });
  let made = false;
  const own: VertexContext = {
    ...context,
    vertex,
    output: (text) => onEvent({ type: 'output', vertex, time: Date.now(), text }),
    onMade: () => {
      made = true;
    },
  };
  try {
    const found = await operate(own, inputs);
    onEvent({ type: 'done', vertex, time: Date.now(), cached: !made });
    return found;
  } catch (error) {
    onEvent({ type: 'failed', vertex, time: Date.now(), message: errorMessage(error) });
    throw error;
  }
}

async function operate(context: VertexContext, inputs: readonly GraphValue[]): Promise<Values> {
  const { operation } = context.vertex;
  const stack = (index: number): Promise<LayerStack> | LayerStack =>
    index < 0 ? EMPTY : stackOf(context, inputs[index]!);
  switch (operation.kind) {
    case 'source':
      return [await bringSource(context, operation.source)];
    case 'exec':
      return runCommand(context, operation, inputs);
    case 'file':
      return new FileOperation(context, operation.actions, inputs).results();
    case 'merge':
      return [
        await mergeLayers(
          context,
          operation.inputs.map((index) => (index < 0 ? EMPTY : inputs[index]!)),
        ),
      ];
    case 'diff':
      return [await changesBetween(context, await stack(operation.lower), await stack(operation.upper))];
  }
}
