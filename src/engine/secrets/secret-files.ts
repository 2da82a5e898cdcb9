import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  renameSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join, posix } from 'node:path';
import type { SecretReference } from '../../api/secret.ts';
import { EngineError } from '../../base/errors.ts';
import { readOnlyBind, type UserMount } from '../../runtime/spec/mounts.ts';
import type { ContainerRecord } from '../../state/containers.ts';
import type { RunMounts } from '../volumes/run-mounts.ts';

/** Where secrets are in a container that says nothing else. */
export const SECRETS_DIRECTORY = '/run/secrets';
const DEFAULT_MODE = 0o444;

/**
 * The secrets of containers as files in memory: a tmpfs of the engine's for each run, of which the container has a
 * read-only view. Those below /run/secrets are in one directory, where a new value takes the old one's place in one step;
 * one that is mounted elsewhere is written over.
 */
export class SecretFiles {
  readonly #runMounts: RunMounts;

  constructor(runMounts: RunMounts) {
    this.#runMounts = runMounts;
  }

  /** Where a secret is in the container. Throws `invalid-argument` when the reference asks for what cannot be. */
  target({ SecretName, File }: SecretReference): string {
    const asked = File?.Name || SecretName || '';
    const target = posix.resolve(SECRETS_DIRECTORY, asked);
    if (asked.includes('\0') || target === '/' || target === SECRETS_DIRECTORY || asked.endsWith('/')) {
      throw new EngineError('invalid-argument', `invalid target of secret ${SecretName}: ${JSON.stringify(asked)}`);
    }
    owner(SecretName, 'UID', File?.UID);
    owner(SecretName, 'GID', File?.GID);
    const { Mode = DEFAULT_MODE } = File ?? {};
    if (!Number.isInteger(Mode) || Mode < 0 || Mode > 0o777) {
      throw new EngineError('invalid-argument', `invalid mode of secret ${SecretName}: 0${Mode.toString(8)}`);
    }
    return target;
  }

  /** Makes the files of a run; `others` are the run's other mounts. Undone with the run's mounts. */
  prepare(
    record: ContainerRecord,
    others: readonly UserMount[],
    value: (reference: SecretReference) => Buffer,
  ): UserMount[] {
    const references = record.hostConfig.Secrets ?? [];
    if (references.length === 0) return [];
    const taken = [...others.map((mount) => mount.destination), ...Object.keys(record.hostConfig.Tmpfs ?? {})];
    const root = this.#runMounts.makeSecrets(record.id, references.length);
    const view = join(root, 'run');
    mkdirSync(view, { mode: 0o755 });
    mkdirSync(join(root, 'files'), { mode: 0o700 });
    const mounts: UserMount[] = [];
    references.forEach((reference, index) => {
      const target = this.target(reference);
      if (taken.includes(target)) throw new EngineError('invalid-argument', `Duplicate mount point: ${target}`);
      const path = this.#path(root, target, index);
      mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
      write(path, value(reference), reference);
      if (!isBelow(target)) mounts.push(readOnlyBind(target, path));
    });
    if (!references.some((reference) => isBelow(this.target(reference)))) return mounts;
    if (taken.includes(SECRETS_DIRECTORY)) {
      throw new EngineError(
        'invalid-argument',
        `Duplicate mount point: ${SECRETS_DIRECTORY} is where the secrets are: mount the other elsewhere, or give the secrets a target`,
      );
    }
    for (const mount of others) if (isBelow(mount.destination)) makePlace(view, mount);
    return [readOnlyBind(SECRETS_DIRECTORY, view), ...mounts];
  }

  /** Gives a running container the new value. False when its run has no secrets on this host. */
  replace(record: ContainerRecord, id: string, value: Buffer): boolean {
    const root = this.#runMounts.secrets(record.id);
    if (root === undefined) return false;
    for (const [index, reference] of (record.hostConfig.Secrets ?? []).entries()) {
      if (reference.SecretID !== id) continue;
      const target = this.target(reference);
      const path = this.#path(root, target, index);
      if (isBelow(target)) {
        const aside = join(root, 'files', 'new');
        write(aside, value, reference);
        renameSync(aside, path);
      } else overwrite(path, value);
    }
    return true;
  }

  #path(root: string, target: string, index: number): string {
    return isBelow(target)
      ? join(root, 'run', target.slice(SECRETS_DIRECTORY.length))
      : join(root, 'files', String(index));
  }
}

function isBelow(target: string): boolean {
  return target.startsWith(`${SECRETS_DIRECTORY}/`);
}

/** Throws `invalid-argument`: names would have to be looked up in the image, where each could mean another. */
export function owner(name: string | undefined, kind: 'UID' | 'GID', text: string | undefined): number {
  if (text === undefined || text === '') return 0;
  const id = Number(text);
  if (/^\d{1,10}$/.test(text) && id < 2 ** 32 - 1) return id;
  throw new EngineError('invalid-argument', `invalid ${kind} of secret ${name}: ${JSON.stringify(text)} is no number`);
}

function write(path: string, value: Buffer, { SecretName, File }: SecretReference): void {
  writeFileSync(path, value, { flag: 'wx', mode: 0o400 });
  chownSync(path, owner(SecretName, 'UID', File?.UID), owner(SecretName, 'GID', File?.GID));
  chmodSync(path, File?.Mode ?? DEFAULT_MODE);
}

function overwrite(path: string, value: Buffer): void {
  const fd = openSync(path, 'r+');
  try {
    for (let at = 0; at < value.length;) at += writeSync(fd, value, at, value.length - at, at);
    ftruncateSync(fd, value.length);
  } finally {
    closeSync(fd);
  }
}

/** The directory is read-only for the container: what else is mounted in it needs its place beforehand. */
function makePlace(view: string, mount: UserMount): void {
  const path = join(view, mount.destination.slice(SECRETS_DIRECTORY.length));
  if (existsSync(path)) return;
  const isFile = mount.type === 'bind' && statSync(mount.source, { throwIfNoEntry: false })?.isDirectory() === false;
  mkdirSync(isFile ? dirname(path) : path, { recursive: true, mode: 0o755 });
  if (isFile) writeFileSync(path, '');
}
