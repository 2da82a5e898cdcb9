import { createHash } from 'node:crypto';
import type { Secret, SecretReference } from '../../api/secret.ts';
import { EngineError, errorCode } from '../../base/errors.ts';
import type { Client } from '../../client/client.ts';
import { asText, type Dict, textOf } from '../model/value.ts';
import { LABEL } from './labels.ts';
import type { OnProgress } from './progress.ts';
import type { Project, Service } from './project.ts';
import { contentOf, fileModeOf, hasOwner, owner, uses } from './secrets.ts';

/**
 * Secrets of services that the engine keeps: external ones, and those with a value of the project's own that is not bound
 * from a file of the host. Only a Gantry engine can; with another one they become files of the container, and external
 * ones are refused.
 */

/** Throws `not-found` for an external secret that the engine has not, `unimplemented` where it can have none. Makes nothing. */
export async function checkSecrets(client: Client, project: Project, services: Iterable<Service>): Promise<void> {
  for (const service of services) {
    for (const { use, source } of ofEngine(project, service)) {
      if (source['external'] !== true) continue;
      const name = externalName(use, source);
      try {
        await client.secrets.require();
        await client.secrets.inspect(name);
      } catch (error) {
        const code = errorCode(error);
        if (code === 'unimplemented')
          throw new EngineError(
            'unimplemented',
            `unsupported external secret ${name}: only a Gantry engine has secrets without a swarm; give it a file, an environment variable, or content`,
            { cause: error },
          );
        if (code !== 'not-found') throw error;
        throw new EngineError(
          'not-found',
          `external secret "${name}" not found: make it with \`gantry secret create ${name} FILE\``,
          { cause: error },
        );
      }
    }
  }
}

/** Makes the project's own secrets of a service, and gives the references for its containers; undefined when the engine is no Gantry. */
export async function engineSecrets(
  client: Client,
  project: Project,
  service: Service,
  onProgress?: OnProgress,
): Promise<SecretReference[] | undefined> {
  const wanted = ofEngine(project, service);
  if (wanted.length === 0) return [];
  if ((await client.secrets.listOwn()) === undefined) return undefined;
  const references: SecretReference[] = [];
  for (const { use, source, target } of wanted) {
    const key = textOf(use['source']);
    let name = externalName(use, source);
    if (source['external'] !== true) {
      name = secretName(project, key);
      const { Changed } = await client.secrets.ensure({
        Name: name,
        Labels: { [LABEL.project]: project.name, [LABEL.secret]: key },
        Data: Buffer.from(contentOf(project, 'secrets', key, source)).toString('base64'),
      });
      if (Changed) onProgress?.({ kind: 'Secret', name, status: 'Created' });
    }
    references.push({
      SecretName: name,
      File: { Name: target, UID: String(owner(use, 'uid')), GID: String(owner(use, 'gid')), Mode: fileModeOf(use) },
    });
  }
  return references;
}

/** The secrets that were made for a project. */
export async function ownSecrets(client: Client, project: string): Promise<Secret[]> {
  return (await client.secrets.listOwn(new Map([['label', [`${LABEL.project}=${project}`]]]))) ?? [];
}

/** Removes the secrets of a project. Those of containers that are still there stay. */
export async function removeSecrets(client: Client, secrets: readonly Secret[], onProgress: OnProgress): Promise<void> {
  for (const { ID, Spec } of secrets) {
    onProgress({ kind: 'Secret', name: Spec.Name, status: 'Removing' });
    await client.secrets.remove(ID).then(
      () => onProgress({ kind: 'Secret', name: Spec.Name, status: 'Removed' }),
      (error: unknown) => {
        if (errorCode(error) === 'conflict')
          onProgress({ kind: 'Secret', name: Spec.Name, status: 'Resource is still in use' });
        else if (errorCode(error) !== 'not-found') throw error;
      },
    );
  }
}

function ofEngine(project: Project, service: Service): ReturnType<typeof uses> {
  return uses(project, service).filter(
    ({ kind, use, source }) => kind === 'secrets' && (source['file'] === undefined || hasOwner(use)),
  );
}

function externalName(use: Dict, source: Dict): string {
  return asText(source['name']) ?? textOf(use['source']);
}

/** Names of secrets are shorter, and have fewer characters, than keys may. */
function secretName(project: Project, key: string): string {
  const name = `${project.name}_${key}`;
  if (/^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}[a-zA-Z0-9]$/.test(name)) return name;
  return `${project.name.slice(0, 40)}_${createHash('sha256').update(name).digest('hex').slice(0, 16)}`;
}
