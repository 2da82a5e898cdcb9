import { errorMessage } from '../base/errors.ts';
import { readFileInRoot } from '../linux/rooted.ts';

const LONGEST = 1024 * 1024;

/** A certificate or key that an option names: a device would be read for ever, and a FIFO waited for. Throws an Error in Go's words. */
export function readTlsFile(path: string): Buffer {
  try {
    return readFileInRoot('/', path, { maxBytes: LONGEST });
  } catch (error) {
    const missing = (error as { code?: string }).code === 'ENOENT';
    throw new Error(missing ? `open ${path}: no such file or directory` : errorMessage(error), { cause: error });
  }
}
