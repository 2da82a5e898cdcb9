import { readFileSync, statSync } from 'node:fs';
import { EngineError, errorMessage } from '../../base/errors.ts';
import { checkKeyPair, readCertificates } from '../../base/pem.ts';
import { RegistryClient } from '../client/registry-client.ts';
import { Access, type AccessOptions } from './access.ts';
import { parseHtpasswd, type Users } from './logins.ts';
import { Upstreams } from './upstreams.ts';
import { TokenVerifier } from './tokens.ts';
import { PullThrough } from './pull-through.ts';
import { Retention } from './retention.ts';
import { Metrics } from './metrics.ts';
import { Webhooks } from './webhooks.ts';
import { type BoundSocket, RegistryServer } from './registry-server.ts';
import { ImmutableTags, Quotas } from './policy.ts';
import type { Repositories, RepositoriesOptions } from './repositories.ts';
import { type AuthSettings, parseAddress, type RegistrySettings, type UpstreamSettings } from './settings.ts';

export interface ServeOptions {
  readonly repositories: Repositories;
  readonly audit?: ((line: string) => void) | undefined;
  readonly report: (message: string) => void;
  /** What is pushed is run here by its name: pushes without a login are for this machine alone. */
  readonly guardPushes?: boolean;
  /** Makes the sockets that listen. */
  readonly bound?: BoundSocket | undefined;
}

/** A registry that listens; closing it ends its requests and leaves what it serves alone. */
export interface ServedRegistry extends AsyncDisposable {
  /** `127.0.0.1:5000` */
  readonly address: string;
  close(options?: { graceMs?: number }): Promise<void>;
}

/** The file of users is looked at so often at most. */
const RELOAD_MS = 1000;
const CERTIFICATE_DIRECTORIES = ['/etc/gantry/certs.d', '/etc/docker/certs.d'];
const COLLECT_EVERY_MS = 3600_000;

/** Serves repositories as the settings say, and collects what is unused every hour. Throws `invalid-argument`, and what the system says of the address. */
export async function serveRegistry(
  settings: RegistrySettings,
  { repositories, audit, report, guardPushes = false, bound }: ServeOptions,
): Promise<ServedRegistry> {
  const { auth = {}, tls, maxBlobSize, deletes, upstreams } = settings;
  const address = parseAddress(settings.addr);
  const access = accessOptions(auth);
  const cache = upstreams?.length ? pullThrough(upstreams, { repositories, report }) : undefined;
  const webhooks = new Webhooks(settings.webhooks ?? [], { report, readSecret: fileText });
  const metrics = settings.metricsAddr === undefined ? undefined : new Metrics();
  const server = new RegistryServer({
    repositories,
    cache,
    metrics,
    limits: settings.limits,
    uploadUrl: settings.uploadUrl,
    events: (event) => webhooks.publish(event),
    access: new Access({
      ...access,
      readOnly: guardPushes && !access.users && !access.tokens && !settings.openPush && !isLoopback(address.host),
    }),
    tls: tls && readTls(tls),
    maxBlobBytes: maxBlobSize,
    deletes,
    audit,
    auditReads: settings.auditReads,
    report,
  });
  const { host, port } = await server.listen(address, bound);
  metrics?.add('open_uploads', 'Uploads that were begun and not ended.', () => server.openUploads);
  metrics?.add('webhook_waiting', 'Events that are to be delivered.', () => webhooks.waiting);
  metrics?.add('webhook_dropped_total', 'Events that were not delivered.', () => webhooks.dropped, 'counter');
  metrics?.add('resident_bytes', 'Memory of the process.', () => process.memoryUsage.rss());
  const metricsServer =
    settings.metricsAddr === undefined ? undefined : await metrics?.serve(parseAddress(settings.metricsAddr), bound);
  const retention = new Retention(settings.retention ?? []);
  let cleaning: Promise<void> | undefined;
  const clean = async (): Promise<void> => {
    for (const { repository, tag, manifest, why } of await retention.apply(repositories, { dryRun: false })) {
      report(`retention: deleted ${repository}${tag === undefined ? `@${manifest}` : `:${tag}`}: ${why}`);
    }
    await repositories.collect();
  };
  const timer = setInterval(() => {
    cleaning ??= clean()
      .catch((error: unknown) => report(`collection of what is unused: ${errorMessage(error)}`))
      .finally(() => (cleaning = undefined));
  }, COLLECT_EVERY_MS).unref();
  const close = async (options?: { graceMs?: number }): Promise<void> => {
    clearInterval(timer);
    metricsServer?.close();
    metricsServer?.closeAllConnections();
    await server.close(options);
    await cleaning;
    webhooks.close();
  };
  return {
    address: `${host.includes(':') ? `[${host}]` : host}:${port}`,
    close,
    [Symbol.asyncDispose]: () => close(),
  };
}

