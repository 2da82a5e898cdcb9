import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import type { Endpoint, TlsMaterial } from './endpoint.ts';
import { unreachable } from './transport.ts';

/** A TLS connection; resolves once the server's certificate is accepted. */
export function connectByTls(endpoint: Extract<Endpoint, { kind: 'tcp' }>, material: TlsMaterial): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({
      host: endpoint.host,
      port: endpoint.port,
      ...(/^[\d.:]+$/.test(endpoint.host) ? {} : { servername: endpoint.host }),
      ...(material.ca === undefined ? {} : { ca: material.ca }),
      ...(material.cert === undefined ? {} : { cert: material.cert }),
      ...(material.key === undefined ? {} : { key: material.key }),
      rejectUnauthorized: material.verify,
      minVersion: 'TLSv1.2',
      ALPNProtocols: ['http/1.1'],
    });
    socket.once('secureConnect', () => {
      socket.removeAllListeners('error');
      socket.setNoDelay(true);
      resolve(socket);
    });
    socket.once('error', (error) => reject(unreachable(endpoint, error)));
  });
}
