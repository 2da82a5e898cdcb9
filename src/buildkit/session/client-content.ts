import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { EngineError } from '../../base/errors.ts';
import { collect } from '../../content/children.ts';
import { readTar } from '../../content/tar/reader.ts';
import type { Bytes } from '../../content/content-store.ts';
import { sha256 } from '../../oci/digest.ts';
import { GRPC, GrpcError } from '../grpc/status.ts';
import {
  Content,
  InfoRequestSchema,
  InfoResponseSchema,
  ReadContentRequestSchema,
  ReadContentResponseSchema,
  WriteAction,
  WriteContentRequestSchema,
  WriteContentResponseSchema,
} from '../protocol/content_pb.ts';
import type { ClientSession } from './client-session.ts';

const PIECE = 1 << 20;
const MAX_DOCUMENT = 8 << 20;

/** A store of blobs that a client offers in its session: a directory of a cache. */
export class ClientContent {
  readonly #session: ClientSession;
  readonly #metadata: Readonly<Record<string, string>>;
  readonly #signal: AbortSignal;

  constructor(session: ClientSession, store: string, signal: AbortSignal) {
    this.#session = session;
    this.#metadata = { 'buildkit-attachable-store-id': store };
    this.#signal = signal;
  }

  /** Bytes of a blob; undefined when the store has none of that digest. */
  async size(digest: string): Promise<number | undefined> {
    const call = this.#session.call(Content, 'Info', this.#metadata, this.#signal);
    await call.send(toBinary(InfoRequestSchema, create(InfoRequestSchema, { digest })));
    call.end();
    try {
      for await (const message of call.messages())
        return Number(fromBinary(InfoResponseSchema, message).info?.size ?? 0n);
    } catch (error) {
      if (error instanceof GrpcError && error.status === GRPC.notFound) return undefined;
      throw error;
    }
    return undefined;
  }

  async *read(digest: string): AsyncGenerator<Uint8Array> {
    const call = this.#session.call(Content, 'Read', this.#metadata, this.#signal);
    await call.send(toBinary(ReadContentRequestSchema, create(ReadContentRequestSchema, { digest })));
    call.end();
    for await (const message of call.messages()) yield fromBinary(ReadContentResponseSchema, message).data;
  }

  /** Writes a blob that is not there yet. Throws what the client answers. */
  async write(digest: string, bytes: Buffer): Promise<void> {
    if ((await this.size(digest)) !== undefined) return;
    const call = this.#session.call(Content, 'Write', this.#metadata, this.#signal);
    const total = BigInt(bytes.length);
    const send = (fields: { action: WriteAction; offset: bigint; data?: Uint8Array }): Promise<void> =>
      call.send(
        toBinary(
          WriteContentRequestSchema,
          create(WriteContentRequestSchema, { ref: `gantry-${digest}`, total, expected: digest, ...fields }),
        ),
      );
    const answers = call.messages();
    try {
      for (let at = 0; at < bytes.length; at += PIECE) {
        await send({ action: WriteAction.WRITE, offset: BigInt(at), data: bytes.subarray(at, at + PIECE) });
        const { value, done } = await answers.next();
        if (done === true) break;
        fromBinary(WriteContentResponseSchema, value);
      }
      await send({ action: WriteAction.COMMIT, offset: total });
      call.end();
      for await (const _message of answers) continue;
    } catch (error) {
      call.cancel();
      if (error instanceof GrpcError && error.status === GRPC.alreadyExists) return;
      throw error;
    }
  }
}

/** A file of a cache's directory as the engine asks for it: its index is made from the digest that the client found in it. */
export async function cacheFile(
  content: ClientContent,
  { digest, tag }: { readonly digest: string; readonly tag: string },
  path: string,
): Promise<Bytes | undefined> {
  if (path === 'index.json') {
    const manifest = await document(content, digest);
    if (!manifest) return undefined;
    const { mediaType } = JSON.parse(manifest.toString('utf8')) as { mediaType?: string };
    const named = { 'org.opencontainers.image.ref.name': tag };
    const index = { schemaVersion: 2, manifests: [{ mediaType, digest, size: manifest.length, annotations: named }] };
    return bytesOf(Buffer.from(JSON.stringify(index)));
  }
  return layoutFile(content, path);
}

/** A blob of a layout by its path; undefined when it is not there. */
export async function layoutFile(content: ClientContent, path: string): Promise<Bytes | undefined> {
  const match = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(path);
  if (!match || (await content.size(`sha256:${match[1]}`)) === undefined) return undefined;
  return content.read(`sha256:${match[1]}`);
}

/** Writes the blobs of a layout, which is a tar, to a client's store; gives the descriptor that its index has. */
export async function writeLayout(content: ClientContent, layout: Bytes): Promise<string> {
  let descriptor: string | undefined;
  for await (const { header, body } of readTar(layout)) {
    if (header.type !== 'file') continue;
    const chunks: Buffer[] = [];
    for await (const chunk of body) chunks.push(Buffer.from(chunk));
    const bytes = Buffer.concat(chunks);
    if (header.name.startsWith('blobs/')) await content.write(sha256(bytes), bytes);
    if (header.name !== 'index.json') continue;
    const { manifests } = JSON.parse(bytes.toString('utf8')) as { manifests: unknown[] };
    descriptor = JSON.stringify(manifests[0]);
  }
  if (descriptor === undefined) throw new EngineError('internal', 'the layout of a cache has no index');
  return descriptor;
}

async function document(content: ClientContent, digest: string): Promise<Buffer | undefined> {
  const size = await content.size(digest);
  if (size === undefined || size > MAX_DOCUMENT) return undefined;
  return collect(content.read(digest), MAX_DOCUMENT, digest);
}

async function* bytesOf(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}
