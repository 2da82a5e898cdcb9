import type { ErrorCode } from '../base/errors.ts';

/** Which HTTP status answers which error. The one place where they meet. */
export const HTTP_STATUS: Readonly<Record<ErrorCode, number>> = {
  'invalid-argument': 400,
  unauthorized: 401,
  forbidden: 403,
  'not-found': 404,
  'already-exists': 409,
  conflict: 409,
  'not-modified': 304,
  'too-large': 413,
  // The text tells clients 127 from 126; the status is Docker's for both.
  'no-such-command': 400,
  'not-executable': 400,
  'no-space': 500,
  unavailable: 503,
  unimplemented: 501,
  cancelled: 499,
  timeout: 504,
  corrupt: 500,
  internal: 500,
};
