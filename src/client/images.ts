import type { Filters } from '../api/filters.ts';
import type { BootstrapMessage, BootstrapRequestDocument, FsckMessage } from '../api/gantry.ts';
import { type Inventory, inventoryPath } from '../api/inventory.ts';
import type { ImageDeleteItem, ImageHistoryItem, ImageInspect, ImageSummary, PruneImagesReport } from '../api/image.ts';
import type { ProgressMessage, SearchResult } from '../api/progress.ts';
import { filtersQuery } from './query.ts';
import type { Requester } from './requester.ts';
import type { HttpResponse } from './http.ts';

/** `X-Registry-Auth` as the CLI made it: base64url of the credentials' JSON. */
export interface WithAuth {
  readonly auth?: string | undefined;
}

/** `/images` */
export class ImagesClient {
  readonly #requester: Requester;

  constructor(requester: Requester) {
    this.#requester = requester;
  }

  list(
    options: { all?: boolean; filters?: Filters; manifests?: boolean; sharedSize?: boolean } = {},
  ): Promise<ImageSummary[]> {
    return this.#requester.json('GET', '/images/json', {
      query: {
        all: options.all || undefined,
        filters: filtersQuery(options.filters),
        manifests: options.manifests || undefined,
        'shared-size': options.sharedSize || undefined,
      },
    });
  }

  inspect(name: string, options: { platform?: string | undefined } = {}): Promise<ImageInspect> {
    return this.#requester.json('GET', `/images/${imagePath(name)}/json`, { query: { platform: options.platform } });
  }

  inspectRaw(name: string, options: { platform?: string | undefined } = {}): Promise<Buffer> {
    return this.#requester.bytes('GET', `/images/${imagePath(name)}/json`, { query: { platform: options.platform } });
  }

  history(name: string, options: { platform?: string | undefined } = {}): Promise<ImageHistoryItem[]> {
    return this.#requester.json('GET', `/images/${imagePath(name)}/history`, { query: { platform: options.platform } });
  }

  pull(
    options: WithAuth & {
      image: string;
      tag?: string | undefined;
      platform?: string | undefined;
      signal?: AbortSignal;
    },
  ): AsyncGenerator<ProgressMessage, void, void> {
    return this.#requester.lines('POST', '/images/create', {
      query: { fromImage: options.image, tag: options.tag, platform: options.platform },
      headers: authHeader(options.auth),
      signal: options.signal,
    });
  }

  push(
    name: string,
    options: WithAuth & { tag?: string | undefined; platform?: string | undefined },
  ): AsyncGenerator<ProgressMessage, void, void> {
    return this.#requester.lines('POST', `/images/${imagePath(name)}/push`, {
      query: { tag: options.tag, platform: options.platform },
      // The API demands the header, even when it is empty.
      headers: authHeader(options.auth ?? Buffer.from('{}').toString('base64url')),
    });
  }

  async tag(source: string, repository: string, tag?: string): Promise<void> {
    await this.#requester.call('POST', `/images/${imagePath(source)}/tag`, { query: { repo: repository, tag } });
  }

  remove(
    name: string,
    options: { force?: boolean; noPrune?: boolean; platforms?: readonly string[] } = {},
  ): Promise<ImageDeleteItem[]> {
    return this.#requester.json('DELETE', `/images/${imagePath(name)}`, {
      query: { force: options.force || undefined, noprune: options.noPrune || undefined, platforms: options.platforms },
    });
  }

  prune(filters: Filters): Promise<PruneImagesReport> {
    return this.#requester.json('POST', '/images/prune', { query: { filters: filtersQuery(filters) } });
  }

  save(names: readonly string[], options: { platforms?: readonly string[] } = {}): Promise<HttpResponse> {
    return this.#requester.request('GET', '/images/get', { query: { names, platform: options.platforms } });
  }

  async load(
    archive: AsyncIterable<Uint8Array>,
    options: { quiet?: boolean; platforms?: readonly string[] } = {},
  ): Promise<AsyncGenerator<ProgressMessage, void, void>> {
    return this.#requester.lines('POST', '/images/load', {
      query: { quiet: options.quiet, platform: options.platforms },
      headers: { 'Content-Type': 'application/x-tar' },
      body: archive,
    });
  }

  /** `source` is `-` with a body, or a URL that the engine fetches. */
  import(options: {
    source: string;
    body?: AsyncIterable<Uint8Array>;
    repository?: string | undefined;
    tag?: string | undefined;
    message?: string | undefined;
    changes?: readonly string[];
    platform?: string | undefined;
  }): AsyncGenerator<ProgressMessage, void, void> {
    return this.#requester.lines('POST', '/images/create', {
      query: {
        fromSrc: options.source,
        repo: options.repository,
        tag: options.tag,
        message: options.message,
        changes: options.changes,
        platform: options.platform,
      },
      headers: { 'Content-Type': 'application/x-tar' },
      ...(options.body ? { body: options.body } : {}),
    });
  }

  /** What a registry has under a name: descriptor and platforms. */
  distribution(name: string, options: WithAuth): Promise<{ Descriptor: { digest: string; mediaType: string } }> {
    return this.#requester.json('GET', `/distribution/${imagePath(name)}/json`, { headers: authHeader(options.auth) });
  }

  search(term: string, options: WithAuth & { limit?: number | undefined; filters?: Filters }): Promise<SearchResult[]> {
    return this.#requester.json('GET', '/images/search', {
      query: { term, limit: options.limit, filters: filtersQuery(options.filters) },
      headers: authHeader(options.auth),
    });
  }

  /** Makes a base image from a distribution's packages. Only a Gantry engine has this. */
  bootstrap(request: BootstrapRequestDocument, signal?: AbortSignal): AsyncGenerator<BootstrapMessage, void, void> {
    return this.#requester.lines('POST', '/gantry/images/bootstrap', { json: request, signal });
  }

  /** Packages installed in an image. Only a Gantry engine has this. */
  inventory(name: string, options: { platform?: string | undefined; signal?: AbortSignal } = {}): Promise<Inventory> {
    return this.#requester.json('GET', inventoryPath(imagePath(name)), {
      query: { platform: options.platform },
      signal: options.signal,
    });
  }

  /** Reads every blob and layer again. Only a Gantry engine has this. */
  fsck(options: { repair?: boolean; signal?: AbortSignal }): AsyncGenerator<FsckMessage, void, void> {
    return this.#requester.lines('POST', '/gantry/images/fsck', {
      query: { repair: options.repair || undefined },
      signal: options.signal,
    });
  }
}

/** A name keeps its slashes: the API's image paths are open at that place. */
function imagePath(name: string): string {
  return encodeURI(name).replaceAll('?', '%3F').replaceAll('#', '%23');
}

function authHeader(auth: string | undefined): Record<string, string> {
  return auth === undefined ? {} : { 'X-Registry-Auth': auth };
}
