import { EngineError, errorCode } from '../../base/errors.ts';

/** The codes of the distribution specification. */
export type ProtocolCode =
  | 'BLOB_UNKNOWN'
  | 'BLOB_UPLOAD_INVALID'
  | 'BLOB_UPLOAD_UNKNOWN'
  | 'DIGEST_INVALID'
  | 'MANIFEST_BLOB_UNKNOWN'
  | 'MANIFEST_INVALID'
  | 'MANIFEST_UNKNOWN'
  | 'NAME_INVALID'
  | 'NAME_UNKNOWN'
  | 'SIZE_INVALID'
  | 'UNAUTHORIZED'
  | 'DENIED'
  | 'UNSUPPORTED'
  | 'TOOMANYREQUESTS'
  | 'UNKNOWN';

/** A refusal as a client of the protocol reads it. */
export class ProtocolError extends Error {
  readonly status: number;
  readonly code: ProtocolCode;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: ProtocolCode, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.name = 'ProtocolError';
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

/** Any failure as one of the protocol. What is no fault of the client's is told without details. */
export function protocolError(error: unknown): ProtocolError {
  if (error instanceof ProtocolError) return error;
  const message = error instanceof EngineError ? error.message : 'the registry failed: its log says why';
  switch (errorCode(error)) {
    case 'corrupt':
      return new ProtocolError(400, 'DIGEST_INVALID', message);
    case 'invalid-argument':
      return new ProtocolError(400, 'UNSUPPORTED', message);
    case 'too-large':
      return new ProtocolError(413, 'SIZE_INVALID', message);
    case 'not-found':
      return new ProtocolError(404, 'BLOB_UNKNOWN', message);
    case 'conflict':
      return new ProtocolError(409, 'UNSUPPORTED', message);
    case 'no-space':
      return new ProtocolError(507, 'UNKNOWN', 'the registry has no space left');
    default:
      return new ProtocolError(500, 'UNKNOWN', message);
  }
}
