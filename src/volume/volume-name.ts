import { EngineError } from '../base/errors.ts';

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
/** NAME_MAX: the name is a directory. */
const MAX_LENGTH = 255;

/** Throws `invalid-argument` in Docker's words. */
export function checkVolumeName(name: string): void {
  if (name.length === 1) {
    throw invalid(`create ${name}: volume name is too short, names should be at least two alphanumeric characters`);
  }
  if (!NAME.test(name)) {
    throw invalid(
      `create ${name}: "${name}" includes invalid characters for a local volume name, only ` +
        '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path',
    );
  }
  if (name.length > MAX_LENGTH) throw invalid(`create ${name.slice(0, 40)}…: volume name is longer than ${MAX_LENGTH}`);
}

function invalid(message: string): EngineError {
  return new EngineError('invalid-argument', message);
}
