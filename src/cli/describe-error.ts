import { EngineError } from '../base/errors.ts';
import { ResponseError } from '../client/response-error.ts';
import { CommandError } from './command.ts';

/** The sentence for a failure: the engine's own words are marked as such. */
export function describeError(error: unknown, debug = false): string {
  if (error instanceof ResponseError) return `Error response from daemon: ${error.message}`;
  if (error instanceof EngineError || error instanceof CommandError) return error.message;
  if (error instanceof Error && debug) return error.stack ?? error.message;
  return error instanceof Error ? error.message : String(error);
}

/** Docker's rule for `run`: the words of the failure tell a missing program (127) from one that may not run (126). */
export function exitCodeOfRun(error: unknown): number {
  if (!(error instanceof ResponseError)) return 125;
  const { message } = error;
  if (/executable file not found|no such file or directory|system cannot find the file specified/.test(message))
    return 127;
  if (/permission denied|is a directory/.test(message)) return 126;
  return 125;
}

/** Where to have an image from when no registry can be reached; undefined of other failures. */
export function withoutRegistry(message: string): string | undefined {
  if (!/\b(?:Get|Head) "https?:\/\/[^"]*\/v2\/[^"]*": dial tcp/.test(message)) return undefined;
  return [
    'The registry cannot be reached from the engine. Images are to be had without one:',
    '  gantry image bootstrap debian:bookworm-slim   a base image made from packages',
    '  gantry load -i FILE                           what `gantry save` or `docker save` wrote',
    '  gantry run -it --rm busybox sh                built in, as is hello-gantry',
  ].join('\n');
}
