import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { getCACertificates } from 'node:tls';
import { EngineError } from '../../base/errors.ts';
import { checkKeyPair, readCertificates } from '../../base/pem.ts';
import { DEFAULT_DOMAIN } from '../../oci/reference.ts';
import { hostOf, isInRanges, isLoopback } from './addresses.ts';
import { type Capability, type HostEntry, hostFolders, type HostsFile, readHostsFile } from './hosts-file.ts';
import { CommonTrust, type TlsTrust } from './http.ts';

export interface RegistryHostsOptions {
  /** Hosts (`registry.lan`, `registry.lan:5000`) and ranges of addresses that may be spoken to without TLS. */
  readonly insecure?: readonly string[];
  /** For Docker Hub, tried in order before it. */
  readonly mirrors?: readonly string[];
  /** Each may have `<host>/hosts.toml`, `<host>/*.crt` (authorities) and `<host>/*.cert` with `*.key` (what we show). */
  readonly certificateDirectories?: readonly string[];
}

/** One way to reach a registry. */
export interface RegistryHost {
  /** With a slash at its end. */
  readonly base: URL;
  readonly trust: TlsTrust;
  /** A copy of the registry: read only, and no credentials of the registry's are for it. */
  readonly mirror: boolean;
  /** `base` is what stands in front of a repository's name: `v2/` is not put there. */
  readonly overridePath?: boolean;
  /** Sent with every request to `base`'s origin. */
  readonly headers?: Readonly<Record<string, string>>;
  /** For whom a mirror is asked: it may have copies of several registries. */
  readonly namespace?: string;
  readonly timeoutMs?: number | undefined;
}

/** The address behind Docker Hub's name. */
const HUB = 'registry-1.docker.io';

/** Knows where registries are and whom to trust there. */
export class RegistryHosts {
  readonly #options: RegistryHostsOptions;
  #common: CommonTrust | undefined;

  constructor(options: RegistryHostsOptions = {}) {
    this.#options = options;
  }

  /**
   * The ways to the registry itself, best first: plain HTTP comes last, and only where it is allowed. For `push` those
   * come before it that a `hosts.toml` names for it.
   */
  async origins(domain: string, purpose?: 'push'): Promise<RegistryHost[]> {
    const file = await this.#file(domain);
    if (purpose === 'push') {
      const target = file?.hosts.find(({ capabilities }) => capabilities.has('push'));
      if (target) return [await this.#entry(target, domain, { mirror: false })];
    }
    if (file?.server) return [await this.#entry(file.server, domain, { mirror: false })];
    const host = domain === DEFAULT_DOMAIN ? HUB : domain;
    const insecure = this.#isInsecure(domain);
    const trust = await this.#trust(domain, !insecure);
    const schemes = insecure ? ['https', 'http'] : ['https'];
    return schemes.map((scheme) => ({ base: new URL(`${scheme}://${host}/`), trust, mirror: false }));
  }

  /**
   * Copies of the registry, in the order they are to be asked: those of its `hosts.toml`, then for Docker Hub those of the
   * setting. Throws `invalid-argument` for what is no URL.
   */
  async mirrors(domain: string, needed: readonly Capability[]): Promise<RegistryHost[]> {
    const mirrors: RegistryHost[] = [];
    for (const entry of (await this.#file(domain))?.hosts ?? []) {
      if (!needed.every((capability) => entry.capabilities.has(capability))) continue;
      mirrors.push(await this.#entry(entry, domain, { mirror: true }));
    }
    for (const text of domain === DEFAULT_DOMAIN ? (this.#options.mirrors ?? []) : []) {
      const base = URL.parse(text.endsWith('/') ? text : `${text}/`);
      if (!base || !/^https?:$/.test(base.protocol)) {
        throw new EngineError('invalid-argument', `registry mirror ${text} is no http or https URL`);
      }
      mirrors.push({ base, trust: await this.#trust(base.host, !this.#isInsecure(base.host)), mirror: true });
    }
    return mirrors;
  }

  async #file(domain: string): Promise<HostsFile | undefined> {
    return readHostsFile(this.#options.certificateDirectories ?? [], domain);
  }

  async #entry(entry: HostEntry, domain: string, { mirror }: { mirror: boolean }): Promise<RegistryHost> {
    // Whoever names an authority means it, also for this machine's own addresses.
    const verify = !entry.skipVerify && (entry.ca.length > 0 || !this.#isInsecure(entry.url.host));
    const trust = await this.#trust(entry.url.host, verify);
    const [pair] = entry.client;
    const client = pair && (await readPair(pair[0], pair[1] ?? pair[0]));
    const ca = [...(trust.ca ?? []), ...(await Promise.all(entry.ca.map(readAuthorities)))];
    return {
      base: entry.url,
      trust: { ...trust, ca, ...client },
      mirror,
      overridePath: entry.overridePath,
      headers: entry.headers,
      ...(mirror && entry.url.host !== domain && { namespace: domain }),
      timeoutMs: entry.timeoutMs,
    };
  }

  #isInsecure(domain: string): boolean {
    const { insecure = [] } = this.#options;
    const host = hostOf(domain);
    return insecure.includes(domain) || insecure.includes(host) || isLoopback(host) || isInRanges(host, insecure);
  }

  async #trust(domain: string, verify: boolean): Promise<TlsTrust> {
    // Of the host's own store too: whoever runs a private authority has put it there.
    if (verify) {
      this.#common ??= new CommonTrust([...new Set([...getCACertificates('default'), ...getCACertificates('system')])]);
    }
    const ca: string[] = [];
    let client: { cert: string; key: string } | undefined;
    const folders = (this.#options.certificateDirectories ?? []).flatMap((directory) => hostFolders(directory, domain));
    for (const folder of folders) {
      for (const name of await filesOf(folder)) {
        if (name.endsWith('.crt')) ca.push(await readAuthorities(join(folder, name)));
        if (!name.endsWith('.cert')) continue;
        client ??= await readPair(join(folder, name), join(folder, `${name.slice(0, -'.cert'.length)}.key`));
      }
    }
    return { common: verify ? this.#common : undefined, ca, verify, ...client };
  }
}

async function readAuthorities(path: string): Promise<string> {
  const text = await readPem(path);
  readCertificates({ path, text });
  return text;
}

async function readPair(certificate: string, keyFile: string): Promise<{ cert: string; key: string }> {
  const [cert, key] = [await readPem(certificate), await readPem(keyFile)];
  checkKeyPair({ path: certificate, text: cert }, { path: keyFile, text: key });
  return { cert, key };
}

async function readPem(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new EngineError('invalid-argument', `cannot read ${path}: ${(error as Error).message}`, { cause: error });
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
