import { EngineError } from '../../src/base/errors.ts';

/** A parser of what comes from outside. */
export interface Target {
  readonly name: string;
  /** What inputs are made of: whole ones that are read, and pieces that mean something. */
  readonly seeds: readonly (string | Uint8Array)[];
  readonly pieces?: readonly string[];
  /** Seeds are JSON, and are changed as documents too. */
  readonly json?: boolean;
  /** Reads an input. Refusals are errors that `isRefusal` knows; everything else it throws is a bug. */
  readonly read: (input: Buffer) => unknown;
  readonly isRefusal?: (error: unknown) => boolean;
  /** What the target holds beside memory is given up. */
  readonly close?: () => Promise<void>;
}

/** The one error class of the project, with a word that says more than that something is broken. */
export function isTyped(error: unknown): boolean {
  return error instanceof EngineError;
}

/** An error that was thrown on purpose in so many words, and is not the language's own. */
export function isPlainError(error: unknown): boolean {
  return error instanceof Error && error.constructor === Error;
}

/** Tries each reader with the same input: a refusal of one is no reason not to ask the next. */
export function readers(...each: readonly ((input: Buffer) => unknown)[]): (input: Buffer) => Promise<void> {
  return async (input) => {
    let refused: Error | undefined;
    for (const read of each) {
      try {
        await read(input);
      } catch (error) {
        if (!isTyped(error)) throw error;
        refused = error as Error;
      }
    }
    if (refused !== undefined) throw refused;
  };
}
