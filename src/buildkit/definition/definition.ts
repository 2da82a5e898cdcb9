import { fromBinary } from '@bufbuild/protobuf';
import type { BuildGraph, GraphOperation, GraphOutput, GraphVertex } from '../../engine/builder/graph/graph.ts';
import type { SourceRules } from '../../engine/builder/sources/source-rules.ts';
import { type Digest, isDigest, sha256 } from '../../oci/digest.ts';
import {
  type Definition,
  type Op,
  OpSchema,
  type OpMetadata,
  type Platform,
  type SourceOp,
} from '../protocol/ops_pb.ts';
import { buildCapabilities } from '../control/worker.ts';
import { RESULT } from '../result.ts';
import { readExec } from './exec.ts';
import { readFileActions } from './files.ts';
import { readSource, type SourceParts, type SourceVertex } from './sources.ts';
import { malformed, refuseUnknownFields, unsupported } from './unsupported.ts';

export interface DefinitionParts extends SourceParts {
  readonly rules: SourceRules | undefined;
  readonly entitlements: readonly string[];
}

/**
 * Reads a definition ("LLB") as a graph of the engine's. All of it is read before anything is built: what is not
 * supported is refused with UNIMPLEMENTED and the operation's name, what makes no sense with INVALID_ARGUMENT.
 */
export function readDefinition(parts: DefinitionParts, definition: Definition): BuildGraph {
  const vertices = new Map<Digest, GraphVertex>();
  let result: GraphOutput | undefined;
  const last = definition.def.length - 1;
  for (const [index, bytes] of definition.def.entries()) {
    const op = readOp(bytes);
    if (index === last) {
      if (op.op.case !== undefined) throw malformed('definition', 'its last operation is no result');
      if (op.inputs.length > 1) throw malformed('definition', 'it has several results');
      result = op.inputs[0] && outputOf(op.inputs[0]);
      break;
    }
    const digest = sha256(bytes);
    const metadata = definition.metadata[digest];
    checkCapabilities(metadata);
    for (const input of op.inputs)
      if (!vertices.has(outputOf(input).vertex))
        throw malformed('definition', `the input ${input.digest} of ${digest} is not in front of it`);
    const name = metadata?.description['llb.customname'] ?? nameOf(op);
    vertices.set(digest, {
      digest,
      name,
      inputs: op.inputs.map(outputOf),
      platform: platformOf(op.platform),
      fresh: metadata?.ignoreCache === true,
      operation: readOperation(parts, op, { digest, name }),
    });
  }
  if (result && !vertices.has(result.vertex)) throw malformed('definition', `its result ${result.vertex} is missing`);
  return { vertices: [...vertices.values()], result };
}

/** The images that a definition takes from registries. */
export function imagesOf({ vertices }: BuildGraph): string[] {
  return vertices.flatMap(({ operation }) =>
    operation.kind === 'source' && operation.source.kind === 'image' ? [operation.source.reference] : [],
  );
}

function readOp(bytes: Uint8Array): Op {
  try {
    return fromBinary(OpSchema, bytes);
  } catch (error) {
    throw malformed('definition', `not a pb.Op: ${(error as Error).message}`);
  }
}

function readOperation(parts: DefinitionParts, op: Op, vertex: SourceVertex): GraphOperation {
  const inputs = op.inputs.length;
  const index = (input: bigint, kind: string): number => {
    if (input < -1n || input >= BigInt(inputs)) throw malformed(kind, `it names input ${input}`);
    return Number(input);
  };
  refuseUnknownFields(op.op.case === undefined ? 'Op' : NAMES[op.op.case], op);
  switch (op.op.case) {
    case 'source':
      return { kind: 'source', source: readSource(parts, ruled(parts.rules, op.op.value), vertex) };
    case 'exec':
      return readExec(op.op.value, { inputs, entitlements: parts.entitlements });
    case 'file':
      return { kind: 'file', actions: readFileActions(op.op.value, inputs) };
    case 'merge':
      return { kind: 'merge', inputs: op.op.value.inputs.map(({ input }) => index(input, 'MergeOp')) };
    case 'diff': {
      const { lower, upper } = op.op.value;
      return { kind: 'diff', lower: index(lower?.input ?? -1n, 'DiffOp'), upper: index(upper?.input ?? -1n, 'DiffOp') };
    }
    case 'build':
      throw unsupported('BuildOp', 'a build from a definition within another');
    case undefined:
      throw malformed('definition', `${vertex.digest} is no operation`);
  }
}

/** The source that is taken in place of this one. Results of ours are nothing from elsewhere. */
function ruled(rules: SourceRules | undefined, source: SourceOp): SourceOp {
  if (!rules || source.identifier.startsWith(RESULT)) return source;
  const { identifier, attributes } = rules.decide({ identifier: source.identifier, attributes: source.attrs });
  return { ...source, identifier, attrs: { ...attributes } };
}

const NAMES = {
  source: 'SourceOp',
  exec: 'ExecOp',
  file: 'FileOp',
  build: 'BuildOp',
  merge: 'MergeOp',
  diff: 'DiffOp',
} as const;

function nameOf({ op }: Op): string {
  switch (op.case) {
    case 'source':
      return op.value.identifier;
    case 'exec':
      return op.value.meta?.args.join(' ') ?? 'exec';
    case 'file':
      return op.value.actions.map(({ action }) => describeAction(action)).join(', ');
    default:
      return op.case ?? '';
  }
}

function describeAction(
  action: NonNullable<Extract<Op['op'], { case: 'file' }>['value']['actions'][number]>['action'],
): string {
  switch (action.case) {
    case 'copy':
      return `copy ${action.value.src} ${action.value.dest}`;
    case 'symlink':
      return `symlink ${action.value.oldpath} ${action.value.newpath}`;
    case undefined:
      return '';
    default:
      return `${action.case} ${action.value.path}`;
  }
}

/** A client says what its definition needs: each is something that was announced. */
function checkCapabilities(metadata: OpMetadata | undefined): void {
  for (const [name, needed] of Object.entries(metadata?.caps ?? {}))
    if (needed && !KNOWN.has(name)) throw unsupported('definition', `the capability ${name}`);
}

const KNOWN: ReadonlySet<string> = new Set(buildCapabilities().map(({ ID = '' }) => ID));

function outputOf({ digest, index }: { readonly digest: string; readonly index: bigint }): GraphOutput {
  if (!isDigest(digest)) throw malformed('definition', `an input has the digest ${JSON.stringify(digest)}`);
  if (index < 0n || index > 1000n) throw malformed('definition', `an input names output ${index}`);
  return { vertex: digest, index: Number(index) };
}

function platformOf(platform: Platform | undefined): string | undefined {
  if (!platform || platform.OS === '') return undefined;
  return [platform.OS, platform.Architecture, platform.Variant].filter((part) => part !== '').join('/');
}
