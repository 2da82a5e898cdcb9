/** Accepted, last, by every method that can take long. */
export interface OperationOptions {
  /** Stops the work and rolls back what was not committed. */
  readonly signal?: AbortSignal | undefined;
  /** Called in order, never awaited: a slow listener cannot slow the work. */
  readonly onProgress?: ((event: Progress) => void) | undefined;
}

/** One step of a long operation, as a person would want to see it. */
export interface Progress {
  /** What is moving: a short layer digest, a build step number, a service name; empty for the operation as a whole. */
  readonly id: string;
  /** `Downloading`, `Loading layer`, `Step 2/6 : RUN npm ci` */
  readonly status: string;
  /** Bytes, unless `unit` says otherwise. */
  readonly current?: number;
  readonly total?: number;
  readonly unit?: 'bytes' | 'items';
  /** A result that the client needs apart from the text, as Docker's `aux`. */
  readonly aux?: unknown;
  /** Raw output of the step, when it has any. */
  readonly stream?: string;
}
