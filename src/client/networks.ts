import type { Filters } from '../api/filters.ts';
import { NAME_TRACE_PATH, type NameTraceDocument } from '../api/gantry.ts';
import type {
  NetworkConnectRequest,
  NetworkCreateRequest,
  NetworkCreateResponse,
  NetworkDisconnectRequest,
  NetworkInspect,
} from '../api/network.ts';
import { filtersQuery, segment } from './query.ts';
import type { Requester } from './requester.ts';

/** `/networks` */
export class NetworksClient {
  readonly #requester: Requester;

  constructor(requester: Requester) {
    this.#requester = requester;
  }

  create(request: NetworkCreateRequest): Promise<NetworkCreateResponse> {
    return this.#requester.json('POST', '/networks/create', { json: request });
  }

  list(filters?: Filters): Promise<NetworkInspect[]> {
    return this.#requester.json('GET', '/networks', { query: { filters: filtersQuery(filters) } });
  }

  inspect(id: string): Promise<NetworkInspect> {
    return this.#requester.json('GET', `/networks/${segment(id)}`);
  }

  inspectRaw(id: string, options: { verbose?: boolean } = {}): Promise<Buffer> {
    return this.#requester.bytes('GET', `/networks/${segment(id)}`, {
      query: { verbose: options.verbose || undefined },
    });
  }

  traceName(name: string, container?: string): Promise<NameTraceDocument> {
    return this.#requester.json('GET', NAME_TRACE_PATH, { query: { name, container } });
  }

  async remove(id: string): Promise<void> {
    await this.#requester.call('DELETE', `/networks/${segment(id)}`);
  }

  async connect(id: string, request: NetworkConnectRequest): Promise<void> {
    await this.#requester.call('POST', `/networks/${segment(id)}/connect`, { json: request });
  }

  async disconnect(id: string, request: NetworkDisconnectRequest): Promise<void> {
    await this.#requester.call('POST', `/networks/${segment(id)}/disconnect`, { json: request });
  }

  prune(filters: Filters): Promise<{ NetworksDeleted: string[] | null }> {
    return this.#requester.json('POST', '/networks/prune', { query: { filters: filtersQuery(filters) } });
  }
}
