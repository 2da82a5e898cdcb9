import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { sha256 } from '../oci/digest.ts';
import type { SolvedImage } from '../engine/builder/solved-build.ts';
import { type Definition, DefinitionSchema, OpSchema } from './protocol/ops_pb.ts';
import { type Result, ResultSchema } from './protocol/gateway_pb.ts';

/** What a build made for one platform, by the name that calls of its frontend give it. */
export interface BuiltRef {
  readonly id: string;
  readonly image: SolvedImage;
}

/** The answer to a frontend's Solve: refs, and for exporters their configurations. */
export function resultOf(refs: readonly BuiltRef[], multiPlatform: boolean): MessageInitShape<typeof ResultSchema> {
  const platforms = refs.map(({ image }) => ({ ID: image.platform, Platform: ociPlatform(image.platform) }));
  const metadata: Record<string, Uint8Array> = {
    'refs.platforms': Buffer.from(JSON.stringify({ Platforms: platforms })),
  };
  for (const { image } of refs)
    metadata[multiPlatform ? `containerimage.config/${image.platform}` : 'containerimage.config'] = Buffer.from(
      image.configText,
    );
  if (!multiPlatform) return { result: { case: 'ref', value: named(refs[0]!.id) }, metadata };
  const all = Object.fromEntries(refs.map(({ id, image }) => [image.platform, named(id)]));
  return { result: { case: 'refs', value: { refs: all } }, metadata };
}

/** In front of the id of a result, as a source of a definition. */
export const RESULT = 'gantry-result://';

/** A ref, and a definition of it: a client that passes it on as an input of another build names the result by that. */
export function named(id: string): { id: string; def: MessageInitShape<typeof DefinitionSchema> } {
  const source = toBinary(
    OpSchema,
    create(OpSchema, { op: { case: 'source', value: { identifier: `${RESULT}${id}` } } }),
  );
  const last = toBinary(OpSchema, create(OpSchema, { inputs: [{ digest: sha256(source), index: 0n }] }));
  // Clients take a definition without metadata for none.
  return { id, def: { def: [source, last], metadata: { [sha256(source)]: {} } } };
}

/** A definition of an image's files. */
export function imageDefinition(image: string): Definition {
  const source = toBinary(
    OpSchema,
    create(OpSchema, { op: { case: 'source', value: { identifier: `docker-image://${image}` } } }),
  );
  const last = toBinary(OpSchema, create(OpSchema, { inputs: [{ digest: sha256(source), index: 0n }] }));
  return create(DefinitionSchema, { def: [source, last], metadata: { [sha256(source)]: {} } });
}

/** The result that an input of a build is; undefined for definitions that have to be solved. */
export function resultOfInput({ def }: Definition): string | undefined {
  // More than the result and the line that names it is a graph of operations upon it.
  if (def.length !== 2) return undefined;
  const { op } = fromBinary(OpSchema, def[0]!);
  if (op.case !== 'source' || !op.value.identifier.startsWith(RESULT)) return undefined;
  return op.value.identifier.slice(RESULT.length);
}

/** An answer without files: to a question about a Dockerfile. */
export function answerOf(metadata: Readonly<Record<string, string>>): MessageInitShape<typeof ResultSchema> {
  return {
    result: { case: 'ref', value: { id: '' } },
    metadata: Object.fromEntries(Object.entries(metadata).map(([key, value]) => [key, Buffer.from(value)])),
  };
}

/** The ids that a frontend gave back, of results it was given before. */
export function refIds(result: Result): string[] {
  return refsOf(result).map(({ id }) => id);
}

/** The same with their platforms, where there may be several. */
export function refsOf({ result }: Result): { readonly id: string; readonly platform: string | undefined }[] {
  const single = (id: string): { id: string; platform: undefined }[] =>
    id === '' ? [] : [{ id, platform: undefined }];
  switch (result.case) {
    case 'ref':
      return single(result.value.id);
    case 'refs':
      return Object.entries(result.value.refs)
        .map(([platform, { id }]) => ({ id, platform }))
        .filter(({ id }) => id !== '');
    case 'refDeprecated':
      return single(result.value);
    case 'refsDeprecated':
      return Object.entries(result.value.refs).map(([platform, id]) => ({ id, platform }));
    default:
      return [];
  }
}

export function toResult(init: MessageInitShape<typeof ResultSchema>): Result {
  return create(ResultSchema, init);
}

function ociPlatform(text: string): { os: string; architecture: string; variant?: string } {
  const [os = '', architecture = '', variant] = text.split('/');
  return { os, architecture, ...(variant !== undefined && { variant }) };
}
