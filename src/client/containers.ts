import type {
  ContainerCreateRequest,
  ContainerCreateResponse,
  ContainerInspect,
  ContainerStats,
  ContainerSummary,
  ContainerTop,
  ContainerUpdateRequest,
  FilesystemChange,
  PathStat,
  PruneContainersReport,
  WaitResponse,
} from '../api/container.ts';
import type { Filters } from '../api/filters.ts';
import { containerPortsPath, type PortChangeDocument, type PortsDocument } from '../api/gantry.ts';
import { containerWhyPath, type WhyDocument } from '../api/why.ts';
import { collect, filtersQuery, segment } from './query.ts';
import type { HijackedStream, Requester } from './requester.ts';
import type { HttpResponse } from './http.ts';
import { jsonLines } from './json-lines.ts';
import { demultiplex, type OutputPart } from './multiplex.ts';

export interface AttachQuery {
  readonly stdin?: boolean;
  readonly stdout?: boolean;
  readonly stderr?: boolean;
  readonly stream?: boolean;
  readonly logs?: boolean;
  readonly detachKeys?: string | undefined;
}

export interface LogsQuery {
  readonly follow?: boolean;
  /** Seconds since the epoch, with a fraction, as the API writes them. */
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  readonly timestamps?: boolean;
  readonly details?: boolean;
  readonly tail?: string | undefined;
  readonly signal?: AbortSignal;
}

/** `/containers` */
export class ContainersClient {
  readonly #requester: Requester;

  constructor(requester: Requester) {
    this.#requester = requester;
  }

