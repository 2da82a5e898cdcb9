import { createHash } from 'node:crypto';
import { EngineError } from '../../base/errors.ts';
import { collect } from '../../content/children.ts';
import type { Bytes } from '../../content/content-store.ts';
import { discard } from '../client/answers.ts';
import { type HttpResponse, HttpTransport } from '../client/http.ts';
import { withRetry } from '../client/retry.ts';
import {
  EMPTY_HASH,
  encodeS3,
  presignedUrl,
  type S3Credentials,
  signedHeaders,
  type SigningContext,
} from './signature.ts';

export interface S3ClientOptions {
  /** `https://s3.eu-central-1.amazonaws.com`, `http://minio.lan:9000` */
  readonly endpoint: URL;
  readonly bucket: string;
  /** Before every key; '' or with a slash at its end. */
  readonly prefix: string;
  readonly region: string;
  readonly credentials: S3Credentials;
  /** Before a request is tried again. */
  readonly retryDelayMs?: number | undefined;
}

export interface S3Object {
  readonly key: string;
  readonly size: number;
  readonly modifiedAt: Date;
}

type Method = 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';

const MAX_XML = 16 << 20;
const MAX_TEXT = 16 << 20;
/** More is not copied in one request. */
const MAX_COPY = 5 * 2 ** 30;
const COPY_PART = 2 ** 30;

/** One bucket of an S3-compatible store, by path-style addresses. */
export class S3Client {
  readonly #options: S3ClientOptions;
  readonly #transport = new HttpTransport({ verify: true }, { maxSockets: 64 });

  constructor(options: S3ClientOptions) {
    this.#options = options;
  }

  async head(key: string): Promise<Omit<S3Object, 'key'> | undefined> {
    const response = await this.#send('HEAD', key, { accept: [404] });
    await discard(response);
    if (response.status === 404) return undefined;
    return {
      size: Number(response.headers['content-length']),
      modifiedAt: new Date(response.headers['last-modified'] ?? 0),
    };
  }

  /** Throws `not-found`. */
  async *read(key: string, range?: { readonly start: number; readonly end?: number }): Bytes {
    const headers: Record<string, string> = range ? { range: `bytes=${range.start}-${range.end ?? ''}` } : {};
    const response = await this.#send('GET', key, { headers, accept: [404] });
    if (response.status === 404) {
      await discard(response);
      throw new EngineError('not-found', `the bucket has no ${key}`);
    }
    yield* response.body;
  }

  async text(key: string): Promise<string | undefined> {
    const response = await this.#send('GET', key, { accept: [404] });
    if (response.status === 404) {
      await discard(response);
      return undefined;
    }
    return (await collect(response.body, MAX_TEXT, key)).toString('utf8');
  }

  /** With `once`, false where there is one already. */
  async put(key: string, body: Uint8Array, { once = false }: { once?: boolean } = {}): Promise<boolean> {
    const headers: Record<string, string> = once ? { 'if-none-match': '*' } : {};
    // 409 is another write at this moment, which may fail yet: that is asked again.
    const response = await this.#send('PUT', key, { body, headers, accept: once ? [412] : [] });
    await discard(response);
    return response.status === 200;
  }

