import { spawn } from 'node:child_process';
import type { AuthConfig } from '../api/auth.ts';
import { parseReference } from '../oci/reference.ts';
import type { Cli } from './cli.ts';
import { CommandError } from './command.ts';

export const DOCKER_HUB = 'https://index.docker.io/v1/';

/** `X-Registry-Auth` for the registry that an image's name points to. */
export async function authHeaderFor(cli: Cli, image: string): Promise<string> {
  return encodeAuth(await credentialsFor(cli, registryOf(image)));
}

/** The key under which a registry's credentials are kept: its host, and an address of old for Docker Hub. */
export function registryOf(image: string): string {
  const { domain } = parseReference(image);
  return domain === 'docker.io' ? DOCKER_HUB : domain;
}

export function encodeAuth(auth: AuthConfig): string {
  return Buffer.from(JSON.stringify(auth)).toString('base64url');
}

/** The credentials kept for a registry; empty when there are none. */
export async function credentialsFor(cli: Cli, registry: string): Promise<AuthConfig> {
  const { document } = cli.config;
  const helper = document.credHelpers?.[registry] ?? document.credsStore;
  if (helper !== undefined && helper !== '') {
    const found = await withoutMissingHelper(cli, () => runHelper(helper, 'get', registry));
    if (found !== undefined) {
      const { Username, Secret } = JSON.parse(found) as { Username: string; Secret: string };
      return Username === '<token>'
        ? { identitytoken: Secret, serveraddress: registry }
        : { username: Username, password: Secret, serveraddress: registry };
    }
  }
  const kept =
    document.auths?.[registry] ??
    document.auths?.[`https://${registry}`] ??
    document.auths?.[`https://${registry}/v1/`];
  return kept === undefined ? {} : decodeKept(kept, registry);
}

/** Settings that were copied from another machine name its helper; what is public can be had all the same. */
async function withoutMissingHelper(cli: Cli, get: () => Promise<string | undefined>): Promise<string | undefined> {
  try {
    return await get();
  } catch (error) {
    if (!(error instanceof MissingHelperError)) throw error;
    cli.warn(`WARNING: ${error.message}: going on without its credentials`);
    return undefined;
  }
}

/** All that is kept, for builds. */
export async function allCredentials(cli: Cli): Promise<Record<string, AuthConfig>> {
  const { document } = cli.config;
  const registries = new Set([...Object.keys(document.auths ?? {}), ...Object.keys(document.credHelpers ?? {})]);
  const found = await Promise.all(
    [...registries].map(async (registry) => [registry, await credentialsFor(cli, registry)] as const),
  );
  return Object.fromEntries(found);
}

/** All that is kept as a client's `config.json`, without helpers: for who has no access to them. */
export async function clientConfig(cli: Cli): Promise<string> {
  const kept = Object.entries(await allCredentials(cli)).map(([registry, auth]) => [registry, encodeKept(auth)]);
  return JSON.stringify({ auths: Object.fromEntries(kept) }, undefined, '\t');
}

/** Keeps credentials. Gives where. */
export async function storeCredentials(cli: Cli, registry: string, auth: AuthConfig): Promise<'helper' | 'file'> {
  const { document } = cli.config;
  const helper = document.credHelpers?.[registry] ?? document.credsStore;
  if (helper !== undefined && helper !== '') {
    const secret = auth.identitytoken
      ? { Username: '<token>', Secret: auth.identitytoken }
      : { Username: auth.username, Secret: auth.password };
    await runHelper(helper, 'store', JSON.stringify({ ServerURL: registry, ...secret }));
    cli.config.write({ auths: { ...document.auths, [registry]: {} } });
    return 'helper';
  }
  cli.config.write({ auths: { ...document.auths, [registry]: encodeKept(auth) } });
  return 'file';
}

/** Forgets them. Nothing happens when there are none. */
export async function eraseCredentials(cli: Cli, registry: string): Promise<void> {
  const { document } = cli.config;
  const helper = document.credHelpers?.[registry] ?? document.credsStore;
  if (helper !== undefined && helper !== '') await runHelper(helper, 'erase', registry);
  if (document.auths?.[registry] === undefined) return;
  cli.config.write({ auths: Object.fromEntries(Object.entries(document.auths).filter(([name]) => name !== registry)) });
}

function encodeKept(auth: AuthConfig): AuthConfig {
  const { username = '', password = '', identitytoken, registrytoken } = auth;
  const encoded = (text: string): string => Buffer.from(text).toString('base64');
  if (identitytoken) return { auth: encoded(`${username}:`), identitytoken };
  if (registrytoken && username === '') return { registrytoken };
  return { auth: encoded(`${username}:${password}`) };
}

function decodeKept(kept: AuthConfig, registry: string): AuthConfig {
  const text = Buffer.from(kept.auth ?? '', 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return {
    ...(colon > 0 ? { username: text.slice(0, colon), password: text.slice(colon + 1).replace(/\0+$/, '') } : {}),
    ...(kept.username === undefined ? {} : { username: kept.username }),
    ...(kept.password === undefined ? {} : { password: kept.password }),
    ...(kept.identitytoken === undefined ? {} : { identitytoken: kept.identitytoken }),
    ...(kept.registrytoken === undefined ? {} : { registrytoken: kept.registrytoken }),
    serveraddress: registry,
  };
}

class MissingHelperError extends CommandError {}

/** Speaks the credential helpers' protocol; undefined when the helper knows nothing of the registry. */
async function runHelper(name: string, action: 'get' | 'store' | 'erase', input: string): Promise<string | undefined> {
  if (!/^[\w.-]+$/.test(name))
    throw new CommandError(`the name of the credential helper ${JSON.stringify(name)} is not valid`);
  const program = `docker-credential-${name}`;
  const child = spawn(program, [action], { stdio: ['pipe', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stdin.on('error', () => {}); // a helper may answer without reading
  child.stdin.end(input);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'ENOENT'
          ? new MissingHelperError(
              `error getting credentials - err: exec: "${program}": executable file not found in $PATH`,
            )
          : new CommandError(`error getting credentials - ${error.message}`),
      ),
    );
    child.once('close', resolve);
  });
  if (code === 0) return output;
  if (/credentials not found/.test(output) || action === 'erase') return undefined;
  throw new CommandError(`error getting credentials - ${program} ${action}: ${output.trim()}`);
}
