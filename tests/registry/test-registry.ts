import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileContentStore } from '../../src/content/file-content-store.ts';
import { RegistryClient } from '../../src/registry/client/registry-client.ts';
import { type Digest, sha256 } from '../../src/oci/digest.ts';
import { Access, type AccessOptions } from '../../src/registry/server/access.ts';
import { DirectoryFiles } from '../../src/registry/server/directory-files.ts';
import type { LinkFiles } from '../../src/registry/server/link-files.ts';
import { FileLinks } from '../../src/registry/server/file-links.ts';
import { PullThrough } from '../../src/registry/server/pull-through.ts';
import { RegistryServer, type RegistryServerOptions } from '../../src/registry/server/registry-server.ts';
import { Repositories, type RepositoriesOptions } from '../../src/registry/server/repositories.ts';
import type { UpstreamSettings } from '../../src/registry/server/settings.ts';
import { Upstreams } from '../../src/registry/server/upstreams.ts';

/** Our registry over a directory of its own. */
export class TestRegistry implements AsyncDisposable {
  readonly root: string;
  readonly repositories: Repositories;
  readonly host: string;
  readonly #server: RegistryServer;

  private constructor(root: string, repositories: Repositories, server: RegistryServer, host: string) {
    this.root = root;
    this.repositories = repositories;
    this.host = host;
    this.#server = server;
  }

  static async open(
    options: Partial<Omit<RegistryServerOptions, 'access'>> & {
      access?: AccessOptions;
      upstreams?: readonly UpstreamSettings[];
      policy?: RepositoriesOptions;
      /** Instead of the directory's own. */
      files?: (root: string) => LinkFiles;
    } = {},
  ): Promise<TestRegistry> {
    const root = await mkdtemp(join(tmpdir(), 'gantry-registry-'));
    const content = await FileContentStore.open(root);
    const repositories = new Repositories(
      content,
      new FileLinks(options.files?.(join(root, 'repositories')) ?? new DirectoryFiles(join(root, 'repositories'))),
      options.policy,
    );
    const cache =
      options.upstreams &&
      new PullThrough({
        repositories,
        upstreams: new Upstreams(new RegistryClient({ retryDelayMs: 1 }), options.upstreams, (file) => file),
        report: () => {},
      });
    const server = new RegistryServer({ repositories, cache, ...options, access: new Access(options.access) });
    const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
    return new TestRegistry(root, repositories, server, `127.0.0.1:${port}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.close();
    await rm(this.root, { recursive: true });
  }

  /** Pushes an artifact of one blob, and gives its manifest's digest. Throws what was answered to the manifest. */
  async pushArtifact(repository: string, reference: string, content: string): Promise<Digest> {
    const base = `http://${this.host}/v2/${repository}`;
    const bytes = new Uint8Array(Buffer.from(content));
    const blob = { mediaType: 'text/plain', digest: sha256(bytes), size: bytes.length };
    const upload = await fetch(`${base}/blobs/uploads/?digest=${blob.digest}`, { method: 'POST', body: bytes });
    if (upload.status !== 201) throw new Error(`${upload.status} ${await upload.text()}`);
    const type = 'application/vnd.oci.image.manifest.v1+json';
    const body = JSON.stringify({ schemaVersion: 2, mediaType: type, config: blob, layers: [blob] });
    const headers = { 'content-type': type };
    const name = reference === '' ? sha256(body) : reference;
    const put = await fetch(`${base}/manifests/${name}`, { method: 'PUT', body, headers });
    if (put.status !== 201) throw new Error(`${put.status} ${await put.text()}`);
    return sha256(body);
  }
}
