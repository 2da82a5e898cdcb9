import { create, type MessageShape, type DescMessage, fromBinary, toBinary } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { EngineError, type ErrorCode, errorCode, errorMessage } from '../../base/errors.ts';
import { type Status, StatusSchema } from '../protocol/status_pb.ts';

/** Codes of gRPC, https://grpc.io/docs/guides/status-codes */
export const GRPC = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const;

/** Which status answers which error: the counterpart of the HTTP table. */
const CODES: Readonly<Record<ErrorCode, number>> = {
  'invalid-argument': GRPC.invalidArgument,
  unauthorized: GRPC.unauthenticated,
  forbidden: GRPC.permissionDenied,
  'not-found': GRPC.notFound,
  'already-exists': GRPC.alreadyExists,
  conflict: GRPC.failedPrecondition,
  'not-modified': GRPC.alreadyExists,
  'too-large': GRPC.resourceExhausted,
  'no-such-command': GRPC.invalidArgument,
  'not-executable': GRPC.invalidArgument,
  'no-space': GRPC.resourceExhausted,
  unavailable: GRPC.unavailable,
  unimplemented: GRPC.unimplemented,
  cancelled: GRPC.cancelled,
  timeout: GRPC.deadlineExceeded,
  corrupt: GRPC.dataLoss,
  internal: GRPC.internal,
};

/** A status that is not one of ours alone: from the other side, or with details for the client. */
export class GrpcError extends EngineError {
  readonly status: number;
  readonly details: Status['details'];

  constructor(status: number, message: string, options: ErrorOptions & { readonly details?: Status['details'] } = {}) {
    super(codeOf(status), message, options);
    this.status = status;
    this.details = options.details ?? [];
  }
}

/** A detail of a status, packed as the type that clients know it by. */
export function errorDetail<T extends DescMessage>(schema: T, value: MessageShape<T>): Status['details'][number] {
  const packed = anyPack(schema, value);
  // Clients of this protocol look details up by their full names, without the usual host.
  packed.typeUrl = schema.typeName;
  return packed;
}

/** Trailers that end a call with what was thrown. */
export function errorTrailers(error: unknown): Record<string, string> {
  const status = error instanceof GrpcError ? error.status : CODES[errorCode(error)];
  const message = errorMessage(error);
  const trailers: Record<string, string> = { 'grpc-status': String(status), 'grpc-message': escape(message) };
  if (error instanceof GrpcError && error.details.length > 0) {
    const encoded = toBinary(StatusSchema, create(StatusSchema, { code: status, message, details: error.details }));
    trailers['grpc-status-details-bin'] = Buffer.from(encoded).toString('base64').replace(/=+$/, '');
  }
  return trailers;
}

/** What trailers say of a status beside its words; nothing where it cannot be read. */
export function detailsOf(trailers: Readonly<Record<string, unknown>>): Status['details'] {
  const text = trailers['grpc-status-details-bin'];
  if (typeof text !== 'string') return [];
  try {
    return fromBinary(StatusSchema, Buffer.from(text, 'base64')).details;
  } catch {
    return [];
  }
}

/** What a message says in the `grpc-message` header: printable ASCII, the rest percent-encoded, of bounded length. */
function escape(message: string): string {
  const bytes = Buffer.from(message).subarray(0, MAX_MESSAGE_BYTES);
  let text = '';
  for (const byte of bytes)
    text +=
      byte >= 0x20 && byte < 0x7f && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  return text;
}

/** Go's clients refuse header lists beyond 16 MiB; a message needs far less. */
const MAX_MESSAGE_BYTES = 8 << 10;

export function unescape(message: string): string {
  try {
    return decodeURIComponent(message);
  } catch {
    return message;
  }
}

function codeOf(status: number): ErrorCode {
  switch (status) {
    case GRPC.cancelled:
      return 'cancelled';
    case GRPC.invalidArgument:
    case GRPC.failedPrecondition:
      return 'invalid-argument';
    case GRPC.deadlineExceeded:
      return 'timeout';
    case GRPC.notFound:
      return 'not-found';
    case GRPC.alreadyExists:
      return 'already-exists';
    case GRPC.permissionDenied:
      return 'forbidden';
    case GRPC.resourceExhausted:
      return 'too-large';
    case GRPC.unimplemented:
      return 'unimplemented';
    case GRPC.unavailable:
      return 'unavailable';
    case GRPC.dataLoss:
      return 'corrupt';
    case GRPC.unauthenticated:
      return 'unauthorized';
    default:
      // What a client's service says of itself is no fault of the engine.
      return 'invalid-argument';
  }
}
