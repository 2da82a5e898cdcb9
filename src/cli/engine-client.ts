import fs from 'node:fs';
import { checkKeyPair, type PemFile, readCertificates } from '../base/pem.ts';
import { Client } from '../client/client.ts';
import { parseEndpoint, type TlsMaterial } from '../client/endpoint.ts';
import type { Cli } from './cli.ts';
import { CommandError } from './command.ts';
import { ContextStore, DEFAULT_CONTEXT } from './contexts.ts';
import { answers } from './socket-probe.ts';
import { VERSION } from '../base/version.ts';

/** Where the engine is, and why there. */
export interface Target {
  readonly context: string;
  readonly host: string;
  readonly tls?: TlsMaterial | undefined;
  /** Nothing was said about the host, so it is this machine's own engine. */
  readonly local: boolean;
}

/**
 * Which engine: `-H`, `--context`, GANTRY_HOST, DOCKER_HOST, DOCKER_CONTEXT, the context in use, this machine's own;
 * the first of these that is set.
 */
export function resolveTarget(cli: Cli): Target {
  const { env, globals } = cli;
  const hosts = globals.host;
  if (hosts.length > 1) throw new CommandError('specify only one -H');
  if (hosts.length === 1 && globals.context !== '') {
    throw new CommandError('conflicting options: cannot specify both --host and --context');
  }
  const host = hosts[0] ?? (globals.context === '' ? env['GANTRY_HOST'] || env['DOCKER_HOST'] : undefined);
  if (host) return { context: DEFAULT_CONTEXT, host, tls: tlsOf(cli), local: false };
  const name = globals.context || env['DOCKER_CONTEXT'] || cli.config.document.currentContext || DEFAULT_CONTEXT;
  if (name === DEFAULT_CONTEXT) return { context: name, host: localHost(cli), tls: tlsOf(cli), local: true };
  const store = new ContextStore(cli.configDirectory);
  const document = store.find(name);
  if (!document) {
    throw new CommandError(
      `Failed to initialize: unable to resolve docker endpoint: context "${name}": context not found: open ${store.metadataPath(name)}/meta.json: no such file or directory`,
    );
  }
  return {
    context: name,
    host: document.Endpoints.docker?.Host ?? localHost(cli),
    tls: store.tls(document),
    local: false,
  };
}

const SYSTEM_SOCKET = '/run/gantry/gantry.sock';

/**
 * The socket of this machine's own engine. For who is not root that is the engine of the user (docs/rootless.md), unless
 * there is none and the system's lets this user in.
 */
export function localHost(cli: Cli): string {
  if (cli.root) return `unix://${SYSTEM_SOCKET}`;
  const directory = cli.env['XDG_RUNTIME_DIR'];
  const own = `${directory ? directory : `${cli.env['HOME'] ?? ''}/.gantry/run`}/gantry/gantry.sock`;
  return `unix://${!fs.existsSync(own) && mayOpen(SYSTEM_SOCKET) ? SYSTEM_SOCKET : own}`;
}

function mayOpen(socket: string): boolean {
  try {
    fs.accessSync(socket, fs.constants.R_OK | fs.constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** A client for the engine that `resolveTarget` names; nothing is sent yet, except to find that the local engine must be started. */
export async function openClient(cli: Cli, options: { start: boolean } = { start: true }): Promise<Client> {
  const target = resolveTarget(cli);
  const endpoint = parseEndpoint(target.host, target.tls);
  const autostart = options.start && !cli.globals['no-autostart'] && !isSet(cli.env['GANTRY_NO_AUTOSTART']);
  if (autostart && target.local && endpoint.kind === 'unix') {
    // The system's is not a user's to start: the connection's error says what to do.
    const ours = cli.root || endpoint.path !== SYSTEM_SOCKET;
    if (ours && !(await answers(endpoint.path))) {
      const { logPath, startEngine } = await import('./autostart.ts');
      const log = logPath(cli);
      cli.warn(`Starting the gantry engine in the background (log: ${log}; GANTRY_NO_AUTOSTART=1 prevents this)`);
      await startEngine(cli, endpoint.path, log);
    }
  }
  return new Client({
    endpoint,
    apiVersion: cli.env['DOCKER_API_VERSION'] || undefined,
    headers: customHeaders(cli),
    userAgent: `gantry/${VERSION} (${process.platform})`,
  });
}

function tlsOf(cli: Cli): TlsMaterial | undefined {
  const { env, globals, given } = cli;
  const verify = given.has('tlsverify') ? globals.tlsverify : isSet(env['DOCKER_TLS_VERIFY']);
  if (!globals.tls && !verify && !isSet(env['DOCKER_TLS'])) return undefined;
  const folder = env['DOCKER_CERT_PATH'] || cli.configDirectory;
  const read = (flag: 'tlscacert' | 'tlscert' | 'tlskey', file: string): PemFile | undefined => {
    const path = globals[flag] || `${folder}/${file}`;
    try {
      return { path, text: fs.readFileSync(path, 'utf8') };
    } catch (error) {
      if (!given.has(flag) && (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw new CommandError(`could not read the TLS file ${path}: ${(error as Error).message}`);
    }
  };
  const ca = verify ? read('tlscacert', 'ca.pem') : undefined;
  const [cert, key] = [read('tlscert', 'cert.pem'), read('tlskey', 'key.pem')];
  if (ca) readCertificates(ca);
  if (cert && key) checkKeyPair(cert, key);
  return { ca: ca?.text, cert: cert?.text, key: key?.text, verify };
}

/** `HttpHeaders` of the configuration and DOCKER_CUSTOM_HEADERS (`name=value,name=value`). */
function customHeaders(cli: Cli): Record<string, string> {
  const headers: Record<string, string> = { ...cli.config.document.HttpHeaders };
  const text = cli.env['DOCKER_CUSTOM_HEADERS'];
  if (!text) return headers;
  for (const pair of text.split(',')) {
    const cut = pair.indexOf('=');
    if (cut <= 0)
      throw new CommandError(
        `failed to parse custom headers from DOCKER_CUSTOM_HEADERS: missing value in "${pair}" (expected NAME=VALUE)`,
      );
    headers[pair.slice(0, cut).trim()] = pair.slice(cut + 1);
  }
  return headers;
}

/** Go's reading of a switch in the environment: anything but the words for 'no'. */
export function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== '' && !['0', 'false', 'False', 'FALSE', 'f', 'F', 'no'].includes(value);
}
