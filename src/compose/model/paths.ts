import { isAbsolute, join, resolve } from 'node:path';
import { asText, type Dict, isDict, textOf } from './value.ts';

export interface PathBase {
  readonly directory: string;
  readonly home: string | undefined;
}

/** Makes a tree's relative paths absolute, below `directory`. Idempotent. Changes the tree. */
export function resolvePaths(tree: Dict, base: PathBase): void {
  const services = tree['services'];
  if (isDict(services))
    for (const service of Object.values(services)) if (isDict(service)) resolveServicePaths(service, base);
  for (const kind of ['secrets', 'configs']) {
    const all = tree[kind];
    if (isDict(all)) for (const item of Object.values(all)) if (isDict(item)) absolute(item, 'file', base);
  }
  const volumes = tree['volumes'];
  if (isDict(volumes))
    for (const volume of Object.values(volumes)) {
      const options = isDict(volume) ? volume['driver_opts'] : undefined;
      if (isDict(options) && asText(options['o'])?.split(',').includes('bind')) absolute(options, 'device', base);
    }
}

export function resolveServicePaths(service: Dict, base: PathBase): void {
  const build = service['build'];
  if (isDict(build)) {
    if (!isRemote(asText(build['context']) ?? '.')) {
      absolute(build, 'context', base);
    }
    const contexts = build['additional_contexts'];
    if (isDict(contexts))
      for (const key of Object.keys(contexts))
        if (!isRemote(asText(contexts[key]) ?? '')) absolute(contexts, key, base);
  }
  for (const item of lists(service, 'env_file')) absolute(item, 'path', base);
  for (const item of lists(service, 'volumes')) if (item['type'] === 'bind') absolute(item, 'source', base);
  const labels = service['label_file'];
  if (Array.isArray(labels)) service['label_file'] = labels.map((path) => toAbsolute(textOf(path), base));
  const develop = service['develop'];
  if (isDict(develop)) for (const item of lists(develop, 'watch')) absolute(item, 'path', base);
  const extended = service['extends'];
  if (isDict(extended) && extended['file'] !== undefined) absolute(extended, 'file', base);
}

export function toAbsolute(path: string, base: PathBase): string {
  if (path === '~' || path.startsWith('~/')) return join(base.home ?? '/', path.slice(1));
  return isAbsolute(path) ? (path.length > 1 ? path.replace(/\/+$/, '') : path) : resolve(base.directory, path);
}

/** What the engine or a builder fetches by itself: repositories, archives on the web, images, other services. */
export function isRemote(context: string): boolean {
  return /^(https?:\/\/|git:\/\/|ssh:\/\/|git@|github\.com\/|docker-image:\/\/|service:|oci-layout:\/\/|target:)/.test(
    context,
  );
}

function lists(target: Dict, key: string): Dict[] {
  const value = target[key];
  return Array.isArray(value) ? value.filter((item) => isDict(item)) : [];
}

function absolute(target: Dict, key: string, base: PathBase): void {
  const text = asText(target[key]);
  if (text !== undefined) target[key] = toAbsolute(text, base);
}