  /** Idempotent. */
  async delete(key: string): Promise<void> {
    await discard(await this.#send('DELETE', key, { accept: [404] }));
  }

  /** Objects below a prefix, in the order of their keys; with a delimiter those directly below it, and prefixes of the others. */
  async *list(
    prefix: string,
    { delimiter }: { delimiter?: string } = {},
  ): AsyncIterable<S3Object | { prefix: string }> {
    for (let token: string | undefined; ;) {
      const query = {
        'list-type': '2',
        prefix: this.#options.prefix + prefix,
        ...(delimiter !== undefined && { delimiter }),
        ...(token !== undefined && { 'continuation-token': token }),
      };
      const response = await this.#send('GET', undefined, { query });
      const xml = (await collect(response.body, MAX_XML, 'the listing')).toString('utf8');
      for (const [, item] of xml.matchAll(/<Contents>(.*?)<\/Contents>/gs)) {
        yield {
          key: this.#own(element(item!, 'Key')),
          size: Number(element(item!, 'Size')),
          modifiedAt: new Date(element(item!, 'LastModified')),
        };
      }
      for (const [, item] of xml.matchAll(/<CommonPrefixes>(.*?)<\/CommonPrefixes>/gs)) {
        yield { prefix: this.#own(element(item!, 'Prefix')) };
      }
      token = element(xml, 'IsTruncated') === 'true' ? element(xml, 'NextContinuationToken') : undefined;
      if (token === undefined) return;
    }
  }

  /** Begins an object in parts. */
  async beginParts(key: string): Promise<string> {
    const response = await this.#send('POST', key, { query: { uploads: '' } });
    return element((await collect(response.body, MAX_XML, key)).toString('utf8'), 'UploadId');
  }

  /** Gives the part's tag, for `endParts`. Parts are of 5 MiB at least, save the last. */
  async putPart(key: string, upload: string, number: number, body: Uint8Array): Promise<string> {
    const response = await this.#send('PUT', key, { query: { partNumber: String(number), uploadId: upload }, body });
    await discard(response);
    return tagOf(response);
  }

  async endParts(key: string, upload: string, tags: readonly string[]): Promise<void> {
    const parts = tags.map((tag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${tag}</ETag></Part>`);
    const body = Buffer.from(`<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`);
    const response = await this.#send('POST', key, { query: { uploadId: upload }, body, accept: [404] });
    if (response.status === 404) {
      await discard(response);
      // An answer that was lost on the way: it was put together the first time. Nobody else writes to such a key.
      if (await this.head(key)) return;
      throw new EngineError('unavailable', `the object store forgot the parts of ${key}`);
    }
    const xml = (await collect(response.body, MAX_XML, key)).toString('utf8');
    // An error may come behind a status of 200.
    if (!xml.includes('<CompleteMultipartUploadResult')) {
      throw new EngineError('unavailable', `the object store did not put ${key} together: ${element(xml, 'Message')}`);
    }
  }

  async dropParts(key: string, upload: string): Promise<void> {
    await discard(await this.#send('DELETE', key, { query: { uploadId: upload }, accept: [404] }));
  }

  /** Uploads that nobody ended. */
  async *openParts(): AsyncIterable<{ key: string; upload: string; begunAt: Date }> {
    for (let after: Record<string, string> | undefined = {}; after;) {
      const query = { uploads: '', prefix: this.#options.prefix, ...after };
      const response = await this.#send('GET', undefined, { query });
      const xml = (await collect(response.body, MAX_XML, 'the listing')).toString('utf8');
      for (const [, item] of xml.matchAll(/<Upload>(.*?)<\/Upload>/gs)) {
        yield {
          key: this.#own(element(item!, 'Key')),
          upload: element(item!, 'UploadId'),
          begunAt: new Date(element(item!, 'Initiated')),
        };
      }
      const [key, upload] = [element(xml, 'NextKeyMarker'), element(xml, 'NextUploadIdMarker')];
      after =
        element(xml, 'IsTruncated') === 'true' && key !== ''
          ? { 'key-marker': key, ...(upload !== '' && { 'upload-id-marker': upload }) }
          : undefined;
    }
  }

  /** Within the store: nothing of it comes here. */
  async copy(from: string, to: string, size: number): Promise<void> {
    const source = { 'x-amz-copy-source': encodeS3(`/${this.#options.bucket}/${this.#options.prefix}${from}`, true) };
    if (size <= MAX_COPY) {
      const response = await this.#send('PUT', to, { headers: source });
      const xml = (await collect(response.body, MAX_XML, to)).toString('utf8');
      if (!xml.includes('<CopyObjectResult'))
        throw new EngineError('unavailable', `the object store did not copy ${to}`);
      return;
    }
    const upload = await this.beginParts(to);
    try {
      const tags: string[] = [];
      for (let start = 0; start < size; start += COPY_PART) {
        const range = { 'x-amz-copy-source-range': `bytes=${start}-${Math.min(start + COPY_PART, size) - 1}` };
        const query = { partNumber: String(tags.length + 1), uploadId: upload };
        const response = await this.#send('PUT', to, { query, headers: { ...source, ...range } });
        const xml = (await collect(response.body, MAX_XML, to)).toString('utf8');
        if (!xml.includes('<CopyPartResult'))
          throw new EngineError(
            'unavailable',
            `the object store did not copy a part of ${to}: ${element(xml, 'Message')}`,
          );
        tags.push(element(xml, 'ETag'));
      }
      await this.endParts(to, upload, tags);
    } catch (error) {
      await this.dropParts(to, upload).catch(() => undefined);
      throw error;
    }
  }

  presign(key: string, expiresSeconds: number): URL {
    return presignedUrl(this.#url(key, {}), { expiresSeconds }, this.#context());
  }

  close(): void {
    this.#transport.close();
  }

  /** Throws `unavailable`, `forbidden`, with the store's own words. */
  async #send(
    method: Method,
    key: string | undefined,
    options: {
      query?: Readonly<Record<string, string>>;
      headers?: Readonly<Record<string, string>>;
      body?: Uint8Array;
      accept?: readonly number[];
    } = {},
  ): Promise<HttpResponse> {
    const { query = {}, headers = {}, accept = [] } = options;
    const body = options.body ?? (method === 'PUT' || method === 'POST' ? new Uint8Array() : undefined);
    const payloadHash = body === undefined ? EMPTY_HASH : createHash('sha256').update(body).digest('hex');
    const url = this.#url(key, query);
    return withRetry(
      async () => {
        const signed = signedHeaders({ method, url, headers, payloadHash }, this.#context());
        const response = await this.#transport.send({ method, url, headers: signed, body });
        if ((response.status >= 200 && response.status < 300) || accept.includes(response.status)) return response;
        const words = method === 'HEAD' ? '' : (await collect(response.body, MAX_XML, 'its answer')).toString('utf8');
        if (method === 'HEAD') await discard(response);
        const code = response.status === 403 ? 'forbidden' : response.status === 404 ? 'not-found' : 'unavailable';
        const said = element(words, 'Message') || element(words, 'Code');
        throw new EngineError(code, `the object store answered ${response.status}${said === '' ? '' : `: ${said}`}`);
      },
      { attempts: 4, firstDelayMs: this.#options.retryDelayMs ?? 200 },
    );
  }

  #url(key: string | undefined, query: Readonly<Record<string, string>>): URL {
    const { endpoint, bucket, prefix } = this.#options;
    const url = new URL(endpoint);
    const path = key === undefined ? bucket : `${bucket}/${prefix}${key}`;
    url.pathname = `${endpoint.pathname.replace(/\/$/, '')}/${encodeS3(path, true)}`;
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    return url;
  }

  #context(): SigningContext {
    const { credentials, region } = this.#options;
    return { credentials, region, now: new Date() };
  }

  #own(key: string): string {
    return key.slice(this.#options.prefix.length);
  }
}

function tagOf({ headers }: HttpResponse): string {
  return headers.etag ?? '';
}

/** The text of the first element of that name; empty when there is none. */
function element(xml: string, name: string): string {
  const text = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1] ?? '';
  const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' };
  return text.replace(/&(?:#(\d+)|#x([0-9a-f]+)|(\w+));/gi, (all, decimal?: string, hex?: string, named?: string) =>
    decimal
      ? String.fromCodePoint(Number(decimal))
      : hex
        ? String.fromCodePoint(parseInt(hex, 16))
        : (entities[named!] ?? all),
  );
}
