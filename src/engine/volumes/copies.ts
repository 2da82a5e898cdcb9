import { readdir, rm } from 'node:fs/promises';
import { type VolumeCopyRequest, VOLUME_SOURCE_LABEL } from '../../api/gantry.ts';
import type { Volume } from '../../api/volume.ts';
import { EngineError } from '../../base/errors.ts';
import { newId } from '../../base/ids.ts';
import type { OperationOptions } from '../../base/operation.ts';
import type { Bytes } from '../../content/content-store.ts';
import { applyLayer } from '../../snapshot/apply-layer.ts';
import { tarTree } from '../../snapshot/diff-layer.ts';
import type { VolumeRecord } from '../../state/volumes.ts';
import { copyVolume, syncVolume } from '../../volume/copy-volume.ts';
import type { LocalDriver } from '../../volume/local-driver.ts';
import { localMount } from '../../volume/local-options.ts';
import { fillStaged } from '../../volume/stage.ts';
import type { RunMounts } from './run-mounts.ts';

/** What copies of volumes are made with. */
export interface CopyParts {
  readonly driver: LocalDriver;
  readonly runMounts: Pick<RunMounts, 'view' | 'release'>;
  /** Ids of the running containers that may write into it. */
  readonly writersOf: (name: string) => readonly string[];
  /** Makes a volume that nobody sees before `fill` has put its files into the directory; a failure leaves nothing. Throws `conflict`. */
  readonly make: (request: NewVolume, fill: (directory: string) => Promise<void>) => Promise<Volume>;
  /** Keeps a volume from being removed, renamed or pruned meanwhile. */
  readonly keeping: <T>(name: string, purpose: string, work: (record: VolumeRecord) => Promise<T>) => Promise<T>;
}

export interface NewVolume {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Throws `conflict` while a running container writes into the volume, unless the request says `Live`. */
export async function cloneVolume(
  parts: CopyParts,
  source: string,
  request: VolumeCopyRequest,
  { signal }: OperationOptions = {},
): Promise<Volume> {
  const name = request.Name ?? '';
  if (name === '') throw new EngineError('invalid-argument', 'the name of the new volume is missing');
  const [writer] = parts.writersOf(source);
  if (writer !== undefined && request.Live !== true) {
    throw new EngineError(
      'conflict',
      `the container ${writer} runs and may write into ${source}: stop or pause its work and ask for a live copy, or stop it`,
    );
  }
  const labels = { ...request.Labels, [VOLUME_SOURCE_LABEL]: source };
  return parts.keeping(source, `copy to ${name}`, (record) =>
    parts.make({ name, labels }, (target) =>
      reading(parts, record, (files) => copyVolume({ source: files, target }, signal)),
    ),
  );
}

/** Runs `look` with the directory of the volume's files, which stays meanwhile. */
export function lookInto<T>(parts: CopyParts, name: string, look: (files: string) => Promise<T>): Promise<T> {
  return parts.keeping(name, 'look', (record) => reading(parts, record, look));
}

/** The volume's files as a tar. It is kept until the last byte is read, or the reader gives up. */
export async function exportVolume(parts: CopyParts, name: string, { signal }: OperationOptions = {}): Promise<Bytes> {
  const opened = Promise.withResolvers<Bytes>();
  const done = Promise.withResolvers<void>();
  parts
    .keeping(name, 'export', (record) =>
      reading(parts, record, async (files) => {
        opened.resolve(untilEnd(tarTree(files, { signal }), done.resolve));
        signal?.addEventListener('abort', () => done.resolve(), { once: true });
        await done.promise;
      }),
    )
    .catch(opened.reject);
  return opened.promise;
}

async function* untilEnd(bytes: Bytes, end: () => void): Bytes {
  try {
    yield* bytes;
  } finally {
    end();
  }
}

/** Extracts into a directory beside the volume's own, and takes its place: all of the archive is there, or none. */
export async function fillVolume(
  driver: LocalDriver,
  name: string,
  tar: Bytes,
  { signal }: OperationOptions = {},
): Promise<void> {
  const [data, stage] = [driver.dataPath(name), driver.stagePath(name)];
  if ((await readdir(data)).length > 0) throw notEmpty(name);
  try {
    await fillStaged(stage, data, async (directory) => {
      await extract(tar, directory, { signal });
      return true;
    });
  } catch (error) {
    await rm(stage, { recursive: true, force: true });
    if (['ENOTEMPTY', 'EEXIST'].includes((error as { code?: string }).code ?? '')) throw notEmpty(name);
    throw error;
  }
}

/** Puts the archive's files into `directory`; they are on the disk when it resolves. */
export async function extract(tar: Bytes, directory: string, { signal }: OperationOptions = {}): Promise<void> {
  await applyLayer(tar, directory, { whiteouts: 'literal', describeRoot: true, allowExternal: true, signal });
  await syncVolume(directory);
}

/** `data-20261123-190507`: in the order of their making. */
export function snapshotName(source: string, now: Date): string {
  const [day, time] = now.toISOString().slice(0, 19).replaceAll(/[-:]/g, '').split('T');
  return `${source.slice(0, 200)}-${day}-${time}`;
}

function notEmpty(name: string): EngineError {
  return new EngineError('conflict', `the volume ${name} has files: import into a new one, or remove it first`);
}

/** Gives the directory of the volume's files, mounted for this where its options want that. */
async function reading<T>(
  { driver, runMounts }: CopyParts,
  { name, options }: VolumeRecord,
  read: (files: string) => Promise<T>,
): Promise<T> {
  if (options === null || driver.isMounted(name)) return read(driver.dataPath(name));
  if (options['type'] === 'tmpfs') {
    throw new EngineError(
      'conflict',
      `the volume ${name} is a tmpfs: it has files only while a container runs with it`,
    );
  }
  const key = `view-${newId().slice(0, 12)}`;
  try {
    return await read(runMounts.view(key, await localMount(options)));
  } finally {
    runMounts.release(key);
  }
}
