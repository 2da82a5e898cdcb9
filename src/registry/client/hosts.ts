import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { getCACertificates } from 'node:tls';
import { EngineError } from '../../base/errors.ts';
import { DEFAULT_DOMAIN } from '../../oci/reference.ts';
import { hostOf, isInRanges, isLoopback } from './addresses.ts';
import type { TlsTrust } from './http.ts';

export interface RegistryHostsOptions {
  /** Hosts (`registry.lan`, `registry.lan:5000`) and ranges of addresses that may be spoken to without TLS. */
  readonly insecure?: readonly string[];
  /** For Docker Hub, tried in order before it. */
  readonly mirrors?: readonly string[];
  /** Each may have `<host>/*.crt` (authorities) and `<host>/*.cert` with `*.key` (what we show). */
  readonly certificateDirectories?: readonly string[];
}

/** One way to reach a registry. */
export interface RegistryHost {
  /** With a slash at its end. */
  readonly base: URL;
  readonly trust: TlsTrust;
  /** A copy of the registry: read only, and no credentials of the registry's are for it. */
  readonly mirror: boolean;
}

/** The address behind Docker Hub's name. */
const HUB = 'registry-1.docker.io';

/** Knows where registries are and whom to trust there. */
export class RegistryHosts {
  readonly #options: RegistryHostsOptions;
  #roots: string[] | undefined;

  constructor(options: RegistryHostsOptions = {}) {
    this.#options = options;
  }

  /** The ways to the registry itself, best first: plain HTTP comes last, and only where it is allowed. */
  async origins(domain: string): Promise<RegistryHost[]> {
    const host = domain === DEFAULT_DOMAIN ? HUB : domain;
    const insecure = this.#isInsecure(domain);
    const trust = await this.#trust(domain, !insecure);
    const schemes = insecure ? ['https', 'http'] : ['https'];
    return schemes.map((scheme) => ({ base: new URL(`${scheme}://${host}/`), trust, mirror: false }));
  }

  /** Copies of the registry, in the order they are to be asked. Throws `invalid-argument` for a setting that is no URL. */
  async mirrors(domain: string): Promise<RegistryHost[]> {
    if (domain !== DEFAULT_DOMAIN) return [];
    const mirrors: RegistryHost[] = [];
    for (const text of this.#options.mirrors ?? []) {
      const base = URL.parse(text.endsWith('/') ? text : `${text}/`);
      if (!base || !/^https?:$/.test(base.protocol)) {
        throw new EngineError('invalid-argument', `registry mirror ${text} is no http or https URL`);
      }
      mirrors.push({ base, trust: await this.#trust(base.host, !this.#isInsecure(base.host)), mirror: true });
    }
    return mirrors;
  }

  #isInsecure(domain: string): boolean {
    const { insecure = [] } = this.#options;
    const host = hostOf(domain);
    return insecure.includes(domain) || insecure.includes(host) || isLoopback(host) || isInRanges(host, insecure);
  }

  async #trust(domain: string, verify: boolean): Promise<TlsTrust> {
    // Of the host's own store too: whoever runs a private authority has put it there.
    this.#roots ??= [...new Set([...getCACertificates('default'), ...getCACertificates('system')])];
    const ca = [...this.#roots];
    let client: { cert: string; key: string } | undefined;
    for (const directory of this.#options.certificateDirectories ?? []) {
      const folder = join(directory, domain);
      for (const name of await filesOf(folder)) {
        if (name.endsWith('.crt')) ca.push(await readFile(join(folder, name), 'utf8'));
        if (!name.endsWith('.cert')) continue;
        client ??= {
          cert: await readFile(join(folder, name), 'utf8'),
          key: await readFile(join(folder, `${name.slice(0, -'.cert'.length)}.key`), 'utf8'),
        };
      }
    }
    return { ca, verify, ...client };
  }
}

async function filesOf(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).sort();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}
