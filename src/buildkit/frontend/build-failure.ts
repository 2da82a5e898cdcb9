import { create } from '@bufbuild/protobuf';
import { errorCode, errorMessage } from '../../base/errors.ts';
import { BuildStepFailed } from '../../engine/builder/stages/failed-step.ts';
import { familiar } from '../../oci/reference.ts';
import { errorDetail, GRPC, GrpcError } from '../grpc/status.ts';
import { SourceSchema } from '../protocol/error-details_pb.ts';

/** The place in the Dockerfile that a failure is about. */
export interface FailurePlace {
  readonly filename: string;
  readonly text: string;
  /** From 1; undefined when it is about no line. */
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
  const details = line === undefined || !place ? [] : [sourceDetail(place, line)];
  return new GrpcError(GRPC.unknown, message, { cause: error, details });
}

/** The failure of another frontend, which the file of this one named: it is about that place, unless it says one of its own. */
export function failureOf(error: unknown, place: FailurePlace & { readonly line: number }): unknown {
  const failure = buildFailure(error, place);
  if (!(failure instanceof GrpcError) || failure.details.length > 0) return failure;
  return new GrpcError(failure.status, failure.message, { cause: error, details: [sourceDetail(place, place.line)] });
}

function sourceDetail({ filename, text }: FailurePlace, line: number): ReturnType<typeof errorDetail> {
  const position = { line, character: 0 };
  return errorDetail(
    SourceSchema,
    create(SourceSchema, {
      info: { filename, data: Buffer.from(text), language: 'Dockerfile' },
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
  const cut = place ? text.indexOf(`\n${place.filename}:`) : -1;
  const message = cut < 0 ? text : text.slice(0, cut);
  const named = /^dockerfile (?:parse error on )?line (\d+)/.exec(message)?.[1];
  const { unresolved } = place ?? {};
  const told =
    unresolved === undefined
      ? message
      : `${familiar(unresolved)}: failed to resolve source metadata for ${unresolved}: ${message}`;
  return [told, named === undefined ? line : Number(named)];
}