  create(
    request: ContainerCreateRequest,
    options: { name?: string | undefined; platform?: string | undefined } = {},
  ): Promise<ContainerCreateResponse> {
    return this.#requester.json('POST', '/containers/create', {
      query: { name: options.name, platform: options.platform },
      json: request,
    });
  }

  async start(id: string, options: { detachKeys?: string | undefined } = {}): Promise<void> {
    await this.#requester.call('POST', `/containers/${segment(id)}/start`, {
      query: { detachKeys: options.detachKeys },
    });
  }

  async stop(
    id: string,
    options: { signal?: string | undefined; timeoutSeconds?: number | undefined } = {},
  ): Promise<void> {
    await this.#requester.call('POST', `/containers/${segment(id)}/stop`, {
      query: { signal: options.signal, t: options.timeoutSeconds },
    });
  }

  async restart(
    id: string,
    options: { signal?: string | undefined; timeoutSeconds?: number | undefined } = {},
  ): Promise<void> {
    await this.#requester.call('POST', `/containers/${segment(id)}/restart`, {
      query: { signal: options.signal, t: options.timeoutSeconds },
    });
  }

  async kill(id: string, signal?: string): Promise<void> {
    await this.#requester.call('POST', `/containers/${segment(id)}/kill`, { query: { signal } });
  }

  async pause(id: string): Promise<void> {
    await this.#requester.call('POST', `/containers/${segment(id)}/pause`);
  }

  async unpause(id: string): Promise<void> {
    await this.#requester.call('POST', `/containers/${segment(id)}/unpause`);
  }

  async rename(id: string, name: string): Promise<void> {
    await this.#requester.call('POST', `/containers/${segment(id)}/rename`, { query: { name } });
  }

  update(id: string, request: ContainerUpdateRequest): Promise<{ Warnings: string[] | null }> {
    return this.#requester.json('POST', `/containers/${segment(id)}/update`, { json: request });
  }

  changePorts(id: string, change: PortChangeDocument): Promise<PortsDocument> {
    return this.#requester.json('POST', containerPortsPath(segment(id)), { json: change });
  }

  why(id: string): Promise<WhyDocument> {
    return this.#requester.json('GET', containerWhyPath(segment(id)));
  }

  async remove(id: string, options: { force?: boolean; volumes?: boolean; link?: boolean } = {}): Promise<void> {
    await this.#requester.call('DELETE', `/containers/${segment(id)}`, {
      query: { force: options.force || undefined, v: options.volumes || undefined, link: options.link || undefined },
    });
  }

  inspect(id: string, options: { size?: boolean } = {}): Promise<ContainerInspect> {
    return this.#requester.json('GET', `/containers/${segment(id)}/json`, {
      query: { size: options.size || undefined },
    });
  }

  /** The answer as the engine wrote it, for those who show it. */
  inspectRaw(id: string, options: { size?: boolean } = {}): Promise<Buffer> {
    return this.#requester.bytes('GET', `/containers/${segment(id)}/json`, {
      query: { size: options.size || undefined },
    });
  }

  list(
    options: { all?: boolean; limit?: number | undefined; size?: boolean; filters?: Filters } = {},
  ): Promise<ContainerSummary[]> {
    return this.#requester.json('GET', '/containers/json', {
      query: {
        all: options.all || undefined,
        limit: options.limit,
        size: options.size || undefined,
        filters: filtersQuery(options.filters),
      },
    });
  }

  /**
   * Resolves once the engine has registered the wait, so that nothing started afterwards is missed; `outcome` when the
   * condition holds.
   */
  async wait(
    id: string,
    condition?: 'not-running' | 'next-exit' | 'removed',
    signal?: AbortSignal,
  ): Promise<{ outcome: Promise<WaitResponse> }> {
    const response = await this.#requester.request('POST', `/containers/${segment(id)}/wait`, {
      query: { condition },
      signal,
    });
    const outcome = collect(response.body).then((bytes) => JSON.parse(bytes.toString('utf8')) as WaitResponse);
    // Whoever waits may come to it later, or never.
    outcome.catch(() => {});
    return { outcome };
  }

  attach(id: string, query: AttachQuery, signal?: AbortSignal): Promise<HijackedStream> {
    return this.#requester.hijack(`/containers/${segment(id)}/attach`, {
      query: {
        stdin: query.stdin || undefined,
        stdout: query.stdout || undefined,
        stderr: query.stderr || undefined,
        stream: query.stream || undefined,
        logs: query.logs || undefined,
        detachKeys: query.detachKeys,
      },
      signal,
    });
  }

  /** `tty`: the log of a container with a terminal, which is one stream without frames. */
  async logs(id: string, query: LogsQuery, tty: boolean): Promise<AsyncGenerator<OutputPart, void, void>> {
    const response = await this.#requester.request('GET', `/containers/${segment(id)}/logs`, {
      query: {
        stdout: true,
        stderr: true,
        follow: query.follow || undefined,
        since: query.since,
        until: query.until,
        timestamps: query.timestamps || undefined,
        details: query.details || undefined,
        tail: query.tail,
      },
      signal: query.signal,
    });
    return tty ? plain(response.body) : demultiplex(response.body);
  }

  top(id: string, psArgs?: string): Promise<ContainerTop> {
    return this.#requester.json('GET', `/containers/${segment(id)}/top`, { query: { ps_args: psArgs } });
  }

  async stats(
    id: string,
    options: { stream: boolean; oneShot?: boolean; signal?: AbortSignal },
  ): Promise<AsyncGenerator<ContainerStats, void, void>> {
    const response = await this.#requester.request('GET', `/containers/${segment(id)}/stats`, {
      query: { stream: options.stream, 'one-shot': options.oneShot || undefined },
      signal: options.signal,
    });
    return jsonLines<ContainerStats>(response.body);
  }

  async resize(id: string, size: { rows: number; columns: number }): Promise<void> {
    await this.#requester.call('POST', `/containers/${segment(id)}/resize`, {
      query: { h: size.rows, w: size.columns },
    });
  }

  changes(id: string): Promise<FilesystemChange[] | null> {
    return this.#requester.json('GET', `/containers/${segment(id)}/changes`);
  }

  export(id: string, signal?: AbortSignal): Promise<HttpResponse> {
    return this.#requester.request('GET', `/containers/${segment(id)}/export`, { signal });
  }

  async archiveStat(id: string, path: string): Promise<PathStat> {
    const response = await this.#requester
      .request('HEAD', `/containers/${segment(id)}/archive`, { query: { path } })
      .catch(async (error: unknown) => {
        // A HEAD has no body, so the reason is asked for again.
        if ((error as { status?: number }).status !== 404) throw error;
        return this.#requester.request('GET', `/containers/${segment(id)}/archive`, { query: { path } });
      });
    await response.body.return();
    return pathStat(response);
  }

  async archiveGet(id: string, path: string): Promise<{ stat: PathStat; tar: AsyncGenerator<Buffer, void, void> }> {
    const response = await this.#requester.request('GET', `/containers/${segment(id)}/archive`, { query: { path } });
    return { stat: pathStat(response), tar: response.body };
  }

  async archivePut(
    id: string,
    path: string,
    tar: AsyncIterable<Uint8Array>,
    options: { copyUidGid?: boolean; allowOverwriteDirWithFile?: boolean } = {},
  ): Promise<void> {
    await this.#requester.call('PUT', `/containers/${segment(id)}/archive`, {
      query: {
        path,
        noOverwriteDirNonDir: options.allowOverwriteDirWithFile === true ? undefined : true,
        copyUIDGID: options.copyUidGid || undefined,
      },
      headers: { 'Content-Type': 'application/x-tar' },
      body: tar,
    });
  }

  commit(
    id: string,
    options: {
      repo?: string | undefined;
      tag?: string | undefined;
      comment?: string | undefined;
      author?: string | undefined;
      pause?: boolean;
      changes?: readonly string[];
    },
  ): Promise<{ Id: string }> {
    return this.#requester.json('POST', '/commit', {
      query: {
        container: id,
        repo: options.repo,
        tag: options.tag,
        comment: options.comment,
        author: options.author,
        changes: options.changes,
        pause: options.pause === false ? false : undefined,
      },
    });
  }

  prune(filters: Filters): Promise<PruneContainersReport> {
    return this.#requester.json('POST', '/containers/prune', { query: { filters: filtersQuery(filters) } });
  }
}

function pathStat(response: HttpResponse): PathStat {
  const header = response.headers.get('x-docker-container-path-stat') ?? '';
  return JSON.parse(Buffer.from(header, 'base64').toString('utf8')) as PathStat;
}

async function* plain(body: AsyncIterable<Buffer>): AsyncGenerator<OutputPart, void, void> {
  for await (const data of body) yield { stream: 'stdout', data };
}
