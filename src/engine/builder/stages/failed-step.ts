import { EngineError } from '../../../base/errors.ts';
import type { ChainId, DiffId } from '../../../oci/digest.ts';
import type { ImageRunConfig } from '../../../oci/image.ts';

export interface FailedStep {
  /** Of the Dockerfile, from 1. */
  readonly lines: { readonly start: number; readonly end: number };
  readonly config: ImageRunConfig;
  readonly argv: readonly string[];
  /** Variables besides the configuration's own. */
  readonly env: readonly string[];
}

/** A RUN step ended with a code that is not 0: the build's result, not a fault of the engine. */
export class BuildStepFailed extends EngineError {
  readonly exitCode: number;

  /** As it was run: `/bin/sh -c npm ci`. */
  readonly command: string;
  /** Which one it was, and with what. */
  readonly step: FailedStep | undefined;
  /** The files as the command left them, where they were to be kept. */
  left: { readonly diffIds: readonly DiffId[]; readonly chain: ChainId } | undefined;
  /** The lines of the Dockerfile. */
  excerpt: string | undefined;

  constructor(command: string, exitCode: number, step?: FailedStep) {
    super('invalid-argument', `The command '${command}' returned a non-zero code: ${exitCode}`);
    this.exitCode = exitCode;
    this.command = command;
    this.step = step;
  }
}
