import { stat } from 'node:fs/promises';
import { diskUsage } from '../../snapshot/disk-usage.ts';

/** Bytes of the files below a directory that others may change meanwhile: what goes away is not counted. */
export async function measureTree(directory: string): Promise<number> {
  try {
    return (await diskUsage(directory)).bytes;
  } catch (error) {
    if (await stat(directory).catch(() => undefined)) throw error;
    return 0;
  }
}
