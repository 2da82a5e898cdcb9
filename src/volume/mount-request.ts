import { posix } from 'node:path';
import type { MountRequest } from '../api/container.ts';
import { EngineError } from '../base/errors.ts';

const PROPAGATIONS = ['', 'private', 'rprivate', 'slave', 'rslave', 'shared', 'rshared'];

/** Checks what `--mount` (or a `-v` brought into its form) asks for. Throws `invalid-argument` in Docker's words. */
export function checkMount(request: MountRequest): void {
  const { Type, Target } = request;
  const bad = (reason: string): EngineError =>
    new EngineError('invalid-argument', `invalid mount config for type "${Type ?? ''}": ${reason}`);
  if (!['bind', 'volume', 'tmpfs', 'image'].includes(Type)) throw bad('mount type unknown');
  checkOptions(request, bad);
  if (!Target) throw bad('field Target must not be empty');
  if (!Target.startsWith('/')) throw bad(`invalid mount path: '${Target}' mount path must be absolute`);
  if (Target.includes('\0')) throw bad('a NUL byte in the mount path');
  if (destinationOf(Target) === '/') throw bad("invalid specification: destination can't be '/'");
  if (Type === 'bind') checkBind(request, bad);
  else if (Type === 'volume') checkVolume(request, bad);
  else if (Type === 'tmpfs') checkTmpfs(request, bad);
  else checkImage(request, bad);
}

/** The destination as everything else knows it: absolute, without `.`, `..` and doubled slashes. */
export function destinationOf(target: string): string {
  return posix.resolve('/', target);
}

function checkOptions(request: MountRequest, bad: Bad): void {
  const allowed = { bind: 'BindOptions', volume: 'VolumeOptions', tmpfs: 'TmpfsOptions', image: 'ImageOptions' };
  for (const field of ['BindOptions', 'VolumeOptions', 'TmpfsOptions', 'ImageOptions'] as const) {
    if (request[field] != null && field !== allowed[request.Type as keyof typeof allowed]) {
      if (field === 'ImageOptions') throw bad(`field ${field} must not be specified`);
      throw new EngineError('invalid-argument', `${field} must not be specified on mount type "${request.Type}"`);
    }
  }
}

type Bad = (reason: string) => EngineError;

function checkBind(request: MountRequest, bad: Bad): void {
  const { Source = '', BindOptions = {} } = request;
  if (Source === '') throw bad('field Source must not be empty');
  if (!Source.startsWith('/')) throw bad(`invalid mount path: '${Source}' mount path must be absolute`);
  if (Source.includes('\0')) throw bad('a NUL byte in the source');
  const propagation = BindOptions.Propagation ?? '';
  if (!PROPAGATIONS.includes(propagation)) throw bad(`invalid propagation mode: ${propagation}`);
  if (BindOptions.ReadOnlyForceRecursive === true && BindOptions.ReadOnlyNonRecursive === true) {
    throw bad('mount options conflict: ReadOnlyNonRecursive && ReadOnlyForceRecursive');
  }
  checkSubpath(BindOptions.Subpath ?? '', bad, 'source');
}

function checkVolume(request: MountRequest, bad: Bad): void {
  const subpath = request.VolumeOptions?.Subpath ?? '';
  if (subpath === '') return;
  if (!request.Source) throw bad('must not set Subpath when using anonymous volumes');
  checkSubpath(subpath, bad);
}

function checkImage(request: MountRequest, bad: Bad): void {
  if (!request.Source) throw bad('field Source must not be empty');
  checkSubpath(request.ImageOptions?.Subpath ?? '', bad);
}

function checkSubpath(subpath: string, bad: Bad, whole = 'volume'): void {
  const clean = posix.normalize(subpath);
  if (subpath.startsWith('/') || clean === '..' || clean.startsWith('../') || subpath.includes('\0')) {
    throw bad(`subpath must be a relative path within the ${whole}`);
  }
}

function checkTmpfs(request: MountRequest, bad: Bad): void {
  if (request.Source) throw bad('field Source must not be specified');
  const { SizeBytes = 0, Mode = 0, Options = [] } = request.TmpfsOptions ?? {};
  if (SizeBytes < 0) throw bad(`invalid tmpfs size: ${SizeBytes}`);
  if (Mode < 0 || Mode > 0o7777) throw bad(`invalid tmpfs mode: ${Mode.toString(8)}`);
  for (const option of Options ?? []) {
    const name = option[0] ?? '';
    if (option.length !== 1 || (name !== 'exec' && name !== 'noexec')) throw bad(`invalid option: ${name}`);
  }
}
