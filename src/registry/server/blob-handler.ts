import { open, readFile } from 'node:fs/promises';
import type { Digest } from '../../oci/digest.ts';
import { type Call, wrongMethod } from './call.ts';
import { ProtocolError } from './protocol-error.ts';
import { sendBlob, sendPart } from './send-file.ts';

/** A file up to this size is read at once: a stream would cost more than its content. */
const SMALL_BYTES = 64 << 10;

/** `GET`, `HEAD`, `DELETE /v2/<name>/blobs/<digest>` */
export async function handleBlob(
  call: Call,
  { repository, digest }: { repository: string; digest: Digest },
): Promise<void> {
  const { request, response, repositories } = call;
  if (request.method === 'DELETE') {
    if (!(await repositories.links.unlinkBlob(repository, digest))) throw unknown();
    response.writeHead(202, { 'content-length': 0 }).end();
    return;
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') throw wrongMethod('GET, HEAD, DELETE');
  const here = await repositories.blob(repository, digest);
  if (!here && call.cache && request.method === 'HEAD') {
    const size = await call.cache.blobSize(repository, digest);
    if (size === undefined) throw unknown();
    response.writeHead(200, { ...blobHeaders(digest), 'content-length': size }).end();
    return;
  }
  const coming = here ? undefined : await call.cache?.blob(repository, digest);
  const flight = coming === 'here' ? undefined : coming;
  const blob = here ?? flight ?? (coming && (await repositories.blob(repository, digest)));
  if (!blob) throw unknown();
  for (const [name, value] of Object.entries(blobHeaders(digest))) response.setHeader(name, value);
  if (request.method === 'HEAD') {
    // Whoever asks so is about to push something that names it.
    const isLink = here !== undefined && (await repositories.links.hasBlob(repository, digest));
    if (isLink && !(await repositories.touchBlob(repository, digest))) throw unknown();
    response.writeHead(200, { 'content-length': blob.size }).end();
    return;
  }
  if (request.headers['if-none-match'] === `"${digest}"`) return void response.writeHead(304).end();
  const url = flight ? undefined : repositories.content.url?.(digest);
  if (url) {
    response.removeHeader('content-type');
    return void response.writeHead(307, { location: url.href, 'cache-control': 'no-store', 'content-length': 0 }).end();
  }
  const range = parseRange(request.headers.range, blob.size);
  const { start, end } = range ?? { start: 0, end: blob.size - 1 };
  const head = [
    range ? 206 : 200,
    {
      'content-length': end - start + 1,
      ...(range && { 'content-range': `bytes ${start}-${end}/${blob.size}` }),
    },
  ] as const;
  if (flight) return flight.send(response.writeHead(...head), { start, end });
  const { content } = repositories;
  // It is open before anything is promised: one that was deleted this very moment is unknown, and no answer that breaks off.
  if (content.path && blob.size <= SMALL_BYTES) {
    const bytes = await readFile(content.path(digest)).catch(unknownWhenGone);
    response.writeHead(...head).end(bytes.subarray(start, end + 1));
  } else if (content.path) {
    await using file = await open(content.path(digest), 'r').catch(unknownWhenGone);
    response.writeHead(...head);
    await sendPart(response, file, { start, end });
    response.end();
  } else {
    response.writeHead(...head);
    await sendBlob(response, content, digest, { start, end });
  }
}

function unknownWhenGone(error: unknown): never {
  throw (error as NodeJS.ErrnoException).code === 'ENOENT' ? unknown() : error;
}

function blobHeaders(digest: Digest): Record<string, string> {
  return {
    'docker-content-digest': digest,
    'content-type': 'application/octet-stream',
    'accept-ranges': 'bytes',
    etag: `"${digest}"`,
    'cache-control': 'max-age=31536000, immutable',
  };
}

/** One range (RFC 9110 §14.2); undefined is all of it, which is also the answer to what cannot be read. Throws 416. */
export function parseRange(header: string | undefined, size: number): { start: number; end: number } | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return undefined;
  const suffix = match[1] === '';
  const start = suffix ? Math.max(0, size - Number(match[2])) : Number(match[1]);
  const end = suffix || match[2] === '' ? size - 1 : Math.min(Number(match[2]), size - 1);
  if (start >= size || end < start) {
    throw new ProtocolError(416, 'SIZE_INVALID', 'the range is outside of the blob', {
      'content-range': `bytes */${size}`,
    });
  }
  return { start, end };
}

function unknown(): ProtocolError {
  return new ProtocolError(404, 'BLOB_UNKNOWN', 'blob unknown to registry');
}
