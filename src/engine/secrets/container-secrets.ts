import { closeSync } from 'node:fs';
import type { ExecSecret, SecretReference } from '../../api/secret.ts';
import { EngineError } from '../../base/errors.ts';
import { memoryFile } from '../../linux/memory-file.ts';
import type { UserMount } from '../../runtime/spec/mounts.ts';
import type { ContainerRecord } from '../../state/containers.ts';
import type { ContainerSecrets } from '../containers/parts.ts';
import { owner, type SecretFiles } from './secret-files.ts';
import type { Secrets } from './secrets.ts';

/** The first descriptor behind stdin, stdout and stderr. */
const FIRST_FD = 3;

/** What the life of a container needs of the secrets. */
export class EngineContainerSecrets implements ContainerSecrets {
  readonly #secrets: Secrets;
  readonly #files: SecretFiles;

  constructor(secrets: Secrets, files: SecretFiles) {
    this.#secrets = secrets;
    this.#files = files;
  }

  plan(references: readonly SecretReference[]): SecretReference[] {
    return this.#secrets.plan(references);
  }

  prepare(record: ContainerRecord, others: readonly UserMount[]): UserMount[] {
    return this.#files.prepare(record, others, ({ SecretID, SecretName }) =>
      this.#secrets.value(SecretID ?? '', SecretName),
    );
  }

  forExec(secrets: readonly ExecSecret[]): { fds: number[]; env: string[] } {
    const fds: number[] = [];
    try {
      const env = secrets.map((secret) => {
        const { SecretName: name, UID, GID, Mode = 0o444 } = secret;
        const Env = secret.Env || variableOf(name);
        if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(Env)) {
          throw new EngineError('invalid-argument', `invalid variable for secret ${name}: ${JSON.stringify(Env)}`);
        }
        if (!Number.isInteger(Mode) || Mode < 0 || Mode > 0o777) {
          throw new EngineError('invalid-argument', `invalid mode of secret ${name}: 0${Mode.toString(8)}`);
        }
        const access = { uid: owner(name, 'UID', UID), gid: owner(name, 'GID', GID), mode: Mode };
        fds.push(memoryFile(this.#secrets.valueOf(name), access));
        return `${Env}=/proc/self/fd/${FIRST_FD + fds.length - 1}`;
      });
      return { fds, env };
    } catch (error) {
      fds.forEach((fd) => closeSync(fd));
      throw error;
    }
  }

  runEnded(record: ContainerRecord): Promise<void> {
    return this.#secrets.runEnded(record);
  }

  committed(record: ContainerRecord, image: string): Promise<void> {
    return this.#secrets.imageMade(
      image,
      (record.hostConfig.Secrets ?? []).map(({ SecretID }) => SecretID ?? ''),
    );
  }
}

/** `DB_PASSWORD_FILE` of `db_password`: the form in which many images look for it. */
function variableOf(name: string): string {
  const word = name.toUpperCase().replace(/[^A-Z0-9]/g, '_');
  return `${/^\d/.test(word) ? '_' : ''}${word}_FILE`;
}
