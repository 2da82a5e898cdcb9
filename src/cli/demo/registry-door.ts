import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import tls from 'node:tls';
import { createGunzip } from 'node:zlib';
import { unpackTree } from '../archive/unpack.ts';
import type { Environment } from '../cli.ts';

/**
 * A door to the package registry that this machine uses, on 127.0.0.1 and only while it is open. A build that runs on
 * the host's network installs through it, and needs neither the machine's certificates nor its settings in the image.
 */
export interface RegistryDoor {
  readonly url: string;
  /** Unpacks the newest version of a package into a directory. */
  fetchPackage(name: string, folder: string): Promise<void>;
  close(): void;
}

/** Undefined when the registry is not known or does not answer within some seconds. */
export async function openRegistryDoor(env: Environment): Promise<RegistryDoor | undefined> {
  const registry = await registryOf(env);
  if (registry === undefined) return undefined;
  tls.setDefaultCACertificates([...tls.getCACertificates('default'), ...tls.getCACertificates('system')]);
  try {
    const response = await fetch(new URL('express', registry), { signal: AbortSignal.timeout(8000), method: 'HEAD' });
    if (!response.ok) return undefined;
  } catch {
    return undefined;
  }
  const server = createServer((request, response) => {
    forward(registry, request.method ?? 'GET', request.url ?? '/', request.headers.accept)
      .then(async (answer) => {
        response.writeHead(answer.status, pick(answer.headers));
        if (answer.body)
          for await (const chunk of Readable.fromWeb(answer.body as ReadableStream<Uint8Array>)) response.write(chunk);
        response.end();
      })
      .catch((error: unknown) => {
        if (!response.headersSent) response.writeHead(502);
        response.end(String((error as Error).message));
      });
  });
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async fetchPackage(name, folder) {
      const about = (await (await forward(registry, 'GET', `/${name}/latest`, 'application/json')).json()) as {
        dist: { tarball: string };
      };
      const { pathname } = new URL(about.dist.tarball);
      const archive = await forward(registry, 'GET', pathname, undefined);
      if (!archive.ok || !archive.body)
        throw new Error(`the package registry does not give ${name}: status ${archive.status}`);
      const tar = Readable.fromWeb(archive.body as ReadableStream<Uint8Array>).pipe(createGunzip());
      await unpackTree(tar, folder, { rename: '.', owners: false });
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Only reading, and only from the one registry. */
async function forward(registry: URL, method: string, path: string, accept: string | undefined): Promise<Response> {
  if (method !== 'GET' && method !== 'HEAD') return new Response('this door is for reading', { status: 405 });
  const target = new URL(`.${path.startsWith('/') ? path : `/${path}`}`, registry);
  if (target.origin !== registry.origin) return new Response('not that registry', { status: 403 });
  return fetch(target, {
    method,
    headers: accept === undefined ? {} : { accept },
    signal: AbortSignal.timeout(60_000),
  });
}

/** The body comes decoded, so its encoding and length are not those of the answer. */
function pick(headers: Headers): Record<string, string> {
  const type = headers.get('content-type');
  const tag = headers.get('etag');
  return { ...(type === null ? {} : { 'content-type': type }), ...(tag === null ? {} : { etag: tag }) };
}

/** The registry that npm is set to on this machine. */
async function registryOf(env: Environment): Promise<URL | undefined> {
  const set = env['npm_config_registry'] ?? env['NPM_CONFIG_REGISTRY'];
  const text = set !== undefined && set !== '' ? set : await askNpm();
  try {
    return new URL(text.endsWith('/') ? text : `${text}/`);
  } catch {
    return undefined;
  }
}

function askNpm(): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn('npm', ['config', 'get', 'registry'], { stdio: ['ignore', 'pipe', 'ignore'], timeout: 10_000 });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part));
    child.once('error', () => resolve(''));
    child.once('close', () => resolve(text.trim()));
  });
}
