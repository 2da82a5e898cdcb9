import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { chmod, copyFile, mkdir, open, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { basename, join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { EngineError, errorMessage } from '../../../base/errors.ts';
import { newId } from '../../../base/ids.ts';
import { KeyedMutex } from '../../../base/mutex.ts';
import { type Digest, sha256 } from '../../../oci/digest.ts';
import { withoutPassword } from './git-address.ts';
import type { KeptSource } from './kept-source.ts';
import { hostSecret, type SourceSecrets } from './source-secrets.ts';

export interface FetchedFile {
  /** Directory that holds nothing but the file. */
  readonly directory: string;
  readonly name: string;
  readonly digest: Digest;
}

export interface HttpOptions {
  /** `sha256:…`: what it must be. What is kept and has it is not asked for again. */
  readonly checksum: string | undefined;
  /** Instead of what the server or the address calls it. */
  readonly name: string | undefined;
  readonly secrets?: SourceSecrets | undefined;
  readonly signal: AbortSignal | undefined;
}

/** What is known of a kept file. */
interface Meta {
  readonly url: string;
  readonly name: string | undefined;
  readonly etag: string | undefined;
  readonly modified: string | undefined;
  readonly digest: Digest;
}

/**
 * Files of the web: `<root>/<hash of the address>/{meta,body}`, asked for again with what the server called them (ETag,
 * Last-Modified), so that one that did not change is not sent again. The body is synced before `meta` names it.
 */
export class HttpFiles {
  readonly #root: string;
  readonly #locks = new KeyedMutex();

  /** @param root `<data-root>/cache/http` */
  constructor(root: string) {
    this.#root = root;
  }

  /**
   * Puts what the address has into `directory`, which it makes: mode 0600, time of `Last-Modified`.
   * Throws `invalid-argument` when the server refuses, or when it is not what `checksum` says.
   */
  async fetch(url: string, directory: string, options: HttpOptions): Promise<FetchedFile> {
    const { checksum, signal } = options;
    const [, algorithm = 'sha256', expected] = /^(sha(?:256|384|512)):([0-9a-f]+)$/.exec(checksum ?? '') ?? [];
    if (checksum !== undefined && expected === undefined)
      throw new EngineError('invalid-argument', `invalid checksum ${JSON.stringify(checksum)}: it is sha256:… in hex`);
    const place = join(this.#root, sha256(url).slice(7, 39));
    await using _lock = await this.#locks.acquire(place);
    const kept = await readMeta(place);
    const known =
      kept !== undefined && expected !== undefined && (await digestOf(join(place, 'body'), algorithm)) === expected;
    const meta = known ? kept : await this.#ask(url, place, kept, options);
    if (expected !== undefined && !known) {
      const found = algorithm === 'sha256' ? meta.digest.slice(7) : await digestOf(join(place, 'body'), algorithm);
      if (found !== expected)
        throw new EngineError(
          'invalid-argument',
          `digest mismatch ${algorithm}:${found}: ${algorithm}:${expected} (of ${withoutPassword(url)})`,
        );
    }
    const name = options.name ?? meta.name;
    if (name === undefined)
      throw new EngineError(
        'invalid-argument',
        `cannot determine filename for source ${withoutPassword(url)}: name a file as destination`,
      );
    signal?.throwIfAborted();
    await mkdir(directory, { recursive: true });
    const path = join(directory, name);
    await copyFile(join(place, 'body'), path);
    await chmod(path, 0o600);
    const modified = Date.parse(meta.modified ?? '');
    const time = Number.isNaN(modified) ? 0 : modified / 1000;
    await utimes(path, time, time);
    const now = new Date();
    await utimes(place, now, now);
    return { directory, name, digest: meta.digest };
  }

  async list(): Promise<KeptSource[]> {
    const kept: KeptSource[] = [];
    for (const id of await readdir(this.#root).catch(() => [])) {
      const meta = await readMeta(join(this.#root, id));
      const [place, body] = await Promise.all(
        [join(this.#root, id), join(this.#root, id, 'body')].map((path) => stat(path).catch(() => undefined)),
      );
      if (meta && place)
        kept.push({ id, kind: 'http', name: withoutPassword(meta.url), size: body?.size ?? 0, usedAt: place.mtimeMs });
    }
    return kept;
  }

  async remove(id: string): Promise<void> {
    const place = join(this.#root, id);
    await using _lock = await this.#locks.acquire(place);
    await rm(join(place, 'meta'), { force: true });
    await rm(place, { recursive: true, force: true });
  }

  async #ask(url: string, place: string, kept: Meta | undefined, options: HttpOptions): Promise<Meta> {
    const headers = new Headers(await authorization(url, options.secrets));
    if (kept?.etag !== undefined) headers.set('If-None-Match', kept.etag);
    else if (kept?.modified !== undefined) headers.set('If-Modified-Since', kept.modified);
    const response = await get(url, headers, options.signal);
    if (response.status === 304 && kept) {
      await response.body?.cancel();
      return kept;
    }
    const hash = createHash('sha256');
    const counted = new Transform({
      transform: (chunk: Buffer, _, done) => {
        hash.update(chunk);
        done(null, chunk);
      },
    });
    await mkdir(place, { recursive: true, mode: 0o700 });
    const aside = join(place, `body-${newId().slice(0, 12)}`);
    try {
      const body = response.body ? Readable.fromWeb(response.body) : Readable.from([]);
      await pipeline(body, counted, createWriteStream(aside, { mode: 0o600 }), { signal: options.signal });
      await rm(join(place, 'meta'), { force: true });
      await rename(aside, join(place, 'body'));
    } catch (error) {
      await rm(aside, { force: true });
      throw error;
    }
    const meta: Meta = {
      url,
      name: fileName(url, response.headers),
      etag: response.headers.get('etag') ?? undefined,
      modified: response.headers.get('last-modified') ?? undefined,
      digest: `sha256:${hash.digest('hex')}`,
    };
    const file = await open(join(place, 'body'));
    await file.sync();
    await file.close();
    await writeFile(join(place, 'meta.new'), JSON.stringify(meta));
    await rename(join(place, 'meta.new'), join(place, 'meta'));
    return meta;
  }
}

async function readMeta(place: string): Promise<Meta | undefined> {
  try {
    return JSON.parse(await readFile(join(place, 'meta'), 'utf8')) as Meta;
  } catch {
    return undefined;
  }
}

async function digestOf(path: string, algorithm: string): Promise<string | undefined> {
  const hash = createHash(algorithm);
  try {
    await pipeline(createReadStream(path), hash);
  } catch {
    return undefined;
  }
  return hash.digest('hex');
}

/** `HTTP_AUTH_HEADER_<host>`, `HTTP_AUTH_TOKEN_<host>`. */
async function authorization(url: string, secrets: SourceSecrets | undefined): Promise<Record<string, string>> {
  if (!secrets) return {};
  const { hostname } = new URL(url);
  const header = await hostSecret(secrets, 'HTTP_AUTH_HEADER', hostname, '_');
  if (header !== undefined) return { Authorization: header };
  const token = await hostSecret(secrets, 'HTTP_AUTH_TOKEN', hostname, '_');
  return token === undefined ? {} : { Authorization: `Bearer ${token}` };
}

async function get(url: string, headers: Headers, signal: AbortSignal | undefined): Promise<Response> {
  let response: Response;
  const shown = withoutPassword(url);
  try {
    const address = new URL(url);
    if (address.username !== '' || address.password !== '') {
      const user = `${decodeURIComponent(address.username)}:${decodeURIComponent(address.password)}`;
      if (!headers.has('Authorization')) headers.set('Authorization', `Basic ${Buffer.from(user).toString('base64')}`);
      [address.username, address.password] = ['', ''];
    }
    response = await follow(address, headers, signal);
  } catch (error) {
    if (signal?.aborted) throw error;
    const { cause } = error as Error;
    throw new EngineError('invalid-argument', `cannot fetch ${shown}: ${errorMessage(cause ?? error)}`, {
      cause: error,
    });
  }
  if (!response.ok && response.status !== 304) {
    await response.body?.cancel();
    throw new EngineError('invalid-argument', `invalid response status ${response.status} of ${shown}`);
  }
  return response;
}

/** Not `fetch`, which has a list of ports that it never goes to. Credentials go to the first origin alone. */
async function follow(first: URL, headers: Headers, signal: AbortSignal | undefined): Promise<Response> {
  let address = first;
  for (let redirects = 0; ; redirects++) {
    const response = await ask(address, headers, signal);
    const location = response.headers.get('location');
    if (!REDIRECTS.has(response.status) || location === null) return response;
    await response.body?.cancel();
    if (redirects >= MAX_REDIRECTS) throw new Error(`stopped after ${MAX_REDIRECTS} redirects`);
    const next = new URL(location, address);
    if (next.protocol !== 'http:' && next.protocol !== 'https:') throw new Error(`a redirect to ${next.protocol}`);
    if (next.origin !== address.origin) headers.delete('Authorization');
    address = next;
  }
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const MAX_REDIRECTS = 10;
/** Milliseconds in which nothing at all comes. */
const SILENCE = 300_000;

function ask(address: URL, headers: Headers, signal: AbortSignal | undefined): Promise<Response> {
  const { promise, resolve, reject } = Promise.withResolvers<Response>();
  const send = address.protocol === 'https:' ? httpsRequest : httpRequest;
  const options = {
    agent: false,
    timeout: SILENCE,
    headers: { Accept: '*/*', 'User-Agent': 'gantry', ...Object.fromEntries(headers) },
    ...(signal && { signal }),
  };
  const asked = send(address, options, (answer) => {
    const status = answer.statusCode ?? 0;
    const received = new Headers();
    for (let at = 0; at + 1 < answer.rawHeaders.length; at += 2)
      received.append(answer.rawHeaders[at]!, answer.rawHeaders[at + 1]!);
    const isEmpty = status === 204 || status === 205 || status === 304;
    if (isEmpty) answer.resume();
    const body = isEmpty ? null : (Readable.toWeb(answer) as ReadableStream<Uint8Array>);
    resolve(new Response(body, { status, headers: received }));
  });
  asked.on('timeout', () => asked.destroy(new Error('the server says nothing')));
  asked.on('error', reject);
  asked.end();
  return promise;
}

function fileName(url: string, headers: Headers): string | undefined {
  const disposition = /filename="?([^";]+)"?/i.exec(headers.get('content-disposition') ?? '')?.[1];
  for (const candidate of [disposition, decodeURIComponent(new URL(url).pathname)]) {
    const name = candidate === undefined || candidate.endsWith('/') ? '' : basename(candidate);
    if (name !== '' && name !== '.' && name !== '..' && !name.includes('\0')) return name;
  }
  return undefined;
}
