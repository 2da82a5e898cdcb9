/** Why an operation failed, in the vocabulary every layer shares. */
export type ErrorCode =
  | 'invalid-argument' // the request can never succeed as written
  | 'unauthorized' // who are you?
  | 'forbidden' // I know who you are, and no
  | 'not-found'
  | 'already-exists'
  | 'conflict' // the object's state forbids it now; another state would allow it
  | 'not-modified' // already in the desired state
  | 'too-large' // over a limit that protects the engine
  | 'no-such-command' // the image has no such executable
  | 'not-executable' // it has, and the kernel would not run it
  | 'no-space' // the disk, or a quota, is full
  | 'unavailable' // something we depend on is down; retrying may help
  | 'unimplemented'
  | 'cancelled'
  | 'timeout'
  | 'corrupt' // bytes do not match their digest, or stored state does not parse
  | 'internal'; // a bug, or a host we do not understand

/**
 * The one error class of the project. Callers switch on `code`, people read `message`.
 * Where a Docker client derives behaviour from the words, the message is in Docker's words.
 */
export class EngineError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'EngineError';
    this.code = code;
  }
}

/** `No such container: web` — the wording Docker's clients match on. */
export function notFound(kind: string, name: string, options?: ErrorOptions): EngineError {
  return new EngineError('not-found', `No such ${kind}: ${name}`, options);
}

/** The code of any thrown value: an EngineError's own, a full disk or an abort recognised, otherwise `internal`. */
export function errorCode(error: unknown): ErrorCode {
  if (error instanceof EngineError) return error.code;
  const code = (error as { code?: unknown } | null)?.code;
  if (code === 'ENOSPC' || code === 'EDQUOT') return 'no-space';
  if (code === 'ABORT_ERR' || (error as Error | null)?.name === 'AbortError') return 'cancelled';
  return 'internal';
}

/** The message of any thrown value. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
