import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { newId } from '../base/ids.ts';
import { spreadSubdirectories } from '../linux/files.ts';
import { syncDirectory } from './local-driver.ts';

/**
 * Fills a directory beside the volume's empty one, which then takes its place: after a crash the volume is either empty or
 * complete. `fill` has its files on the disk when it resolves, and says whether there are any. What a failure or a crash
 * leaves is below `stage`, and goes with the next call. Throws ENOTEMPTY when the volume got files meanwhile.
 */
export async function fillStaged(
  stage: string,
  data: string,
  fill: (directory: string) => Promise<boolean>,
): Promise<void> {
  await rm(stage, { recursive: true, force: true });
  await mkdir(stage, { mode: 0o755 });
  // ext4 puts a directory's files near it, and looks past each inode there that was freed lately: in a place of its own,
  // which it finds by the name, twenty thousand files take a third of the time where volumes come and go
  spreadSubdirectories(stage);
  const directory = join(stage, newId());
  await mkdir(directory, { mode: 0o755 });
  if (await fill(directory)) {
    await rename(directory, data);
    // what is read from the volume after a power cut must not depend on luck
    await syncDirectory(dirname(data));
  }
  await rm(stage, { recursive: true, force: true });
}
