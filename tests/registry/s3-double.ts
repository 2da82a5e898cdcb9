import { createHash, createHmac, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

interface Stored {
  readonly body: Buffer;
  readonly modifiedAt: Date;
}

interface Parts {
  readonly key: string;
  readonly begunAt: Date;
  readonly bodies: Map<number, Buffer>;
}

class S3Error extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string = code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/**
 * As much of S3 as a registry asks for, in memory, as its reference describes it: objects, ranges, listings in pages with
 * opaque tokens, parts, copies, writes that are made once. A request that is not signed as it must be, or whose body is not the one that was signed, is refused.
 */
export class S3Double implements AsyncDisposable {
  readonly bucket = 'images';
  readonly region = 'eu-test-1';
  readonly credentials = { accessKeyId: 'TESTKEY', secretAccessKey: 'very/secret+key' };
  readonly objects = new Map<string, Stored>();
  readonly parts = new Map<string, Parts>();
  /** `GET /images/key`, in the order they came. */
  readonly asked: string[] = [];
  /** Requests that are answered with 503 before the next one is served. */
  failures = 0;
  /** Writes "if there is none" that are told first that another one is at it. */
  conflicts = 0;
  /** Compositions and copies that fail after their status was sent. */
  lateErrors = 0;
  /** Compositions whose answer is lost on the way. */
  lostAnswers = 0;
  /** Keys in one page of a listing, uploads in one of theirs. */
  pageSize = 2;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => void this.#handle(request, response));
  }

  static async open(): Promise<S3Double> {
    const double = new S3Double();
    await new Promise<void>((resolve) => double.#server.listen(0, '127.0.0.1', resolve));
    return double;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const body = Buffer.concat(await Array.fromAsync(request as AsyncIterable<Buffer>));
      const url = new URL(request.url!, this.endpoint);
      this.asked.push(`${request.method} ${decodeURIComponent(url.pathname)}`);
      if (this.failures > 0 && this.failures--) throw new S3Error(503, 'SlowDown');
      this.#checkSignature(request, url, body);
      const [, bucket, ...rest] = decodeURIComponent(url.pathname).split('/');
      if (bucket !== this.bucket) throw new S3Error(404, 'NoSuchBucket');
      this.#serve({ request, response, url, key: rest.join('/'), body });
    } catch (error) {
      const { status = 500, code = 'InternalError', message } = error as Partial<S3Error>;
      const xml = `<Error><Code>${code}</Code><Message>${message}</Message></Error>`;
      response.writeHead(status).end(request.method === 'HEAD' ? undefined : xml);
    }
  }

  #serve(call: { request: IncomingMessage; response: ServerResponse; url: URL; key: string; body: Buffer }): void {
    const { request, response, url, key, body } = call;
    const { searchParams: query } = url;
    const upload = query.get('uploadId');
    switch (request.method) {
      case 'GET':
        if (key === '') return query.has('uploads') ? this.#listParts(response, query) : this.#list(response, query);
        return this.#read(request, response, key);
      case 'HEAD':
        return this.#read(request, response, key);
      case 'DELETE':
        if (upload === null) this.objects.delete(key);
        else if (!this.parts.delete(upload)) throw new S3Error(404, 'NoSuchUpload');
        return void response.writeHead(204).end();
      case 'POST':
        if (query.has('uploads')) {
          const id = randomUUID();
          this.parts.set(id, { key, begunAt: new Date(), bodies: new Map() });
          return void response.end(
            `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
          );
        }
        return this.#complete(response, this.#upload(upload), upload!, body);
      case 'PUT':
        return this.#put(call);
      default:
        throw new S3Error(405, 'MethodNotAllowed');
    }
  }

  #put({
    request,
    response,
    url,
    key,
    body,
  }: {
    request: IncomingMessage;
    response: ServerResponse;
    url: URL;
    key: string;
    body: Buffer;
  }): void {
    const upload = url.searchParams.get('uploadId');
    const from = request.headers['x-amz-copy-source'];
    let content = body;
    if (typeof from === 'string') {
      content = this.#object(decodeURIComponent(from).split('/').slice(2).join('/')).body;
      const range = /^bytes=(\d+)-(\d+)$/.exec(String(request.headers['x-amz-copy-source-range'] ?? ''));
      if (range) content = content.subarray(Number(range[1]), Number(range[2]) + 1);
    }
    if (from !== undefined && this.lateErrors > 0 && this.lateErrors--) return lateError(response);
    const tag = `"${createHash('md5').update(content).digest('hex')}"`;
    const once = request.headers['if-none-match'];
    if (once !== undefined && once !== '*') throw new S3Error(501, 'NotImplemented');
    if (upload !== null) {
      const number = Number(url.searchParams.get('partNumber'));
      if (!Number.isInteger(number) || number < 1 || number > 10_000) throw new S3Error(400, 'InvalidArgument');
      this.#upload(upload).bodies.set(number, content);
    } else if (once && this.conflicts > 0 && this.conflicts--) throw new S3Error(409, 'ConditionalRequestConflict');
    else if (once && this.objects.has(key)) throw new S3Error(412, 'PreconditionFailed');
    else this.objects.set(key, { body: content, modifiedAt: new Date() });
    response.setHeader('etag', tag);
    response.end(
      from === undefined
        ? undefined
        : `<Copy${upload === null ? 'Object' : 'Part'}Result><ETag>${tag.replaceAll('"', '&quot;')}</ETag></Copy${upload === null ? 'Object' : 'Part'}Result>`,
    );
  }

  #read(request: IncomingMessage, response: ServerResponse, key: string): void {
    const { body, modifiedAt } = this.#object(key);
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    if (range && Number(range[1]) >= body.length) throw new S3Error(416, 'InvalidRange');
    const part = range ? body.subarray(Number(range[1]), range[2] === '' ? undefined : Number(range[2]) + 1) : body;
    response.writeHead(range ? 206 : 200, {
      'content-length': part.length,
      'last-modified': modifiedAt.toUTCString(),
      'content-type': 'binary/octet-stream',
    });
    response.end(request.method === 'HEAD' ? undefined : part);
  }

  #list(response: ServerResponse, query: URLSearchParams): void {
    const prefix = query.get('prefix') ?? '';
    const delimiter = query.get('delimiter');
    // Nothing that a client could make of a name.
    const after = Buffer.from((query.get('continuation-token') ?? '').slice(1), 'base64').toString();
    const items = new Map<string, string>();
    for (const [key, { body, modifiedAt }] of this.objects) {
      if (!key.startsWith(prefix)) continue;
      const cut = delimiter === null ? -1 : key.indexOf(delimiter, prefix.length);
      const name = cut < 0 ? key : key.slice(0, cut + 1);
      const text = name.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
      const contents = `<Contents><Key>${text}</Key><LastModified>${modifiedAt.toISOString()}</LastModified><Size>${body.length}</Size></Contents>`;
      items.set(name, cut < 0 ? contents : `<CommonPrefixes><Prefix>${text}</Prefix></CommonPrefixes>`);
    }
    const names = [...items.keys()].sort().filter((name) => name > after);
    const page = names.slice(0, this.pageSize);
    const more = names.length > page.length;
    const token = more
      ? `<NextContinuationToken>+${Buffer.from(page.at(-1)!).toString('base64')}</NextContinuationToken>`
      : '';
    const xml = page.map((name) => items.get(name)!).join('');
    response.end(`<ListBucketResult><IsTruncated>${more}</IsTruncated>${xml}${token}</ListBucketResult>`);
  }

  #listParts(response: ServerResponse, query: URLSearchParams): void {
    const place = (key: string, id: string): string => `${key}\0${id}`;
    const after = query.has('key-marker')
      ? place(query.get('key-marker')!, query.get('upload-id-marker') ?? '\u{10FFFF}')
      : '';
    const all = [...this.parts]
      .filter(([id, { key }]) => key.startsWith(query.get('prefix') ?? '') && place(key, id) > after)
      .sort(([a, { key: one }], [b, { key: two }]) => (place(one, a) < place(two, b) ? -1 : 1));
    const page = all.slice(0, this.pageSize);
    const last = page.at(-1);
    const more =
      all.length > page.length
        ? `<NextKeyMarker>${last![1].key}</NextKeyMarker><NextUploadIdMarker>${last![0]}</NextUploadIdMarker>`
        : '';
    const items = page.map(
      ([id, { key, begunAt }]) =>
        `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>${begunAt.toISOString()}</Initiated></Upload>`,
    );
    response.end(
      `<ListMultipartUploadsResult><IsTruncated>${more !== ''}</IsTruncated>${more}${items.join('')}</ListMultipartUploadsResult>`,
    );
  }

  #complete(response: ServerResponse, { key, bodies }: Parts, id: string, body: Buffer): void {
    const numbers = [...body.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber><ETag>"?([0-9a-f]+)"?<\/ETag>/g)];
    if (numbers.length === 0) throw new S3Error(400, 'MalformedXML');
    if (numbers.some(([, number], index) => index > 0 && Number(number) <= Number(numbers[index - 1]![1])))
      throw new S3Error(400, 'InvalidPartOrder');
    if (this.lateErrors > 0 && this.lateErrors--) return lateError(response);
    const parts = numbers.map(([, number, tag], index) => {
      const part = bodies.get(Number(number));
      if (!part || createHash('md5').update(part).digest('hex') !== tag) throw new S3Error(400, 'InvalidPart');
      if (index < numbers.length - 1 && part.length < 5 << 20) throw new S3Error(400, 'EntityTooSmall');
      return part;
    });
    this.objects.set(key, { body: Buffer.concat(parts), modifiedAt: new Date() });
    this.parts.delete(id);
    if (this.lostAnswers > 0 && this.lostAnswers--) return void response.destroy();
    response.end('<CompleteMultipartUploadResult></CompleteMultipartUploadResult>');
  }

  #object(key: string): Stored {
    const object = this.objects.get(key);
    if (!object) throw new S3Error(404, 'NoSuchKey');
    return object;
  }

  #upload(id: string | null): Parts {
    const parts = this.parts.get(id ?? '');
    if (!parts) throw new S3Error(404, 'NoSuchUpload');
    return parts;
  }

  /** Made from the bytes that came, not from what the client's code makes of them. */
  #checkSignature(request: IncomingMessage, url: URL, body: Buffer): void {
    const [path, search = ''] = request.url!.split('?');
    const pairs = search === '' ? [] : search.split('&').map((pair) => (pair.includes('=') ? pair : `${pair}=`));
    const presigned = url.searchParams.get('X-Amz-Signature');
    const header = /^AWS4-HMAC-SHA256 Credential=([^,]+),\s*SignedHeaders=([^,]+),\s*Signature=([0-9a-f]{64})$/.exec(
      request.headers.authorization ?? '',
    );
    const [credential, names, given] = presigned
      ? [url.searchParams.get('X-Amz-Credential')!, url.searchParams.get('X-Amz-SignedHeaders')!, presigned]
      : [header?.[1] ?? '', header?.[2] ?? '', header?.[3] ?? ''];
    const stamp = presigned ? url.searchParams.get('X-Amz-Date')! : String(request.headers['x-amz-date']);
    const time = Date.parse(stamp.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
    const life = presigned ? Number(url.searchParams.get('X-Amz-Expires')) : 900;
    if (!(Math.abs(Date.now() - time) < life * 1000)) throw new S3Error(403, 'RequestTimeTooSkewed');
    const hash = presigned ? 'UNSIGNED-PAYLOAD' : String(request.headers['x-amz-content-sha256']);
    if (!presigned && createHash('sha256').update(body).digest('hex') !== hash)
      throw new S3Error(400, 'XAmzContentSHA256Mismatch');
    if (presigned && request.method !== 'GET') throw new S3Error(403, 'AccessDenied');
    const headers = names.split(';').map((name) => `${name}:${String(request.headers[name]).trim()}\n`);
    const query = pairs.filter((pair) => !pair.startsWith('X-Amz-Signature=')).sort();
    const canonical = [request.method, path, query.join('&'), headers.join(''), names, hash].join('\n');
    const scope = `${stamp.slice(0, 8)}/${this.region}/s3/aws4_request`;
    const text = ['AWS4-HMAC-SHA256', stamp, scope, createHash('sha256').update(canonical).digest('hex')].join('\n');
    let key = Buffer.from(`AWS4${this.credentials.secretAccessKey}`);
    for (const part of scope.split('/')) key = createHmac('sha256', key).update(part).digest();
    const expected = createHmac('sha256', key).update(text).digest('hex');
    if (credential !== `${this.credentials.accessKeyId}/${scope}` || given !== expected) {
      throw new S3Error(403, 'SignatureDoesNotMatch', 'The request signature does not match');
    }
  }
}

/** As large compositions and copies fail: the status was sent to keep the connection open. */
function lateError(response: ServerResponse): void {
  response.end('<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>');
}
