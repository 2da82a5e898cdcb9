import { EngineError, errorCode } from '../../base/errors.ts';
import { MAX_DOCUMENT_BYTES } from '../../content/children.ts';
import type { Bytes, ContentSink, ContentSource } from '../../content/content-store.ts';
import { type Descriptor, MEDIA_TYPES } from '../../oci/descriptor.ts';
import { type Digest, hasherFor, isDigest, sha256 } from '../../oci/digest.ts';
import { RegistryError } from '../registry-error.ts';
import { answerError, discard, readAll } from './answers.ts';
import { type HttpResponse, redirectTarget } from './http.ts';
import { TooSlowError } from './pace.ts';
import { isTransient, pause, type RetryOptions, withRetry } from './retry.ts';
import type { RegistrySession, SessionRequest } from './session.ts';

type Target = Pick<Descriptor, 'digest' | 'size'>;

export interface RemoteManifest {
  readonly descriptor: Descriptor;
  readonly bytes: Buffer;
}

type CallRequest = Omit<SessionRequest, 'scopes'> & { readonly action?: 'push' };

interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

const ACCEPT = [
  MEDIA_TYPES.ociIndex,
  MEDIA_TYPES.ociManifest,
  MEDIA_TYPES.dockerIndex,
  MEDIA_TYPES.dockerManifest,
  '*/*;q=0.1',
].join(', ');
const SCHEMA_1 = /^application\/(?:vnd\.docker\.distribution\.manifest\.v1\+(?:json|prettyjws)|json)\b/;
const MAX_TAG_PAGES = 1000;
/** Connections in a row that were given up because too little came by them; one that brought so much is not of these. */
const MAX_SLOW_READS = 3;
const GOOD_BYTES = 1 << 20;
/** Pieces that a connection may break a blob into without any of them getting further. */
const MAX_EMPTY_READS = 5;

/** One repository of one registry (distribution-spec 1.1). */
export class RemoteRepository implements ContentSource, ContentSink {
  readonly session: RegistrySession;
  /** `library/nginx` */
  readonly path: string;
  readonly #retry: RetryOptions;

  constructor(session: RegistrySession, path: string, retry: RetryOptions = {}) {
    this.session = session;
    this.path = path;
    this.#retry = retry;
  }

  /** What is called by a tag or digest, without its content; undefined when the registry does not say all of it. */
  async stat(reference: string, { signal }: CallOptions = {}): Promise<Descriptor | undefined> {
    const head = {
      method: 'HEAD',
      target: this.#at('manifests', reference),
      headers: { accept: ACCEPT },
      signal,
    } as const;
    let response: HttpResponse;
    try {
      response = await withRetry(() => this.#call(head), { ...this.#retry, signal });
    } catch (error) {
      // An answer to HEAD has no words: that to the GET that comes now says why.
      if (error instanceof RegistryError && error.status < 500) return undefined;
      throw error;
    }
    await discard(response);
    if (response.status !== 200) return undefined;
    const digest = headerText(response, 'docker-content-digest');
    const size = Number(headerText(response, 'content-length'));
    const mediaType = typeOf(response);
    if (digest === undefined || !isDigest(digest) || !Number.isSafeInteger(size) || mediaType === undefined)
      return undefined;
    return { mediaType, digest, size };
  }

  /** The manifest or index of a tag or digest. Throws `corrupt` when it is not what the registry or the name says, `not-found`. */
  async manifest(reference: string, { signal }: CallOptions = {}): Promise<RemoteManifest> {
    const { response, bytes } = await withRetry(
      async () => {
        const response = await this.#call({
          method: 'GET',
          target: this.#at('manifests', reference),
          headers: { accept: ACCEPT },
          signal,
        });
        if (response.status !== 200) throw await answerError(response);
        const declared = Number(headerText(response, 'content-length') ?? 0);
        if (declared > MAX_DOCUMENT_BYTES) {
          response.body.destroy();
          throw new EngineError(
            'too-large',
            `the manifest ${reference} is larger than ${MAX_DOCUMENT_BYTES} bytes, which none may be`,
          );
        }
        return { response, bytes: await readAll(response, MAX_DOCUMENT_BYTES) };
      },
      { ...this.#retry, signal },
    );
    const found = digestOf(bytes, isDigest(reference) ? reference : undefined);
    const said = headerText(response, 'docker-content-digest');
    if ((isDigest(reference) && found !== reference) || (said !== undefined && !sameContent(bytes, said))) {
      throw new EngineError(
        'corrupt',
        `manifest verification failed for digest ${isDigest(reference) ? reference : said}: it is ${found}`,
      );
    }
    return { descriptor: { mediaType: manifestType(response, bytes), digest: found, size: bytes.byteLength }, bytes };
  }

