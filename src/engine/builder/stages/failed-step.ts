import { EngineError } from '../../../base/errors.ts';

/** A RUN step ended with a code that is not 0: the build's result, not a fault of the engine. */
export class BuildStepFailed extends EngineError {
  readonly exitCode: number;
  /** As it was run: `/bin/sh -c npm ci`. */
  readonly command: string;
  /** Of the Dockerfile, from 1; undefined where there is none. */
  readonly lines: { readonly start: number; readonly end: number } | undefined;
  /** The lines of the Dockerfile. */
  excerpt: string | undefined;

  constructor(command: string, exitCode: number, lines?: { readonly start: number; readonly end: number }) {
    super('invalid-argument', `The command '${command}' returned a non-zero code: ${exitCode}`);
    this.exitCode = exitCode;
    this.command = command;
    this.lines = lines;
  }
}

const lines = new WeakMap<object, number>();

/** Remembers which line of the Dockerfile an error came from: the first that is said. */
export function noteLine(error: unknown, line: number): void {
  if (error instanceof EngineError && error.code !== 'cancelled' && !lines.has(error)) lines.set(error, line);
}

export function lineOf(error: unknown): number | undefined {
  return error instanceof EngineError ? lines.get(error) : undefined;
}
