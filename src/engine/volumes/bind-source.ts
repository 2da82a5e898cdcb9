import { lstatSync, statSync } from 'node:fs';
import { mkdir, realpath, stat } from 'node:fs/promises';
import type { MountRequest } from '../../api/container.ts';
import type { MountPoint } from '../../api/volume.ts';
import { EngineError } from '../../base/errors.ts';
import { mountOf, readMounts } from '../../linux/mountinfo.ts';
import { mkdirAllInRoot, statInRoot } from '../../linux/rooted.ts';

/** `--mount` never makes its source. Throws `invalid-argument` in Docker's words. */
export function checkBindSource(request: MountRequest): void {
  if (request.BindOptions?.CreateMountpoint === true) return;
  try {
    statSync(request.Source!);
  } catch (error) {
    throw noSource(request.Source!, error);
  }
}

/**
 * Before a run: the source is there, made as a directory where `-v` asked for it, and passes mounts on as the mount
 * wants. Gives the propagation that the mount can have.
 */
export async function requireBindSource(point: MountPoint, request: MountRequest | undefined): Promise<string> {
  const create = request === undefined || request.BindOptions?.CreateMountpoint === true;
  try {
    await stat(point.Source);
  } catch (error) {
    const code = (error as { code?: string }).code;
    if (create && !isMissing(point.Source)) {
      throw notMade(point.Source, code === 'ENOTDIR' ? 'not a directory' : 'file exists', error);
    }
    if (!create || code !== 'ENOENT') throw noSource(point.Source, error);
    try {
      await mkdir(point.Source, { recursive: true });
    } catch (failure) {
      throw notMade(point.Source, (failure as Error).message, failure);
    }
  }
  if (request?.BindOptions?.Subpath && create) makeSubpath(point.Source, request.BindOptions.Subpath);
  return checkPropagation(point, request?.BindOptions?.Propagation);
}

/** What is missing of a part of the source; links never lead out of it. */
function makeSubpath(source: string, subpath: string): void {
  try {
    statInRoot(source, subpath);
  } catch (error) {
    if ((error as { code?: string }).code !== 'ENOENT') return; // to mount it fails as well, and says why
    try {
      mkdirAllInRoot(source, subpath);
    } catch (failure) {
      throw notMade(`${source}/${subpath}`, (failure as Error).message, failure);
    }
  }
}

/** Nothing is there, and may be made: not so of a symlink that leads nowhere, or of what stands below a file. */
export function isMissing(path: string): boolean {
  try {
    lstatSync(path);
    return false;
  } catch (error) {
    return (error as { code?: string }).code === 'ENOENT';
  }
}

function notMade(source: string, why: string, cause: unknown): EngineError {
  return new EngineError(
    'invalid-argument',
    `error while creating mount source path '${source}': mkdir ${source}: ${why}`,
    { cause },
  );
}

function noSource(source: string, cause: unknown): EngineError {
  return new EngineError(
    'invalid-argument',
    `invalid mount config for type "bind": bind source path does not exist: ${source}`,
    { cause },
  );
}

/** Mounts can only be passed on from a mount that passes them on itself. A mode that nobody asked for gives way. */
async function checkPropagation(point: MountPoint, asked: string | undefined): Promise<string> {
  const { Propagation: mode, Source } = point;
  if (!mode.includes('shared') && !mode.includes('slave')) return mode;
  const mount = mountOf(readMounts(), await realpath(Source));
  const peers = mount?.propagation ?? [];
  const shared = peers.some((field) => field.startsWith('shared:'));
  const slave = peers.some((field) => field.startsWith('master:'));
  if (shared || (slave && mode.includes('slave'))) return mode;
  if (!asked) return 'rprivate';
  const wanted = mode.includes('shared') ? 'shared' : 'shared or slave';
  throw new EngineError(
    'invalid-argument',
    `path ${Source} is mounted on ${mount?.mountPoint ?? '/'} but it is not a ${wanted} mount`,
  );
}