  async *read(target: Target, options: { offset?: number; signal?: AbortSignal } = {}): Bytes {
    const { offset = 0, signal } = options;
    const hash = hasherFor(target.digest);
    // From the middle the digest cannot be checked: whoever continues a write does it at the end of that.
    for await (const chunk of this.stream(target, { offset, signal })) {
      hash.update(chunk);
      yield chunk;
    }
    const found = `${target.digest.slice(0, target.digest.indexOf(':'))}:${hash.digest('hex')}`;
    if (offset === 0 && found !== target.digest) {
      throw new EngineError('corrupt', `content is ${found} instead of ${target.digest}`);
    }
  }

  /** As `read`, for readers that check the digest themselves. Goes on where a connection broke. */
  async *stream(
    target: Target,
    { offset = 0, signal }: { offset?: number; signal?: AbortSignal | undefined } = {},
  ): Bytes {
    let position = offset;
    let slow = 0;
    for (let failures = 0; position < target.size || target.size === 0;) {
      const before = position;
      let failure: unknown;
      try {
        for await (const chunk of await this.#open(target, position, signal)) {
          position += chunk.byteLength;
          if (position > target.size) throw sizeError(target, `more than ${target.size}`);
          yield chunk;
        }
      } catch (error) {
        signal?.throwIfAborted();
        if (error instanceof EngineError ? !isTransient(error) : !isBroken(error)) throw error;
        failure = error;
      }
      if (position >= target.size) return;
      failures = position > before ? 1 : failures + 1;
      if (position - before >= GOOD_BYTES) slow = 0;
      if (failure instanceof TooSlowError) slow++;
      if (failures >= MAX_EMPTY_READS || slow >= MAX_SLOW_READS) {
        if (failure instanceof EngineError) throw failure;
        const words = `${target.digest}: the registry ended it at ${position} of ${target.size} bytes`;
        throw new EngineError('unavailable', words, { cause: failure });
      }
      await pause(failures, failure, { ...this.#retry, signal });
    }
  }

  async has(target: Target): Promise<boolean> {
    return withRetry(async () => {
      const response = await this.#call({ method: 'HEAD', target: this.#at('blobs', target.digest), action: 'push' });
      await discard(response);
      return response.status === 200;
    }, this.#retry);
  }

  async write(target: Target, body: Bytes, options: { signal?: AbortSignal } = {}): Promise<void> {
    if (await this.has(target)) return;
    await this.#upload(target, body, options);
  }

  /**
   * Uploads what `open` gives, from the beginning again when the connection breaks. With `release` the memory of each piece
   * is given up once it is sent: for bytes that were read for this alone.
   */
  async upload(
    target: Target,
    open: () => Bytes,
    { signal, release }: CallOptions & { readonly release?: boolean } = {},
  ): Promise<void> {
    await withRetry(() => this.#upload(target, open(), { signal, release }), { ...this.#retry, signal });
  }

  /**
   * Uploads a blob while it is made, in one stream; its name is told at the end, when `blob` is known. Nothing is tried
   * again. The pieces of `body` are nobody else's.
   */
  async uploadGrowing(body: Bytes, blob: Promise<Target>, { signal }: CallOptions = {}): Promise<void> {
    const begun = await this.#beginUpload(signal);
    try {
      const sent = await this.#call({
        method: 'PATCH',
        target: uploadTarget(begun),
        action: 'push',
        headers: { 'content-type': 'application/octet-stream' },
        body,
        releaseBody: true,
        signal,
      });
      if (sent.status !== 202) throw await answerError(sent);
      await discard(sent);
      await this.#endUpload(uploadTarget(sent), await blob, { signal });
    } catch (error) {
      await this.#cancel(begun);
      throw error;
    }
  }

  /** Takes a blob over from another repository of the same registry. False when the registry would rather have it sent. */
  async mount(digest: Digest, from: string, { signal }: CallOptions = {}): Promise<boolean> {
    const target = `${this.#at('blobs', 'uploads')}/?${new URLSearchParams({ mount: digest, from }).toString()}`;
    const scopes = [this.#scope('push'), `repository:${from}:pull`];
    let response: HttpResponse;
    try {
      response = await this.session.send({ method: 'POST', target, scopes, signal, body: Buffer.alloc(0) });
    } catch (error) {
      // Of a repository that we may not read: then it is sent.
      if (['unauthorized', 'forbidden', 'not-found'].includes(errorCode(error))) return false;
      throw error;
    }
    await discard(response);
    if (response.status === 202) await this.#cancel(response);
    return response.status === 201;
  }

  /** Names `bytes` by `reference`, a tag or their digest. */
  async putManifest(
    reference: string,
    descriptor: Descriptor,
    bytes: Uint8Array,
    options: CallOptions = {},
  ): Promise<void> {
    await this.#putManifest(reference, descriptor, bytes, options);
  }

  /**
   * Puts a manifest that names `subject`. A registry without the referrers API does not say that it understood: then the
   * list that stands for it, under a tag made of the subject's digest, is written here (distribution-spec, "Pushing
   * Manifests with Subject").
   */
  async putReferrer(
    subject: Pick<Descriptor, 'digest'>,
    descriptor: Descriptor,
    bytes: Uint8Array,
    options: CallOptions = {},
  ): Promise<void> {
    const { artifactType: _, ...plain } = descriptor;
    const response = await this.#putManifest(descriptor.digest, plain, bytes, options);
    if (headerText(response, 'oci-subject') !== undefined) return;
    const tag = subject.digest.replace(':', '-');
    const known = await this.referrers(subject.digest, options);
    if (known.some(({ digest }) => digest === descriptor.digest)) return;
    const mediaType = MEDIA_TYPES.ociIndex;
    const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests: [...known, descriptor] }));
    await this.putManifest(tag, { mediaType, digest: sha256(index), size: index.byteLength }, index, options);
  }

