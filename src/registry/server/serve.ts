import { readFileSync } from 'node:fs';
import { EngineError, errorMessage } from '../../base/errors.ts';
import { Access, parseHtpasswd } from './access.ts';
import { RegistryServer } from './registry-server.ts';
import type { Repositories } from './repositories.ts';
import { parseAddress, type RegistrySettings } from './settings.ts';

export interface ServeOptions {
  readonly repositories: Repositories;
  readonly audit?: ((line: string) => void) | undefined;
  readonly report: (message: string) => void;
  /** What is pushed is run here by its name: pushes without a login are for this machine alone. */
  readonly guardPushes?: boolean;
}

/** A registry that listens; closing it ends its requests and leaves what it serves alone. */
export interface ServedRegistry extends AsyncDisposable {
  /** `127.0.0.1:5000` */
  readonly address: string;
  close(options?: { graceMs?: number }): Promise<void>;
}

const COLLECT_EVERY_MS = 3600_000;

/** Serves repositories as the settings say, and collects what is unused every hour. Throws `invalid-argument`, and what the system says of the address. */
export async function serveRegistry(
  settings: RegistrySettings,
  { repositories, audit, report, guardPushes = false }: ServeOptions,
): Promise<ServedRegistry> {
  const { auth = {}, tls, maxBlobSize, deletes } = settings;
  const address = parseAddress(settings.addr);
  const users = auth.htpasswd === undefined ? undefined : parseHtpasswd(fileText(auth.htpasswd));
  const server = new RegistryServer({
    repositories,
    access: new Access({
      users,
      anonymousPull: auth.anonymousPull,
      readOnly: guardPushes && !users && !settings.openPush && !isLoopback(address.host),
    }),
    tls: tls && { cert: fileText(tls.cert), key: fileText(tls.key) },
    maxBlobBytes: maxBlobSize,
    deletes,
    audit,
    report,
  });
  const { host, port } = await server.listen(address);
  const timer = setInterval(() => {
    repositories.collect().catch((error: unknown) => report(`collection of unused blobs: ${errorMessage(error)}`));
  }, COLLECT_EVERY_MS).unref();
  const close = async (options?: { graceMs?: number }): Promise<void> => {
    clearInterval(timer);
    await server.close(options);
  };
  return {
    address: `${host.includes(':') ? `[${host}]` : host}:${port}`,
    close,
    [Symbol.asyncDispose]: () => close(),
  };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}

/** Throws `invalid-argument`. */
function fileText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new EngineError('invalid-argument', `cannot read ${path}: ${errorMessage(error)}`, { cause: error });
  }
}
