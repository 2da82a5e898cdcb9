import { DEFAULT_DOMAIN, familiarRepository, parseReference } from '../../oci/reference.ts';

/**
 * Which repository of the engine a path of the served registry means: `app` is `docker.io/library/app` as on the command
 * line, `ghcr.io/team/app` is what it says.
 */
export function canonicalRepository(path: string): string {
  return parseReference(path).repository;
}

/**
 * The path of a repository of the engine; undefined for those that no path can name: registries with a port, unless it is
 * one of `own`, the names of this registry itself.
 */
export function servedPath(repository: string, own: ReadonlySet<string>): string | undefined {
  const slash = repository.indexOf('/');
  const reference = { domain: repository.slice(0, slash), path: repository.slice(slash + 1) };
  if (own.has(reference.domain)) return reference.path;
  if (reference.domain !== DEFAULT_DOMAIN && !/^[a-z0-9.-]+$/.test(reference.domain)) return undefined;
  return familiarRepository(reference);
}
