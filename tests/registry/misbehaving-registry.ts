import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { MEDIA_TYPES } from '../../src/oci/descriptor.ts';
import { type Digest, sha256 } from '../../src/oci/digest.ts';
import { tarOf } from '../images/archive.ts';

export type Answer = (request: IncomingMessage, response: ServerResponse) => boolean | void;

/** A registry with one image, `app:1`, that answers as it should until it is told otherwise. */
export class MisbehavingRegistry implements AsyncDisposable {
  readonly requests: { method: string; path: string; headers: IncomingMessage['headers'] }[] = [];
  readonly layer: Buffer;
  readonly layerDigest: Digest;
  readonly config: Buffer;
  manifest: Buffer;
  manifestType: string = MEDIA_TYPES.ociManifest;
  /** Asked first; false leaves the answer to the registry. */
  answer: Answer = () => false;
  readonly #server: Server;

  private constructor(server: Server, layer: Buffer, config: Buffer) {
    this.#server = server;
    this.layer = layer;
    this.layerDigest = sha256(layer);
    this.config = config;
    this.manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MEDIA_TYPES.ociManifest,
        config: { mediaType: MEDIA_TYPES.ociConfig, digest: sha256(config), size: config.length },
        layers: [{ mediaType: MEDIA_TYPES.ociLayerGzip, digest: this.layerDigest, size: layer.length }],
      }),
    );
    server.on('request', (request, response) => this.handle(request, response));
  }

  static async open(content: Record<string, string> = { file: 'text' }): Promise<MisbehavingRegistry> {
    const tar = Buffer.from(await tarOf(content));
    const config = Buffer.from(
      JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [sha256(tar)] } }),
    );
    const server = createServer();
    await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve));
    return new MisbehavingRegistry(server, gzipSync(tar), config);
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Requests for the layer. */
  get layerRequests(): MisbehavingRegistry['requests'] {
    return this.requests.filter(({ path }) => path.includes(this.layerDigest));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  handle(request: IncomingMessage, response: ServerResponse): void {
    if (request.method === 'GET' || request.method === 'HEAD') request.resume();
    this.requests.push({ method: request.method!, path: request.url!, headers: request.headers });
    if (this.answer(request, response) !== false) return;
    const path = request.url!.split('?')[0]!;
    if (path === '/v2/') return void response.end('{}');
    if (path.startsWith('/v2/app/manifests/') && (path.endsWith('/1') || path.endsWith(sha256(this.manifest)))) {
      response.setHeader('docker-content-digest', sha256(this.manifest));
      response.setHeader('content-type', this.manifestType);
      return send(request, response, this.manifest);
    }
    for (const blob of [this.layer, this.config]) {
      if (path === `/v2/app/blobs/${sha256(blob)}`) return send(request, response, blob);
    }
    response.writeHead(404, { 'content-type': 'application/json' });
    response.end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}');
  }
}

function send(request: IncomingMessage, response: ServerResponse, bytes: Buffer): void {
  const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  if (start > 0) response.setHeader('content-range', `bytes ${start}-${bytes.length - 1}/${bytes.length}`);
  response.statusCode = start > 0 ? 206 : 200;
  response.setHeader('content-length', bytes.length - start);
  response.end(request.method === 'HEAD' ? undefined : bytes.subarray(start));
}
