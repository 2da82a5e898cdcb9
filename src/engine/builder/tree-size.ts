import { stat } from 'node:fs/promises';
import { diskUsage } from '../../snapshot/disk-usage.ts';

/**
 * Bytes that are free when the directory goes: files that a layer has too are the layer's. Others may change it meanwhile;
 * what goes away is not counted.
 */
export async function measureTree(directory: string): Promise<number> {
  try {
    const { bytes, elsewhere } = await diskUsage(directory);
    return bytes - elsewhere.reduce((sum, file) => sum + file.bytes, 0);
  } catch (error) {
    if (await stat(directory).catch(() => undefined)) throw error;
    return 0;
  }
}
