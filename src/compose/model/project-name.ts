import { EngineError } from '../../base/errors.ts';

/** Throws `invalid-argument` for a name that was given and is none. */
export function checkProjectName(name: string): string {
  if (!/^[a-z0-9][a-z0-9_-]*$/.test(name))
    throw new EngineError(
      'invalid-argument',
      `invalid project name ${JSON.stringify(name)}: must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number`,
    );
  return name;
}

/** The name of a directory, or that of a file, made fit. Throws `invalid-argument` when nothing is left of it. */
export function nameOf(text: string): string {
  const name = text
    .toLowerCase()
    .replace(/[^-_a-z0-9]/g, '')
    .replace(/^[_-]+/, '');
  if (name === '')
    throw new EngineError('invalid-argument', 'project name must not be empty: give one with --project-name');
  return name;
}
