import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Bytes of the files below a directory that others may change meanwhile: what goes away is not counted. */
export async function measureTree(directory: string): Promise<number> {
  let size = 0;
  const names = await readdir(directory).catch(() => []);
  for (const name of names) {
    const path = join(directory, name);
    const found = await lstat(path).catch(() => undefined);
    if (found?.isDirectory()) size += await measureTree(path);
    else size += found?.size ?? 0;
  }
  return size;
}
