import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileContentStore } from '../../src/content/file-content-store.ts';
import { Access, type AccessOptions } from '../../src/registry/server/access.ts';
import { DirectoryLinks } from '../../src/registry/server/directory-links.ts';
import { RegistryServer, type RegistryServerOptions } from '../../src/registry/server/registry-server.ts';
import { Repositories } from '../../src/registry/server/repositories.ts';

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
    options: Partial<Omit<RegistryServerOptions, 'access'>> & { access?: AccessOptions } = {},
  ): Promise<TestRegistry> {
    const root = await mkdtemp(join(tmpdir(), 'gantry-registry-'));
    const content = await FileContentStore.open(root);
    const repositories = new Repositories(content, new DirectoryLinks(join(root, 'repositories')));
    const server = new RegistryServer({ repositories, ...options, access: new Access(options.access) });
    const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
    return new TestRegistry(root, repositories, server, `127.0.0.1:${port}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.close();
    await rm(this.root, { recursive: true });
  }
}
