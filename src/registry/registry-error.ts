import { EngineError, type ErrorCode } from '../base/errors.ts';

/** One entry of a registry's error document (distribution-spec, "Error Codes"). */
export interface RegistryErrorEntry {
  /** `MANIFEST_UNKNOWN`, … */
  readonly code: string;
  readonly message: string;
  readonly detail?: unknown;
}

/** A registry said no. The message is in the words that Docker makes of such an answer. */
export class RegistryError extends EngineError {
  readonly status: number;
  /** The first entry's code; undefined when the answer was no error document. */
  readonly registryCode: string | undefined;
  /** The registry asked to wait so long. */
  readonly retryAfterMs: number | undefined;

  constructor(
    message: string,
    answer: { status: number; registryCode?: string | undefined; retryAfterMs?: number | undefined },
  ) {
    super(codeFor(answer.status, answer.registryCode), message);
    this.name = 'RegistryError';
    this.status = answer.status;
    this.registryCode = answer.registryCode;
    this.retryAfterMs = answer.retryAfterMs;
  }
}

/** `manifest unknown: manifest unknown`, as Docker shows an entry. */
export function entryText({ code, message }: RegistryErrorEntry): string {
  const words = code.toLowerCase().replaceAll('_', ' ');
  return message === '' ? words : `${words}: ${message}`;
}

function codeFor(status: number, registryCode: string | undefined): ErrorCode {
  if (registryCode === 'DENIED') return 'not-found';
  if (status === 401) return 'unauthorized';
  if (status === 403) return 'forbidden';
  if (status === 404) return 'not-found';
  if (status === 413) return 'too-large';
  if (status === 429 || status >= 500) return 'unavailable';
  return 'invalid-argument';
}
