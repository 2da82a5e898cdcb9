import net from 'node:net';
import type { Duplex } from 'node:stream';
import { EngineError } from '../base/errors.ts';
import type { Endpoint } from './endpoint.ts';

/** A byte stream to the engine. Throws `unavailable` when nobody answers, in words that say what to do. */
export async function connect(endpoint: Endpoint, signal?: AbortSignal): Promise<Duplex> {
  if (endpoint.kind === 'ssh') {
    const { connectBySsh } = await import('./ssh.ts');
    return connectBySsh(endpoint);
  }
  if (endpoint.kind === 'tcp' && endpoint.tls) {
    const { connectByTls } = await import('./tls.ts');
    return connectByTls(endpoint, endpoint.tls);
  }
  return new Promise((resolve, reject) => {
    const socket =
      endpoint.kind === 'unix'
        ? net.connect({ path: endpoint.path })
        : net.connect({ host: endpoint.host, port: endpoint.port, noDelay: true });
    const abort = (): void => void socket.destroy(new EngineError('cancelled', 'the connection was cancelled'));
    signal?.addEventListener('abort', abort, { once: true });
    socket.once('connect', () => {
      signal?.removeEventListener('abort', abort);
      socket.removeAllListeners('error');
      resolve(socket);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      signal?.removeEventListener('abort', abort);
      reject(unreachable(endpoint, error));
    });
  });
}

/** Why the engine cannot be reached, as Docker words it where its clients read it. */
export function unreachable(endpoint: Endpoint, error: NodeJS.ErrnoException): EngineError {
  if (error instanceof EngineError) return error;
  if (error.code === 'EACCES' || error.code === 'EPERM') {
    return new EngineError(
      'forbidden',
      `permission denied while trying to connect to the Docker daemon socket at ${endpoint.url}: run as a user who may use it (root, or the socket's group)`,
      { cause: error },
    );
  }
  if (error.code === 'ENOTFOUND' || error.code === 'EAI_AGAIN') {
    return new EngineError('unavailable', `error during connect: no such host: ${endpoint.url}`, { cause: error });
  }
  const detail = ['ENOENT', 'ECONNREFUSED', 'ENOTSOCK'].includes(error.code ?? '') ? '' : ` (${error.message})`;
  return new EngineError(
    'unavailable',
    `Cannot connect to the Docker daemon at ${endpoint.url}. Is the gantry daemon running?${detail}`,
    { cause: error },
  );
}
