import { EngineError } from '../../base/errors.ts';
import type { BoundSocket } from '../../registry/server/registry-server.ts';
import { Repositories } from '../../registry/server/repositories.ts';
import { repositoryPolicy, type ServedRegistry, serveRegistry } from '../../registry/server/serve.ts';
import {
  DEFAULT_ADDRESS,
  parseAddress,
  readRegistrySettings,
  type RegistrySettings,
} from '../../registry/server/settings.ts';
import type { ImageParts } from '../images/parts.ts';
import { EngineLinks } from './engine-links.ts';
import { EngineStore } from './engine-store.ts';
import type { RegistryRoots } from './registry-roots.ts';

/** The engine's images over the distribution protocol, from the blobs that it has anyway. */
export class EngineRegistry {
  readonly #parts: ImageParts;
  readonly #roots: RegistryRoots;
  readonly #report: (message: string) => void;
  readonly #bound: BoundSocket | undefined;

  /** `bound` makes the sockets that listen, where this process is not in the host's network. */
  constructor(parts: ImageParts, roots: RegistryRoots, report: (message: string) => void, bound?: BoundSocket) {
    this.#parts = parts;
    this.#roots = roots;
    this.#report = report;
    this.#bound = bound;
  }

  settings(file?: string): RegistrySettings {
    return { addr: DEFAULT_ADDRESS, ...(file !== undefined && readRegistrySettings(file)) };
  }

  /** Throws `invalid-argument` for settings that cannot be, and what the system says of the address. */
  async serve(settings: RegistrySettings, options: { audit?: (line: string) => void } = {}): Promise<ServedRegistry> {
    for (const setting of ['upstreams', 'retention', 's3'] as const) {
      if (settings[setting] === undefined) continue;
      throw new EngineError(
        'invalid-argument',
        `${setting} is for a registry with a store of its own: run \`gantry registry serve\``,
      );
    }
    const own = new Set(settings.names ?? []);
    const store = new EngineStore(this.#parts, this.#roots);
    const links = new EngineLinks({
      parts: this.#parts,
      roots: this.#roots,
      own,
      admitted: (manifest) => store.admitted(manifest),
      admit: (path, manifest, tags) => store.admit(path, manifest, tags),
    });
    const repositories = new Repositories(this.#parts.content, links, {
      ...repositoryPolicy(settings),
      shared: store,
    });
    const served = await serveRegistry(settings, {
      repositories,
      audit: options.audit,
      report: this.#report,
      guardPushes: true,
      bound: this.#bound,
    });
    const { port } = parseAddress(served.address);
    for (const host of ['localhost', '127.0.0.1']) own.add(`${host}:${port}`);
    own.add(served.address);
    return served;
  }
}
