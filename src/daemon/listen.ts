import { chmodSync, chownSync, lstatSync, mkdirSync, readFileSync, unlinkSync } from 'node:fs';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { EngineError, errorMessage } from '../base/errors.ts';
import { checkKeyPair, type PemFile, readCertificates } from '../base/pem.ts';
import type { HostSockets } from '../linux/host-sockets.ts';
import { socketOwner } from '../linux/socket-owner.ts';
import type { TlsConfig } from './config.ts';
import type { InheritedSocket } from './inherited-sockets.ts';
import { isLoopback, type ListenAddress } from './listen-address.ts';
import type { Logger } from './log.ts';
import type { ApiServer } from './server.ts';

export interface ListenOptions {
  readonly tls: TlsConfig | undefined;
  readonly allowPlainTcp: boolean;
  readonly allowAnyTls?: boolean;
  readonly group: string | undefined;
  readonly log: Logger;
  readonly inherited: readonly InheritedSocket[];
  /** Makes sockets of the host, when this process is not in the host's network. */
  readonly host?: HostSockets | undefined;
}

/** Opens every address, or none. Throws `conflict` when somebody else listens there, `invalid-argument`. */
export async function listen(
  api: ApiServer,
  addresses: readonly ListenAddress[],
  options: ListenOptions,
): Promise<void> {
  for (const address of addresses) {
    if (address.kind === 'unix') await listenUnix(api, address.path, options);
    else if (address.kind === 'tcp') await listenTcp(api, address, options);
    else await listenInherited(api, address.name, options);
  }
}

/** Finds early what `listen` would refuse late: sockets that another daemon answers on. Throws `conflict`. */
export async function refuseLiveSockets(addresses: readonly ListenAddress[]): Promise<void> {
  for (const address of addresses) if (address.kind === 'unix') await removeStale(address.path);
}

async function listenUnix(api: ApiServer, path: string, { group, log, host }: ListenOptions): Promise<void> {
  await openSocket(api.server({ plainTcp: false, hostNames: [] }), path, 0o600);
  if (host) {
    // an engine of one user is for that user
    if (group !== undefined) log.warn(`the socket is not given to the group ${group}: this engine runs without root`);
    log.info(`API listen on ${path}`);
    return;
  }
  const gid = groupId(group ?? 'docker');
  if (gid === undefined && group !== undefined) log.warn(`no group ${group}: the socket is root's alone`);
  if (gid !== undefined) chownSync(path, -1, gid);
  chmodSync(path, 0o660);
  log.info(`API listen on ${path}`);
}

/** Throws `conflict` when somebody else listens there, `invalid-argument`. */
export async function openSocket(server: Server, path: string, mode: number): Promise<void> {
  // The longest path that fits a socket address.
  if (Buffer.byteLength(path) > 107) {
    throw new EngineError('invalid-argument', `the socket's path is longer than 107 bytes: ${path}`);
  }
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  await removeStale(path);
  // Nobody else can connect between its making and the right mode.
  const before = process.umask(0o177);
  try {
    await opened(server, { path }, `unix://${path}`);
  } finally {
    process.umask(before);
  }
  chmodSync(path, mode);
}

/** A socket that nobody answers on any more is in the way; one that somebody answers on is not ours to take. */
async function removeStale(path: string): Promise<void> {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (!status) return;
  if (!status.isSocket())
    throw new EngineError('conflict', `${path} exists and is no socket: remove it, or choose another --host`);
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const probe = connect(path, () => resolve(true));
  probe.on('error', (error: NodeJS.ErrnoException) =>
    resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
  );
  const alive = await promise;
  probe.destroy();
  if (alive) {
    throw new EngineError('conflict', `${path} is in use${holder(path)}: stop that daemon, or choose another --host`);
  }
  unlinkSync(path);
}

function holder(path: string): string {
  const owner = socketOwner(path);
  return owner ? ` by process ${owner.pid} (${owner.command})` : '';
}

