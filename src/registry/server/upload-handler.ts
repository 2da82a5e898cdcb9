import { bodyOf, type Call, wrongMethod } from './call.ts';
import { ProtocolError } from './protocol-error.ts';
import { digestOf, repositoryName } from './routes.ts';
import type { Upload } from './uploads.ts';

type UploadTarget =
  | { readonly kind: 'uploads'; readonly repository: string }
  | { readonly kind: 'upload'; readonly repository: string; readonly id: string };

/** `/v2/<name>/blobs/uploads/` and what is below it. */
export async function handleUpload(call: Call, target: UploadTarget): Promise<void> {
  const { request, response, uploads } = call;
  if (target.kind === 'uploads') {
    if (request.method !== 'POST') throw wrongMethod('POST');
    return begin(call, target.repository);
  }
  const upload = uploads.get(target.id, { repository: target.repository, subject: call.subject });
  switch (request.method) {
    case 'GET':
      return void response.writeHead(204, progressHeaders(call, upload)).end();
    case 'PATCH':
      checkRange(call, upload);
      await upload.append(bodyOf(request));
      return void response.writeHead(202, { ...progressHeaders(call, upload), 'content-length': 0 }).end();
    case 'PUT':
      checkRange(call, upload);
      return finish(call, upload);
    case 'DELETE':
      await uploads.cancel(upload);
      return void response.writeHead(204).end();
    default:
      throw wrongMethod('GET, PATCH, PUT, DELETE');
  }
}

/** Takes a blob over from another repository, takes all of it at once, or begins. */
async function begin(call: Call, repository: string): Promise<void> {
  const { request, response, query, uploads, repositories, subject } = call;
  const mount = query.get('mount');
  const from = query.get('from');
  if (mount !== null && from !== null) {
    const digest = digestOf(mount);
    const source = repositoryName(from.split('/'));
    if (call.mayPull(source) && (await repositories.mount(repository, digest, source))) {
      request.resume();
      return created(call, repository, digest);
    }
  }
  const length = request.headers['content-length'];
  await repositories.checkQuota(repository, Number(length ?? 0));
  const upload = await uploads.begin(
    { repository, subject },
    { address: request.socket.remoteAddress ?? '', announcedBytes: length === undefined ? undefined : Number(length) },
  );
  if (query.get('digest') !== null) return finish(call, upload);
  request.resume();
  response.writeHead(202, { ...progressHeaders(call, upload), 'content-length': 0 }).end();
}

async function finish(call: Call, upload: Upload): Promise<void> {
  const { request, query, uploads, repositories } = call;
  const digest = digestOf(query.get('digest') ?? '');
  await upload.append(bodyOf(request));
  uploads.take(upload);
  await repositories.addBlob(upload.owner.repository, digest, upload);
  created(call, upload.owner.repository, digest);
}

function created({ response }: Call, repository: string, digest: string): void {
  response.writeHead(201, {
    location: `/v2/${repository}/blobs/${digest}`,
    'docker-content-digest': digest,
    'content-length': 0,
  });
  response.end();
}

/** A chunk must begin where the last one ended: neither a gap nor bytes that were sent before. */
function checkRange(call: Call, upload: Upload): void {
  const { headers } = call.request;
  const header = headers['content-range'];
  if (header === undefined) return;
  const match = /^(?:bytes )?(\d+)-(\d+)(?:\/(?:\d+|\*))?$/.exec(header);
  const [start, end] = [Number(match?.[1]), Number(match?.[2])];
  const length = headers['content-length'];
  const fits = match && start === upload.offset && (length === undefined || Number(length) === end - start + 1);
  if (fits) return;
  throw new ProtocolError(
    416,
    'BLOB_UPLOAD_INVALID',
    `the next byte is ${upload.offset}`,
    progressHeaders(call, upload),
  );
}

function progressHeaders({ uploadBase }: Call, { id, offset, owner }: Upload): Record<string, string> {
  return {
    location: `${uploadBase}/v2/${owner.repository}/blobs/uploads/${id}`,
    range: `0-${Math.max(0, offset - 1)}`,
    'docker-upload-uuid': id,
  };
}
