import type { VolumeCopyRequest } from '../api/gantry.ts';
import type { Filters } from '../api/filters.ts';
import type { PruneVolumesReport, Volume, VolumeCreateRequest, VolumeListResponse } from '../api/volume.ts';
import { filtersQuery, segment } from './query.ts';
import type { HttpResponse } from './http.ts';
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

  /** Only a Gantry engine has this, as what follows. */
  rename(name: string, to: string): Promise<Volume> {
    return this.#requester.json('POST', `/gantry/volumes/${segment(name)}/rename`, { query: { name: to } });
  }

  clone(name: string, request: VolumeCopyRequest): Promise<Volume> {
    return this.#requester.json('POST', `/gantry/volumes/${segment(name)}/clone`, { json: request });
  }

  snapshot(name: string, request: VolumeCopyRequest): Promise<Volume> {
    return this.#requester.json('POST', `/gantry/volumes/${segment(name)}/snapshot`, { json: request });
  }

  /** A tar. */
  export(name: string): Promise<HttpResponse> {
    return this.#requester.request('GET', `/gantry/volumes/${segment(name)}/archive`);
  }

  import(name: string, archive: AsyncIterable<Uint8Array>): Promise<Volume> {
    return this.#requester.json('PUT', `/gantry/volumes/${segment(name)}/archive`, {
      headers: { 'Content-Type': 'application/x-tar' },
      body: archive,
    });
  }

  prune(filters: Filters): Promise<PruneVolumesReport> {
    return this.#requester.json('POST', '/volumes/prune', { query: { filters: filtersQuery(filters) } });
  }
}
