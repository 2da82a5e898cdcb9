import type { AuthConfig } from '../../api/auth.ts';
import { parseReference } from '../../oci/reference.ts';
import type { ClientSession } from '../session/client-session.ts';

/** Docker Hub is asked for by another name than its images have. */
const ASKED: Readonly<Record<string, string>> = { 'docker.io': 'registry-1.docker.io' };

/**
 * Credentials of the client for the registries of these images. The client is asked only for registries that the build
 * will talk to: its helpers may ask a person.
 */
export async function registryAuth(
  session: ClientSession,
  images: readonly string[],
  signal: AbortSignal,
): Promise<Record<string, AuthConfig>> {
  const domains = new Set(images.map(domainOf).filter((domain) => domain !== undefined));
  const found = await Promise.all(
    [...domains].map(async (domain): Promise<[string, AuthConfig] | undefined> => {
      const given = await session.credentials(ASKED[domain] ?? domain, signal);
      if (!given) return undefined;
      const { username, secret } = given;
      // A token without a name is what `docker login` keeps of a single sign-on.
      return [domain, username === '' ? { identitytoken: secret } : { username, password: secret }];
    }),
  );
  return Object.fromEntries(found.filter((pair) => pair !== undefined));
}

function domainOf(image: string): string | undefined {
  try {
    return parseReference(image).domain;
  } catch {
    // No image, or one with variables: it is refused or resolved elsewhere.
    return undefined;
  }
}
