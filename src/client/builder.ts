import type { Filters } from '../api/filters.ts';
import { errorCode } from '../base/errors.ts';
import {
  BUILD_CHECK_PATH,
  BUILD_PATH,
  BUILD_DESCRIBE_PATH,
  buildInputPath,
  buildOutputPath,
  CACHE_MOUNTS_PATH,
  type BuildCheckDocument,
  type BuildDocument,
  type BuildMessage,
  type BuildDescriptionDocument,
  type CacheMountDocument,
} from '../api/gantry.ts';
import type { ProgressMessage } from '../api/progress.ts';
import { answerBuild, type BuildAnswers } from './build-answers.ts';
import { filtersQuery, type QueryValue } from './query.ts';
import type { Requester } from './requester.ts';

/** How long an engine may take to say why it wants no answer. */
const LAST_WORDS_MS = 10_000;

/** `/build` */
export class BuilderClient {
  readonly #requester: Requester;

  constructor(requester: Requester) {
    this.#requester = requester;
  }

  /** The classic `POST /build`. `query` is the API's own; `context` a tar, or undefined with `remote=`. */
  build(options: {
    query: Readonly<Record<string, QueryValue>>;
    context?: AsyncIterable<Uint8Array> | undefined;
    /** `X-Registry-Config`: base64url of credentials by registry. */
    registryConfig?: string | undefined;
    signal?: AbortSignal;
  }): AsyncGenerator<ProgressMessage, void, void> {
    return this.#requester.lines('POST', '/build', {
      query: options.query,
      headers: {
        'Content-Type': 'application/x-tar',
        ...(options.registryConfig === undefined ? {} : { 'X-Registry-Config': options.registryConfig }),
      },
      ...(options.context ? { body: options.context } : {}),
      signal: options.signal,
    });
  }

  /** A result that a running build has ready under the ticket. */
  async output(ticket: string, signal?: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    return (await this.#requester.request('GET', buildOutputPath(ticket), { signal })).body;
  }

  /** Answers a running build that asked for a file; undefined when there is none. */
  async input(ticket: string, file: AsyncIterable<Uint8Array> | undefined): Promise<void> {
    const what = file ? { body: file } : { query: { absent: true } };
    await this.#requester.call('PUT', buildInputPath(ticket), what);
  }

  /**
   * A build that asks its client while it runs. Throws `ResponseError` 404 where the engine knows no such builds, before
   * anything else was sent. An answer that fails ends the build with its error.
   */
  async *buildAsking(options: {
    query: Readonly<Record<string, QueryValue>>;
    document: BuildDocument;
    answers: BuildAnswers;
    registryConfig?: string | undefined;
    signal?: AbortSignal;
  }): AsyncGenerator<BuildMessage, void, void> {
    const { query, document, answers, registryConfig } = options;
    const stop = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
    const lines = this.#requester.lines<BuildMessage>('POST', BUILD_PATH, {
      query,
      json: document,
      headers: registryConfig === undefined ? {} : { 'X-Registry-Config': registryConfig },
      signal,
    });
    let failure: { readonly error: unknown } | undefined;
    try {
      for await (const message of lines) {
        const question = message.ask;
        if (!question) {
          yield message;
          continue;
        }
        void answerBuild(this.#requester, { token: document.Token, question, answers, signal }).catch(
          (error: unknown) => {
            if (signal.aborted) return;
            failure = { error };
            // An engine that hangs up on an answer has a reason, and tells it where it tells of the build.
            if (errorCode(error) === 'unavailable') setTimeout(() => stop.abort(), LAST_WORDS_MS).unref();
            else stop.abort();
          },
        );
      }
    } catch (error) {
      throw failure ? failure.error : error;
    } finally {
      stop.abort();
    }
  }

  /** Judges a Dockerfile without building it. */
  check(options: {
    query: Readonly<Record<string, QueryValue>>;
    context: AsyncIterable<Uint8Array>;
    signal?: AbortSignal;
  }): Promise<BuildCheckDocument> {
    return this.#requester.json('POST', BUILD_CHECK_PATH, {
      query: options.query,
      headers: { 'Content-Type': 'application/x-tar' },
      body: options.context,
      signal: options.signal,
    });
  }

  /** What can be built of a Dockerfile, and what a target can be given. */
  describe(options: {
    query: Readonly<Record<string, QueryValue>>;
    context: AsyncIterable<Uint8Array>;
  }): Promise<BuildDescriptionDocument> {
    return this.#requester.json('POST', BUILD_DESCRIBE_PATH, {
      query: options.query,
      headers: { 'Content-Type': 'application/x-tar' },
      body: options.context,
    });
  }

  cacheMounts(): Promise<CacheMountDocument[]> {
    return this.#requester.json('GET', CACHE_MOUNTS_PATH);
  }

  async exportCacheMount(id: string): Promise<AsyncIterable<Uint8Array>> {
    return (await this.#requester.request('GET', `${CACHE_MOUNTS_PATH}/archive`, { query: { id } })).body;
  }

  importCacheMount(id: string, tar: AsyncIterable<Uint8Array>): Promise<CacheMountDocument> {
    return this.#requester.json('PUT', `${CACHE_MOUNTS_PATH}/archive`, {
      query: { id },
      headers: { 'Content-Type': 'application/x-tar' },
      body: tar,
    });
  }

  removeCacheMount(id: string): Promise<CacheMountDocument> {
    return this.#requester.json('DELETE', CACHE_MOUNTS_PATH, { query: { id } });
  }

  prune(options: {
    all?: boolean;
    filters?: Filters;
    keepBytes?: number | undefined;
    /** Bytes: the cache may take so much, and has to leave so much of the disk. */
    maxUsed?: number | undefined;
    minFree?: number | undefined;
  }): Promise<{ CachesDeleted: string[] | null; SpaceReclaimed: number }> {
    return this.#requester.json('POST', '/build/prune', {
      query: {
        all: options.all || undefined,
        filters: filtersQuery(options.filters),
        'keep-storage': options.keepBytes,
        'max-used-space': options.maxUsed,
        'min-free-space': options.minFree,
      },
    });
  }
}
