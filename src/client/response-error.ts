import { EngineError, type ErrorCode } from '../base/errors.ts';

/** The engine answered, and said no. `message` is the engine's own sentence. */
export class ResponseError extends EngineError {
  readonly status: number;

  constructor(status: number, message: string) {
    super(codeOfStatus(status), message);
    this.name = 'ResponseError';
    this.status = status;
  }
}

function codeOfStatus(status: number): ErrorCode {
  switch (status) {
    case 304:
      return 'not-modified';
    case 400:
      return 'invalid-argument';
    case 401:
      return 'unauthorized';
    case 403:
      return 'forbidden';
    case 404:
      return 'not-found';
    case 409:
      return 'conflict';
    case 413:
      return 'too-large';
    case 501:
      return 'unimplemented';
    case 503:
      return 'unavailable';
    default:
      return 'internal';
  }
}
