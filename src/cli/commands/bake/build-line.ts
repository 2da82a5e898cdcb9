import fs from 'node:fs';
import { isAbsolute, join } from 'node:path';
import type { BakeTarget } from '../../../bake/targets.ts';
import { list, toText, type Value } from '../../../bake/expression.ts';
import { CommandError } from '../../command.ts';

/** The command line of `build` that makes a target. `images` are targets that were built, by their names; a Dockerfile in the bake file becomes one in `directory`. */
export function buildLine(
  { name, attributes, linked }: BakeTarget,
  { images, directory }: { readonly images: ReadonlyMap<string, string>; readonly directory: string },
): readonly string[] {
  const words: string[] = [];
  const text = (key: string): string | undefined => {
    const value = attributes[key];
    return value === undefined || value === null ? undefined : toText(value);
  };
  const add = (flag: string, value: string | undefined): void => {
    if (value !== undefined && value !== '') words.push(`--${flag}=${value}`);
  };
  const each = (flag: string, key: string): void => {
    for (const value of list(attributes[key] ?? [])) add(flag, option(value));
  };
  const pairs = (flag: string, key: string, separator = '='): void => {
    for (const [member, value] of Object.entries((attributes[key] ?? {}) as Record<string, Value>))
      if (value !== null) words.push(`--${flag}=${member}${separator}${toText(value)}`);
  };
  const context = localPath(text('context') ?? '.');
  const inline = text('dockerfile-inline');
  const dockerfile = text('dockerfile');
  if (inline !== undefined) {
    const place = join(directory, `${name}.Dockerfile`);
    fs.writeFileSync(place, inline);
    words.push(`--file=${place}`);
  }
  if (inline === undefined && dockerfile !== undefined)
    // A Dockerfile is looked for in the context, not here.
    add(
      'file',
      isAbsolute(dockerfile) || isRemote(context)
        ? dockerfile
        : dockerfile.startsWith('cwd://')
          ? localPath(dockerfile)
          : join(context, dockerfile),
    );
  pairs('build-arg', 'args');
  pairs('label', 'labels');
  pairs('add-host', 'extra-hosts', ':');
  for (const [member, value] of Object.entries((attributes['contexts'] ?? {}) as Record<string, Value>)) {
    const source = toText(value);
    const other = /^target:(.+)$/.exec(source)?.[1];
    const image = other === undefined ? undefined : images.get(other);
    if (other !== undefined && image === undefined)
      throw new CommandError(`the target ${name} needs ${other}, which was not built`);
    words.push(`--build-context=${member}=${image === undefined ? source : `docker-image://${image}`}`);
  }
  each('tag', 'tags');
  each('cache-from', 'cache-from');
  each('cache-to', 'cache-to');
  each('secret', 'secret');
  each('ssh', 'ssh');
  if (!linked) each('output', 'output');
  each('attest', 'attest');
  each('annotation', 'annotations');
  each('ulimit', 'ulimits');
  each('no-cache-filter', 'no-cache-filter');
  add('target', text('target'));
  add('network', text('network'));
  add('shm-size', text('shm-size'));
  add('call', text('call'));
  const platforms = list(attributes['platforms'] ?? []).map(toText);
  if (platforms.length > 0) words.push(`--platform=${platforms.join(',')}`);
  for (const key of ['pull', 'no-cache', 'push', 'load']) if (attributes[key] === true) words.push(`--${key}`);
  each('allow', 'entitlements');
  return [...words, '--', context];
}

/** `type=registry,ref=…` as text or as an object. */
function option(value: Value): string {
  if (typeof value !== 'object' || value === null) return toText(value as string);
  return Object.entries(value as Record<string, Value>)
    .map(([key, one]) => `${key}=${toText(one)}`)
    .join(',');
}

function localPath(path: string): string {
  return path.startsWith('cwd://') ? join(process.cwd(), path.slice('cwd://'.length)) : path;
}

function isRemote(path: string): boolean {
  return /^(?:https?:\/\/|git:\/\/|git@|ssh:\/\/)/.test(path) || path === '-';
}
