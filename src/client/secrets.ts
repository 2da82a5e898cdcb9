import { EngineError, errorCode } from '../base/errors.ts';
import type { Filters } from '../api/filters.ts';
import type {
  Secret,
  SecretEnsured,
  SecretRotateRequest,
  SecretRotation,
  SecretScanReport,
  SecretScanRequest,
  SecretSpec,
} from '../api/secret.ts';
import { filtersQuery, segment } from './query.ts';
import type { Requester } from './requester.ts';

/** `/secrets` */
export class SecretsClient {
  readonly #requester: Requester;

  constructor(requester: Requester) {
    this.#requester = requester;
  }

  create(spec: SecretSpec): Promise<{ ID: string }> {
    return this.#requester.json('POST', '/secrets/create', { json: spec });
  }

  list(filters?: Filters): Promise<Secret[]> {
    return this.#requester.json('GET', '/secrets', { query: { filters: filtersQuery(filters) } });
  }

  inspect(name: string): Promise<Secret> {
    return this.#requester.json('GET', `/secrets/${segment(name)}`);
  }

  inspectRaw(name: string): Promise<Buffer> {
    return this.#requester.bytes('GET', `/secrets/${segment(name)}`);
  }

  async remove(name: string): Promise<void> {
    await this.#requester.call('DELETE', `/secrets/${segment(name)}`);
  }

  async update(name: string, version: number, spec: SecretSpec): Promise<void> {
    await this.#requester.call('POST', `/secrets/${segment(name)}/update`, { query: { version }, json: spec });
  }

  /**
   * Throws `unimplemented` when the engine is no Gantry: dockerd knows secrets of swarm services only, and would drop those of
   * a container without a word.
   */
  async require(): Promise<void> {
    if ((await this.listOwn()) === undefined)
      throw new EngineError('unimplemented', 'this engine has no secrets for containers: a Gantry engine is needed');
  }

  /** As `list`; undefined when the engine is no Gantry, or when this door to it leads to no secrets. */
  async listOwn(filters?: Filters): Promise<Secret[] | undefined> {
    try {
      return await this.#requester.json('GET', '/gantry/secrets', { query: { filters: filtersQuery(filters) } });
    } catch (error) {
      if (!['not-found', 'forbidden'].includes(errorCode(error))) throw error;
      return undefined;
    }
  }

  /** Only a Gantry engine has this, as what follows. */
  rotate(name: string, request: SecretRotateRequest): Promise<SecretRotation> {
    return this.#requester.json('POST', `/gantry/secrets/${segment(name)}/rotate`, { json: request });
  }

  /** Makes it, or gives it this value when it has another. */
  ensure(spec: SecretSpec): Promise<SecretEnsured> {
    return this.#requester.json('POST', '/gantry/secrets/ensure', { json: spec });
  }

  /** Seals every secret with a new key. */
  rotateKey(): Promise<{ Secrets: number }> {
    return this.#requester.json('POST', '/gantry/secrets/rotate-key');
  }

  scan(request: SecretScanRequest): Promise<SecretScanReport> {
    return this.#requester.json('POST', '/gantry/secrets/scan', { json: request });
  }
}