/** What the settings say of every change to a repository. */
export function repositoryPolicy(settings: Pick<RegistrySettings, 'immutableTags' | 'quotas'>): RepositoriesOptions {
  const { immutableTags, quotas } = settings;
  return {
    ...(immutableTags && { immutable: new ImmutableTags(immutableTags) }),
    ...(quotas && { quotas: new Quotas(quotas) }),
  };
}

function pullThrough(
  settings: readonly UpstreamSettings[],
  { repositories, report }: Pick<ServeOptions, 'repositories' | 'report'>,
): PullThrough {
  const client = new RegistryClient({
    insecure: settings.filter(({ insecure }) => insecure).map(({ registry }) => registry),
    certificateDirectories: CERTIFICATE_DIRECTORIES,
  });
  return new PullThrough({ repositories, upstreams: new Upstreams(client, settings, fileText), report });
}

function accessOptions(auth: AuthSettings): AccessOptions {
  const { htpasswd, anonymousPull, rules, groups, token } = auth;
  const users = htpasswd === undefined ? undefined : watchedUsers(htpasswd);
  if (!token) return { users, anonymousPull, rules, groups };
  const { service = 'gantry-registry', realm, keys, secretFile, lifeSeconds } = token;
  if ((keys === undefined) !== (realm === undefined)) {
    throw new EngineError(
      'invalid-argument',
      'auth.token.realm and auth.token.keys go together: a token service elsewhere',
    );
  }
  if (keys === undefined && !users) {
    throw new EngineError(
      'invalid-argument',
      'auth.token needs auth.htpasswd, or realm and keys of a service elsewhere',
    );
  }
  const issuer = token.issuer ?? service;
  const verifier = keys === undefined ? undefined : new TokenVerifier(fileText(keys));
  const secret = secretFile === undefined ? undefined : secretOf(secretFile);
  return { users, anonymousPull, rules, groups, tokens: { service, issuer, realm, verifier, secret, lifeSeconds } };
}

/** The users of a file, which is read again when it changed. A file that is broken then leaves those that there were. */
function watchedUsers(path: string): () => Users {
  let users: Users = parseHtpasswd(fileText(path));
  let read = statSync(path).mtimeMs;
  let looked = Date.now();
  return () => {
    if (Date.now() - looked < RELOAD_MS) return users;
    looked = Date.now();
    try {
      const { mtimeMs } = statSync(path);
      if (mtimeMs !== read) users = parseHtpasswd(fileText(path));
      read = mtimeMs;
    } catch {
      // It is being written, perhaps.
    }
    return users;
  };
}

function secretOf(path: string): Buffer {
  const text = fileText(path).trim();
  if (text.length < 32) {
    throw new EngineError(
      'invalid-argument',
      `${path} is too short for a secret: make it with \`openssl rand -hex 32\``,
    );
  }
  return Buffer.from(text);
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}

/** Throws `invalid-argument`, also for a key that is not the certificate's. */
function readTls(files: NonNullable<RegistrySettings['tls']>): { cert: string; key: string; ca: string | undefined } {
  const [cert, key] = [fileText(files.cert), fileText(files.key)];
  checkKeyPair({ path: files.cert, text: cert }, { path: files.key, text: key });
  const ca = files.clientCa ? fileText(files.clientCa) : undefined;
  if (ca !== undefined) readCertificates({ path: files.clientCa!, text: ca });
  return { cert, key, ca };
}

/** Throws `invalid-argument`. */
function fileText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new EngineError('invalid-argument', `cannot read ${path}: ${errorMessage(error)}`, { cause: error });
  }
}
