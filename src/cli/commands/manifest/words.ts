import { errorCode } from '../../../base/errors.ts';
import type { Reference } from '../../../oci/reference.ts';
import { CommandError } from '../../command.ts';
import { shownName } from '../../remote.ts';

/** Docker's words for a name that a registry does not have. */
export function noSuchManifest(reference: Reference, error: unknown): never {
  if (errorCode(error) !== 'not-found') throw error;
  throw new CommandError(`no such manifest: ${shownName(reference)}`, 1, { cause: error });
}