async function listenTcp(
  api: ApiServer,
  { host, port }: { host: string; port: number },
  { tls, allowPlainTcp, allowAnyTls, log, host: hostSockets }: ListenOptions,
): Promise<void> {
  const shown = `tcp://${host.includes(':') ? `[${host}]` : host}:${port}`;
  if (!tls && !allowPlainTcp) {
    if (!isLoopback(host)) {
      throw new EngineError(
        'invalid-argument',
        `refusing to listen on ${shown} without TLS: whoever reaches it is root on this host. Use --tlsverify, or say --tls=false to do it all the same`,
      );
    }
    log.warn(`${shown} is open to every user and program of this host, without any check: they can become root`);
  } else if (!tls) {
    log.warn(`${shown} is open without TLS: whoever reaches it is root on this host`);
  }
  const anonymous = tls !== undefined && tls.clientCaFile === undefined && !isLoopback(host);
  if (anonymous && allowAnyTls) log.warn(`${shown} is open to any client: whoever reaches it is root on this host`);
  else if (anonymous) {
    log.info(
      `${shown} takes only tokens of scopes: clients have no certificates there. Use --tlsverify for those, or say --tlsverify=false to let anyone in`,
    );
  }
  const server = api.server({
    plainTcp: !tls,
    tokensOnly: anonymous && !allowAnyTls,
    hostNames: [host.toLowerCase()],
    ...(tls ? { tls: tlsOptions(tls) } : {}),
  });
  await opened(
    server,
    hostSockets ? { fd: await hostSocket(hostSockets, { host, port }, shown) } : { host, port },
    shown,
  );
  log.info(`API listen on ${shown}`);
}

function tlsOptions(tls: TlsConfig): NonNullable<Parameters<ApiServer['server']>[0]['tls']> {
  const read = (path: string): PemFile => {
    try {
      return { path, text: readFileSync(path, 'utf8') };
    } catch (error) {
      throw new EngineError('invalid-argument', `TLS: ${errorMessage(error)}`, { cause: error });
    }
  };
  const [cert, key] = [read(tls.certificateFile), read(tls.keyFile)];
  checkKeyPair(cert, key);
  const ca = tls.clientCaFile === undefined ? undefined : read(tls.clientCaFile);
  if (ca) readCertificates(ca);
  return {
    cert: cert.text,
    key: key.text,
    minVersion: 'TLSv1.2',
    ...(ca && { ca: ca.text, requestCert: true, rejectUnauthorized: true }),
  };
}

async function listenInherited(api: ApiServer, name: string, { inherited, log }: ListenOptions): Promise<void> {
  const chosen = inherited.filter((socket) => name === '' || socket.name === name || String(socket.fd) === name);
  if (chosen.length === 0) {
    throw new EngineError(
      'invalid-argument',
      `no sockets found via socket activation${name === '' ? '' : ` (${name})`}: make sure the service was started by its socket unit`,
    );
  }
  for (const { fd } of chosen) {
    await opened(api.server({ plainTcp: false, hostNames: [] }), { fd }, `fd://${fd}`);
    log.info(`API listen on fd ${fd}`);
  }
}

async function opened(
  server: Server,
  target: { path: string } | { host: string; port: number } | { fd: number },
  shown: string,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', (error: NodeJS.ErrnoException) =>
    reject(
      new EngineError(
        error.code === 'EADDRINUSE' ? 'conflict' : 'invalid-argument',
        `cannot listen on ${shown}: ${error.code === 'EADDRINUSE' ? 'the address is in use' : error.message}`,
        { cause: error },
      ),
    ),
  );
  server.listen(target, resolve);
  await promise;
}

async function hostSocket(
  sockets: HostSockets,
  { host, port }: { host: string; port: number },
  shown: string,
): Promise<number> {
  try {
    return await sockets.listening(host, port);
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    throw new EngineError(
      code === 'EADDRINUSE' ? 'conflict' : 'invalid-argument',
      `cannot listen on ${shown}: ${code === 'EADDRINUSE' ? 'the address is in use' : errorMessage(error)}`,
      { cause: error },
    );
  }
}

function groupId(name: string): number | undefined {
  if (/^\d+$/.test(name)) return Number(name);
  try {
    const line = readFileSync('/etc/group', 'utf8')
      .split('\n')
      .find((entry) => entry.startsWith(`${name}:`));
    return line === undefined ? undefined : Number(line.split(':')[2]);
  } catch {
    return undefined;
  }
}
