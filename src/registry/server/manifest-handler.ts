import { collect, MAX_DOCUMENT_BYTES } from '../../content/children.ts';
import type { Digest } from '../../oci/digest.ts';
import { bodyOf, type Call, wrongMethod } from './call.ts';
import { ProtocolError } from './protocol-error.ts';
import { TAG } from './routes.ts';

/** Tags that one request may give. */
const MAX_TAGS = 100;

interface ManifestTarget {
  readonly repository: string;
  /** As the client wrote it. */
  readonly reference: string;
  /** Undefined for a tag. */
  readonly digest: Digest | undefined;
}

/** `/v2/<name>/manifests/<reference>` */
export async function handleManifest(call: Call, target: ManifestTarget): Promise<void> {
  switch (call.request.method) {
    case 'GET':
    case 'HEAD':
      return read(call, target);
    case 'PUT':
      return put(call, target);
    case 'DELETE':
      return remove(call, target);
    default:
      throw wrongMethod('GET, HEAD, PUT, DELETE');
  }
}

async function read({ request, response, repositories, cache, publish }: Call, target: ManifestTarget): Promise<void> {
  const { repository, reference } = target;
  if ((await cache?.refresh(repository, reference, target.digest)) === 'stale') {
    response.setHeader('warning', '110 - "the registry it is a copy of does not answer"');
  }
  const digest = target.digest ?? (await repositories.links.tag(repository, reference));
  const found = digest && (await repositories.manifest(repository, digest));
  if (!found) throw unknown();
  const { record, bytes } = found;
  const headers = { etag: `"${digest}"`, 'docker-content-digest': digest };
  if (request.headers['if-none-match'] === headers.etag) return void response.writeHead(304, headers).end();
  if (request.method === 'GET') {
    const tag = target.digest === undefined ? reference : undefined;
    if (tag !== undefined) void repositories.links.readTag(repository, tag);
    publish({ action: 'pull', repository, digest, tag, mediaType: record.mediaType, size: record.size });
  }
  response.writeHead(200, { ...headers, 'content-type': record.mediaType, 'content-length': bytes.byteLength });
  response.end(request.method === 'HEAD' ? undefined : bytes);
}

async function put({ request, response, repositories, query, publish }: Call, target: ManifestTarget): Promise<void> {
  const { repository, reference, digest } = target;
  const mediaType = request.headers['content-type']?.split(';')[0]!.trim() ?? '';
  if (Number(request.headers['content-length'] ?? 0) > MAX_DOCUMENT_BYTES) throw tooLarge();
  const bytes = await collect(bodyOf(request), MAX_DOCUMENT_BYTES, 'the manifest');
  // Beside its digest, a manifest may be given tags in one go (distribution-spec 1.1.1 and later).
  const tags = digest === undefined ? [reference] : query.getAll('tag');
  if (tags.length > MAX_TAGS) throw new ProtocolError(414, 'UNSUPPORTED', `more than ${MAX_TAGS} tags in one request`);
  if (!tags.every((tag) => TAG.test(tag))) throw new ProtocolError(400, 'NAME_INVALID', 'invalid tag');
  const record = await repositories.putManifest(repository, { mediaType, bytes, tags, digest });
  const pushed = { digest: record.digest, mediaType: record.mediaType, size: record.size };
  for (const tag of tags.length > 0 ? tags : [undefined]) publish({ action: 'push', repository, tag, ...pushed });
  for (const tag of digest === undefined ? [] : tags) response.appendHeader('oci-tag', tag);
  response.writeHead(201, {
    location: `/v2/${repository}/manifests/${record.digest}`,
    'docker-content-digest': record.digest,
    ...(record.subject !== undefined && { 'oci-subject': record.subject }),
    'content-length': 0,
  });
  response.end();
}

async function remove(
  { response, repositories, publish }: Call,
  { repository, reference, digest }: ManifestTarget,
): Promise<void> {
  const removed =
    digest === undefined
      ? await repositories.deleteTag(repository, reference)
      : await repositories.deleteManifest(repository, digest);
  if (!removed) throw unknown();
  publish({ action: 'delete', repository, digest, tag: digest === undefined ? reference : undefined });
  response.writeHead(202, { 'content-length': 0 }).end();
}

function unknown(): ProtocolError {
  return new ProtocolError(404, 'MANIFEST_UNKNOWN', 'manifest unknown');
}

function tooLarge(): ProtocolError {
  return new ProtocolError(413, 'MANIFEST_INVALID', `a manifest has at most ${MAX_DOCUMENT_BYTES} bytes`);
}