  async #putManifest(
    reference: string,
    descriptor: Descriptor,
    bytes: Uint8Array,
    { signal }: CallOptions,
  ): Promise<HttpResponse> {
    const headers = { 'content-type': descriptor.mediaType };
    const response = await withRetry(
      () =>
        this.#call({
          method: 'PUT',
          target: this.#at('manifests', reference),
          headers,
          body: bytes,
          action: 'push',
          signal,
        }),
      { ...this.#retry, signal },
    );
    if (response.status !== 201 && response.status !== 202) throw await answerError(response);
    await discard(response);
    const said = headerText(response, 'docker-content-digest');
    if (said !== undefined && said !== descriptor.digest) {
      throw new EngineError('corrupt', `the registry has ${said} of what was sent as ${descriptor.digest}`);
    }
    return response;
  }

  async tags({ signal }: CallOptions = {}): Promise<string[]> {
    const tags: string[] = [];
    let target: string | URL | undefined = this.#at('tags', 'list');
    for (let pages = 0; target !== undefined && pages < MAX_TAG_PAGES; pages++) {
      const response = await this.#call({ method: 'GET', target, signal });
      if (response.status !== 200) throw await answerError(response);
      const page = JSON.parse((await readAll(response, MAX_DOCUMENT_BYTES)).toString('utf8')) as { tags?: unknown };
      if (Array.isArray(page.tags)) tags.push(...page.tags.filter((tag) => typeof tag === 'string'));
      target = nextPage(response);
    }
    return tags;
  }

  /** Manifests whose subject is `digest`. A registry without the referrers API keeps them under a tag made of it. */
  async referrers(
    digest: Digest,
    options: CallOptions & { readonly artifactType?: string } = {},
  ): Promise<Descriptor[]> {
    const query =
      options.artifactType === undefined
        ? ''
        : `?${new URLSearchParams({ artifactType: options.artifactType }).toString()}`;
    const { signal } = options;
    let response = await this.#call({ method: 'GET', target: `${this.#at('referrers', digest)}${query}`, signal });
    if (response.status === 404) {
      await discard(response);
      response = await this.#call({
        method: 'GET',
        target: this.#at('manifests', digest.replace(':', '-')),
        headers: { accept: ACCEPT },
        signal,
      });
      if (response.status === 404) {
        await discard(response);
        return [];
      }
    }
    if (response.status !== 200) throw await answerError(response);
    const { manifests } = JSON.parse((await readAll(response, MAX_DOCUMENT_BYTES)).toString('utf8')) as {
      manifests?: Descriptor[];
    };
    const all = Array.isArray(manifests) ? manifests : [];
    return options.artifactType === undefined ? all : all.filter((one) => one.artifactType === options.artifactType);
  }

  async #open(target: Target, position: number, signal: AbortSignal | undefined): Promise<Bytes> {
    const headers: Record<string, string> = position > 0 ? { range: `bytes=${position}-` } : {};
    const response = await this.#call({ method: 'GET', target: this.#at('blobs', target.digest), headers, signal });
    if (response.status === 416) {
      await discard(response);
      throw sizeError(target, `at most ${position}`);
    }
    if (response.status !== 200 && response.status !== 206) throw await answerError(response);
    const range = /^bytes (\d+)-/.exec(headerText(response, 'content-range') ?? '');
    const start = response.status === 206 ? Number(range?.[1]) : 0;
    const length = headerText(response, 'content-length');
    if (start !== 0 && start !== position) throw sizeError(target, `other`);
    if (length !== undefined && Number(length) + start !== target.size) {
      response.body.destroy();
      throw sizeError(target, String(Number(length) + start));
    }
    return start === position ? response.body : skip(response.body, position);
  }

  async #upload(
    target: Target,
    body: Bytes,
    { signal, release }: CallOptions & { readonly release?: boolean | undefined },
  ): Promise<void> {
    const begun = await this.#beginUpload(signal);
    await this.#endUpload(uploadTarget(begun), target, {
      signal,
      ...(target.size > 0 && {
        body,
        releaseBody: release,
        headers: { 'content-type': 'application/octet-stream', 'content-length': String(target.size) },
      }),
    });
  }

  async #beginUpload(signal: AbortSignal | undefined): Promise<HttpResponse> {
    const target = `${this.#at('blobs', 'uploads')}/`;
    const begun = await this.#call({ method: 'POST', target, action: 'push', body: Buffer.alloc(0), signal });
    if (begun.status !== 202) throw await answerError(begun);
    await discard(begun);
    return begun;
  }

  /** Sends what is left, and says what the whole is. */
  async #endUpload(
    url: URL,
    { digest }: Target,
    rest: Pick<CallRequest, 'headers' | 'body' | 'releaseBody' | 'signal'>,
  ): Promise<void> {
    url.searchParams.set('digest', digest);
    const response = await this.#call({ method: 'PUT', target: url, action: 'push', body: Buffer.alloc(0), ...rest });
    if (response.status !== 201 && response.status !== 204) throw await answerError(response);
    await discard(response);
  }

  /** A mount that was not made has begun an upload, which takes room there. */
  async #cancel(begun: HttpResponse): Promise<void> {
    try {
      await discard(await this.#call({ method: 'DELETE', target: uploadTarget(begun), action: 'push' }));
    } catch {
      // The registry ends it by itself, in time.
    }
  }

  #call(request: CallRequest): Promise<HttpResponse> {
    return this.session.send({ ...request, scopes: [this.#scope(request.action ?? 'pull')] });
  }

  #scope(action: 'pull' | 'push'): string {
    return `repository:${this.path}:${action === 'push' ? 'pull,push' : 'pull'}`;
  }

  #at(kind: 'manifests' | 'blobs' | 'tags' | 'referrers', name: string): string {
    return `v2/${this.path}/${kind}/${name}`;
  }
}

