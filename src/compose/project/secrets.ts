import fs from 'node:fs';
import { posix } from 'node:path';
import type { Client } from '../../client/client.ts';
import { tarHeader } from '../../content/tar/header.ts';
import { writeTar } from '../../content/tar/writer.ts';
import { EngineError } from '../../base/errors.ts';
import { asDict, asList, asText, type Dict, textOf } from '../model/value.ts';
import { type Project, resource, type Service } from './project.ts';

/** A secret or config of a service, as a file of its container. */
interface ServiceFile {
  readonly target: string;
  readonly content: Uint8Array;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

/** Secrets and configs that are bound from the host's files: those without an owner or mode of their own. */
export function boundFiles(project: Project, service: Service): Dict[] {
  return uses(project, service)
    .filter(({ use, source }) => source['file'] !== undefined && !hasOwner(use))
    .map(({ source, target }) => ({
      type: 'bind',
      source: textOf(source['file']),
      target,
      read_only: true,
    }));
}

/** Puts the others, secrets only when the engine keeps none of its own, into a container that was created and does not run yet: values of the environment, texts, files with an owner or mode. */
export async function injectFiles(
  client: Client,
  project: Project,
  service: Service,
  container: string,
  options: { readonly secretsToo: boolean },
): Promise<void> {
  for (const { kind, use, source, target } of uses(project, service)) {
    if (source['file'] !== undefined && !hasOwner(use)) continue;
    if (kind === 'secrets' && !options.secretsToo) continue;
    const file: ServiceFile = {
      target,
      content: contentOf(project, kind, textOf(use['source']), source),
      uid: owner(use, 'uid'),
      gid: owner(use, 'gid'),
      mode: fileModeOf(use),
    };
    await client.containers.archivePut(container, '/', archiveOf(file), { copyUidGid: true });
  }
}

/** Throws `not-found` when the value of a secret or config that a service uses is missing; nothing is created then. */
export function checkFiles(project: Project, service: Service): void {
  for (const { kind, use, source } of uses(project, service))
    if (kind !== 'secrets' || source['external'] !== true)
      contentOf(project, kind, textOf(use['source']), source, true);
}

export function fileModeOf(use: Dict): number {
  return use['mode'] === undefined ? 0o444 : Number.parseInt(textOf(use['mode']), 8);
}

export function uses(
  project: Project,
  service: Service,
): { kind: 'secrets' | 'configs'; use: Dict; source: Dict; target: string }[] {
  return (['secrets', 'configs'] as const).flatMap((kind) =>
    asList(service.model[kind])
      .map(asDict)
      .map((use) => {
        const name = textOf(use['source']);
        const target = asText(use['target']) ?? (kind === 'secrets' ? name : `/${name}`);
        return {
          kind,
          use,
          source: resource(project, kind, name),
          target: posix.isAbsolute(target) ? target : kind === 'secrets' ? `/run/secrets/${target}` : `/${target}`,
        };
      }),
  );
}

export function hasOwner(use: Dict): boolean {
  return use['uid'] !== undefined || use['gid'] !== undefined || use['mode'] !== undefined;
}

export function owner(use: Dict, key: string): number {
  const text = asText(use[key]) ?? '0';
  const number = Number(text);
  if (!Number.isInteger(number) || number < 0)
    throw new EngineError(
      'invalid-argument',
      `${key} of ${textOf(use['source'])} must be a number, not ${JSON.stringify(text)}`,
    );
  return number;
}

export function contentOf(project: Project, kind: string, name: string, source: Dict, only = false): Uint8Array {
  const what = kind === 'secrets' ? 'secret' : 'config';
  if (source['external'] === true || source['driver'] !== undefined)
    throw new EngineError(
      'unimplemented',
      `unsupported external ${what} ${name}: give it a file, an environment variable, or content`,
    );
  const variable = asText(source['environment']);
  if (variable !== undefined) {
    const value = project.environment.get(variable);
    if (value === undefined)
      throw new EngineError('not-found', `environment variable "${variable}" required by ${what} "${name}" is not set`);
    return Buffer.from(value);
  }
  const content = asText(source['content']);
  if (content !== undefined) return Buffer.from(content);
  const file = asText(source['file']);
  if (file === undefined)
    throw new EngineError(
      'invalid-argument',
      `${what} "${name}" has no source: give it a file, an environment variable, or content`,
    );
  try {
    if (only) fs.accessSync(file, fs.constants.R_OK);
    return only ? Buffer.alloc(0) : fs.readFileSync(file);
  } catch (error) {
    throw new EngineError('not-found', `the file of ${what} "${name}" cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function archiveOf(file: ServiceFile): AsyncIterable<Uint8Array> {
  const name = posix.normalize(file.target).replace(/^\/+/, '');
  const header = tarHeader({
    type: 'file',
    name,
    size: file.content.byteLength,
    mode: file.mode,
    uid: file.uid,
    gid: file.gid,
  });
  return writeTar([{ header, body: [file.content] }]);
}
