import type { Filters } from '../api/filters.ts';
import type { PruneVolumesReport, Volume, VolumeCreateRequest, VolumeListResponse } from '../api/volume.ts';
import { filtersQuery, segment } from './query.ts';
import type { Requester } from './requester.ts';

/** `/volumes` */
export class VolumesClient {
  readonly #requester: Requester;

  constructor(requester: Requester) {
    this.#requester = requester;
  }

  create(request: VolumeCreateRequest): Promise<Volume> {
    return this.#requester.json('POST', '/volumes/create', { json: request });
  }

  list(filters?: Filters): Promise<VolumeListResponse> {
    return this.#requester.json('GET', '/volumes', { query: { filters: filtersQuery(filters) } });
  }

  inspectRaw(name: string): Promise<Buffer> {
    return this.#requester.bytes('GET', `/volumes/${segment(name)}`);
  }

  async remove(name: string, options: { force?: boolean } = {}): Promise<void> {
    await this.#requester.call('DELETE', `/volumes/${segment(name)}`, { query: { force: options.force || undefined } });
  }

  prune(filters: Filters): Promise<PruneVolumesReport> {
    return this.#requester.json('POST', '/volumes/prune', { query: { filters: filtersQuery(filters) } });
  }
}