function uploadTarget(begun: HttpResponse): URL {
  const location = headerText(begun, 'location');
  if (location === undefined) throw new EngineError('unavailable', `${begun.url.host} does not say where to upload to`);
  return redirectTarget(begun.url, location);
}

/** The type of what came; a document that says another one of itself is refused, for others would believe that. */
function manifestType(response: HttpResponse, bytes: Buffer): string {
  let document: { mediaType?: unknown; schemaVersion?: unknown };
  try {
    document = JSON.parse(bytes.toString('utf8')) as typeof document;
  } catch (error) {
    throw new EngineError('corrupt', 'invalid manifest: not JSON', { cause: error });
  }
  const type = typeOf(response);
  if (document?.schemaVersion === 1 || (type !== undefined && SCHEMA_1.test(type) && document?.schemaVersion !== 2)) {
    throw new EngineError(
      'unimplemented',
      'the image is in the format of Docker 1.9 and before (manifest schema 1), which is not supported: push it again with a newer Docker',
    );
  }
  const own = typeof document?.mediaType === 'string' ? document.mediaType : undefined;
  const mediaType = type === undefined || type === 'application/json' || type.startsWith('text/plain') ? own : type;
  if (mediaType === undefined || (own !== undefined && own !== mediaType)) {
    throw new EngineError(
      'corrupt',
      `invalid manifest: it came as ${type ?? 'no type'} and says that it is ${own ?? 'none'}`,
    );
  }
  return mediaType;
}

