import type { Reference } from '../oci/reference.ts';
import { familiarName, parseReference, withDefaultTag } from '../oci/reference.ts';
import type { RegistryCredentials } from '../registry/client/authorizer.ts';
import { RegistryClient } from '../registry/client/registry-client.ts';
import type { RemoteManifest, RemoteRepository } from '../registry/client/remote-repository.ts';
import type { Cli } from './cli.ts';
import { CommandError } from './command.ts';
import { credentialsFor, registryOf } from './credentials.ts';

/** Where `hosts.toml` and certificates of registries are, as for the engine. */
const CONFIG_DIRECTORIES = ['/etc/gantry/certs.d', '/etc/docker/certs.d'];

/** Registries as the command line sees them, without an engine: for what has no image on this machine. */
export class Remote implements Disposable {
  readonly #cli: Cli;
  readonly #client: RegistryClient;

  /** @param insecure names whose registries may be spoken to without TLS */
  constructor(cli: Cli, options: { insecure?: readonly string[] } = {}) {
    this.#cli = cli;
    this.#client = new RegistryClient({
      insecure: (options.insecure ?? []).map((name) => parseReference(name).domain),
      certificateDirectories: CONFIG_DIRECTORIES,
    });
  }

  /** Of the registry itself. */
  async repository(reference: Pick<Reference, 'domain' | 'path' | 'repository'>): Promise<RemoteRepository> {
    const credentials = await this.#credentials(reference);
    return this.#client.repository(reference, { credentials, purpose: 'push' });
  }

  /** The manifest or index of a name, from a mirror where one has it, and the repository it came from. Throws `not-found`. */
  async manifest(reference: Reference): Promise<RemoteManifest & { readonly repository: RemoteRepository }> {
    const { tag, digest } = withDefaultTag(reference);
    let failure: unknown;
    const credentials = await this.#credentials(reference);
    for await (const repository of this.#client.sources(reference, { credentials })) {
      try {
        return { ...(await repository.manifest(digest ?? tag!)), repository };
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  /** Repositories of a registry with their tags, for people to look at: at most `limit` of them. */
  async catalog(domain: string, limit: number): Promise<{ readonly name: string; readonly tags: readonly string[] }[]> {
    const credentials = await this.#credentials({ repository: `${domain}/catalog` });
    const names = await this.#client.catalog(domain, { credentials, limit });
    const found: { name: string; tags: readonly string[] }[] = [];
    for (const name of names) {
      const reference = parseReference(`${domain}/${name}`);
      const repository = await this.#client.repository(reference, { credentials });
      found.push({ name, tags: await repository.tags().catch(() => []) });
    }
    return found;
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }

  async #credentials({ repository }: Pick<Reference, 'repository'>): Promise<RegistryCredentials> {
    const kept = await credentialsFor(this.#cli, registryOf(repository));
    return {
      username: kept.username,
      password: kept.password,
      identityToken: kept.identitytoken,
      registryToken: kept.registrytoken,
    };
  }
}

/** A name with its tag. Throws a CommandError for what is none. */
export function namedReference(text: string): Reference {
  try {
    return withDefaultTag(parseReference(text));
  } catch (error) {
    throw new CommandError((error as Error).message, 1, { cause: error });
  }
}

/** `docker.io/library/nginx:1.23`, or `nginx:1.23` where that is asked for. */
export function shownName(reference: Reference, form: 'full' | 'familiar' = 'full'): string {
  if (form === 'familiar') return familiarName(reference);
  const { repository, tag, digest } = reference;
  return `${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}
