import { create } from '@bufbuild/protobuf';
import { errorCode, errorMessage } from '../../base/errors.ts';
import { type DockerfileSource, lineOfMessage, placeOf, type SourcePlace } from '../../build/dockerfile/source.ts';
import { BuildStepFailed } from '../../engine/builder/stages/failed-step.ts';
import { familiar } from '../../oci/reference.ts';
import { errorDetail, GRPC, GrpcError } from '../grpc/status.ts';
import { SourceSchema } from '../protocol/error-details_pb.ts';

/** The place in the Dockerfile that a failure is about. */
export interface FailurePlace {
  readonly source: DockerfileSource;
  /** Of the whole text, from 1; undefined when it is about no line. */
  readonly line: number | undefined;
  /** An image that could not be found, by its whole name. */
  readonly unresolved?: string | undefined;
}

/** Failures that are the engine's or the connection's, not the build's: their own codes tell clients so. */
const OWN_CODES = new Set(['cancelled', 'no-space', 'internal', 'corrupt', 'unimplemented']);

/**
 * A failed build as BuildKit's clients know it: without a code in front of its words, and with the lines of the Dockerfile,
 * which the client shows itself.
 */
export function buildFailure(error: unknown, place?: FailurePlace): unknown {
  if (error instanceof GrpcError) return error;
  const code = errorCode(error);
  if (OWN_CODES.has(code)) return error;
  const [message, line] = describe(error, place);
  const at = placeOf(error) ?? (line === undefined ? undefined : place?.source.at(line));
  const details = at ? [sourceDetail(at)] : [];
  return new GrpcError(GRPC.unknown, message, { cause: error, details });
}

/** The failure of another frontend, which the file of this one named: it is about that place, unless it says one of its own. */
export function failureOf(error: unknown, place: FailurePlace & { readonly line: number }): unknown {
  const failure = buildFailure(error, place);
  if (!(failure instanceof GrpcError) || failure.details.length > 0) return failure;
  return new GrpcError(failure.status, failure.message, {
    cause: error,
    details: [sourceDetail(place.source.at(place.line))],
  });
}

function sourceDetail({ file, line }: SourcePlace): ReturnType<typeof errorDetail> {
  const position = { line, character: 0 };
  return errorDetail(
    SourceSchema,
    create(SourceSchema, {
      info: { filename: file.name, data: Buffer.from(file.text), language: 'Dockerfile' },
      ranges: [{ start: position, end: position }],
    }),
  );
}

function describe(error: unknown, place: FailurePlace | undefined): [string, number | undefined] {
  const line = place?.line;
  if (error instanceof BuildStepFailed)
    return [
      `process ${JSON.stringify(error.command)} did not complete successfully: exit code: ${error.exitCode}`,
      line,
    ];
  const text = errorMessage(error);
  // The engine shows the lines itself for clients that do not.
  const shown = placeOf(error)?.file.name ?? place?.source.files[0]?.name;
  const cut = shown === undefined ? -1 : text.indexOf(`\n${shown}:`);
  const cutText = cut < 0 ? text : text.slice(0, cut);
  const named = lineOfMessage(cutText);
  // One whose place is known says it in its words already.
  const message = place && !placeOf(error) ? place.source.named(cutText) : cutText;
  const { unresolved } = place ?? {};
  const told =
    unresolved === undefined
      ? message
      : `${familiar(unresolved)}: failed to resolve source metadata for ${unresolved}: ${message}`;
  return [told, named ?? line];
}