function typeOf(response: HttpResponse): string | undefined {
  return headerText(response, 'content-type')?.split(';')[0]!.trim().toLowerCase() || undefined;
}

function headerText({ headers }: HttpResponse, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function nextPage(response: HttpResponse): URL | undefined {
  const link = /^\s*<([^>]+)>\s*;\s*rel="?next"?/.exec(headerText(response, 'link') ?? '')?.[1];
  if (link === undefined) return undefined;
  const next = redirectTarget(response.url, link);
  return next.origin === response.url.origin ? next : undefined;
}

function digestOf(bytes: Uint8Array, like: Digest | undefined): Digest {
  if (!like?.startsWith('sha512:')) return sha256(bytes);
  return `sha512:${hasherFor(like).update(bytes).digest('hex')}`;
}

function sameContent(bytes: Uint8Array, said: string): boolean {
  return isDigest(said) && digestOf(bytes, said) === said;
}

function sizeError({ digest, size }: Target, found: string): EngineError {
  return new EngineError('corrupt', `${digest} has ${found} bytes instead of ${size}`);
}

function isBroken(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  return /^(?:ECONNRESET|EPIPE|ETIMEDOUT|ERR_STREAM|HPE_)/.test(code);
}

async function* skip(body: Bytes, count: number): Bytes {
  let left = count;
  for await (const chunk of body) {
    if (chunk.byteLength > left) yield left === 0 ? chunk : chunk.subarray(left);
    left = Math.max(0, left - chunk.byteLength);
  }
}
