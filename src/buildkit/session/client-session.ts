import { create, type DescService, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { IncomingHttpHeaders } from 'node:http';
import { Duplex } from 'node:stream';
import { EngineError } from '../../base/errors.ts';
import { GrpcClient, type RawCall } from '../grpc/client.ts';
import { GRPC, GrpcError } from '../grpc/status.ts';
import { Auth, type FetchTokenRequest, FileSend, FileSync } from '../protocol/filesync_pb.ts';
import { Secrets } from '../protocol/secrets_pb.ts';
import { BytesMessageSchema, SSH } from '../protocol/ssh_pb.ts';
import { Upload } from '../protocol/upload_pb.ts';
import { type FileSyncOptions, FileSyncSource } from './file-sync.ts';
import { headerValues } from './header-values.ts';
import { readSmallFiles } from './read-files.ts';

const SESSION_HEADERS = {
  id: 'x-docker-expose-session-uuid',
  sharedKey: 'x-docker-expose-session-sharedkey',
  methods: 'x-docker-expose-session-grpc-method',
} as const;

/** What of a directory is wanted. */
export interface FileSelection {
  /** Only these paths and what is below them, links followed; all of the directory without them. */
  readonly follow: readonly string[] | undefined;
  /** Patterns of what is wanted; without them it is all. */
  readonly include?: readonly string[] | undefined;
  /** Lines of a .dockerignore. */
  readonly exclude: readonly string[];
}

/** A client that stays connected while it builds, and what it offers: the server's side of a BuildKit session. */
export class ClientSession {
  readonly id: string;
  /** The same for all sessions of one directory of one machine. */
  readonly sharedKey: string;
  /** Fires when the client is gone. */
  readonly closed: AbortSignal;
  readonly #grpc: GrpcClient;
  readonly #methods: ReadonlySet<string>;

  constructor(headers: IncomingHttpHeaders, socket: Duplex) {
    this.id = sessionId(headers);
    this.sharedKey = first(headers[SESSION_HEADERS.sharedKey]) ?? '';
    this.#methods = new Set(list(headers[SESSION_HEADERS.methods]).map((method) => method.toLowerCase()));
    this.#grpc = new GrpcClient(socket);
    this.closed = this.#grpc.closed;
  }

  close(): void {
    this.#grpc.close();
  }

  /** A directory that the client lets the build see. Nothing is asked of it before it is read. */
  directory(
    name: string,
    selection: FileSelection,
    { key, watcher }: Pick<FileSyncOptions, 'key' | 'watcher'>,
  ): FileSyncSource {
    return new FileSyncSource({
      name,
      key,
      watcher,
      open: (signal) => this.#openFiles(name, selection, signal),
    });
  }

  /** A few small files of one of its directories, whole; those that are not there are left out. */
  async smallFiles(name: string, files: readonly string[], signal: AbortSignal): Promise<Map<string, Buffer>> {
    return readSmallFiles(this.#openFiles(name, { follow: files, exclude: [] }, signal), files);
  }

  /** Undefined when the client has no such secret. */
  async secret(id: string, signal: AbortSignal | undefined): Promise<Uint8Array | undefined> {
    if (!this.#offers(Secrets, 'GetSecret')) return undefined;
    try {
      const { data } = await this.#grpc.unary(Secrets, 'getSecret', { ID: id }, { signal });
      return data;
    } catch (error) {
      if (error instanceof GrpcError && (error.status === GRPC.notFound || error.status === GRPC.unimplemented))
        return undefined;
      throw error;
    }
  }

  /** A connection to the client's ssh agent; undefined when it forwards none of this name. */
  async sshAgent(id: string, signal: AbortSignal | undefined): Promise<Duplex | undefined> {
    if (!this.#offers(SSH, 'CheckAgent')) return undefined;
    try {
      await this.#grpc.unary(SSH, 'checkAgent', { ID: id }, { signal });
    } catch (error) {
      if (error instanceof GrpcError && error.status !== GRPC.cancelled) return undefined;
      throw error;
    }
    const call = this.#grpc.open(SSH, 'ForwardAgent', { metadata: headerValues({ 'buildkit.ssh.id': [id] }), signal });
    return bytesDuplex(call);
  }

  /** The stream behind an address that `uploadedAt` knows: a context that the client has as a stream. */
  async *upload(path: string, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    this.#needs(Upload, 'Pull', 'uploads');
    const call = this.#grpc.open(Upload, 'Pull', {
      metadata: headerValues({ urlpath: [path], urlhost: ['buildkit-session'] }),
      signal,
    });
    call.end();
    for await (const message of call.messages()) yield fromBinary(BytesMessageSchema, message).data;
  }

  /** Name and password for a registry; undefined when the client has none. */
  async credentials(
    host: string,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly username: string; readonly secret: string } | undefined> {
    if (!this.#offers(Auth, 'Credentials')) return undefined;
    const { Username, Secret } = await this.#grpc.unary(Auth, 'credentials', { Host: host }, { signal });
    return Username === '' && Secret === '' ? undefined : { username: Username, secret: Secret };
  }

  /** A token that the client fetched from a registry's token server with its own credentials. */
  async token(request: Omit<FetchTokenRequest, '$typeName'>, signal: AbortSignal | undefined): Promise<string> {
    const { Token } = await this.#grpc.unary(Auth, 'fetchToken', request, { signal });
    return Token;
  }

  /** Opens the client's place for output `index` of the build; `metadata` tells it what it gets. */
  openOutput(index: number, metadata: Readonly<Record<string, string>>, signal: AbortSignal | undefined): RawCall {
    this.#needs(FileSend, 'DiffCopy', 'outputs');
    const named = Object.entries(metadata).map(([name, value]) => [`exporter-md-${name}`.toLowerCase(), [value]]);
    return this.#grpc.open(FileSend, 'DiffCopy', {
      metadata: headerValues({
        ...(Object.fromEntries(named) as Record<string, string[]>),
        'buildkit-attachable-exporter-id': [String(index)],
      }),
      signal,
    });
  }

  /** A call to a service of the client that is not among the usual ones. */
  call(
    service: DescService,
    method: string,
    metadata: Readonly<Record<string, string>>,
    signal?: AbortSignal,
  ): RawCall {
    this.#needs(service, method, service.typeName);
    return this.#grpc.open(service, method, { metadata, signal });
  }

  #openFiles(name: string, { follow, include = [], exclude }: FileSelection, signal: AbortSignal | undefined): RawCall {
    this.#needs(FileSync, 'DiffCopy', 'files');
    return this.#grpc.open(FileSync, 'DiffCopy', {
      metadata: headerValues({
        'dir-name': [name],
        ...(follow && { followpaths: follow }),
        'include-patterns': include,
        'exclude-patterns': exclude,
      }),
      signal,
    });
  }

  #offers(service: DescService, method: string): boolean {
    return this.#methods.has(`/${service.typeName}/${method}`.toLowerCase());
  }

  #needs(service: DescService, method: string, what: string): void {
    if (this.#offers(service, method)) return;
    throw new EngineError(
      'invalid-argument',
      `the client's session offers no ${what} (${service.typeName}/${method}): build with a client that does`,
    );
  }
}

/** Throws `invalid-argument` when the headers name no session. */
export function sessionId(headers: IncomingHttpHeaders): string {
  const id = first(headers[SESSION_HEADERS.id]) ?? '';
  if (id === '') throw new EngineError('invalid-argument', 'the session has no id: X-Docker-Expose-Session-Uuid');
  return id;
}

function list(value: string | string[] | undefined): string[] {
  if (value === undefined) return [];
  // Repeated headers come joined.
  return (typeof value === 'string' ? [value] : value).flatMap((part) => part.split(',').map((text) => text.trim()));
}

function first(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : value?.[0];
}

/** A call whose messages are pieces of a byte stream, as a stream of bytes. */
function bytesDuplex(call: RawCall): Duplex {
  const messages = call.messages();
  return new Duplex({
    read() {
      messages.next().then(
        ({ value, done }) => this.push(done === true ? null : Buffer.from(fromBinary(BytesMessageSchema, value).data)),
        (error: Error) => this.destroy(error),
      );
    },
    write(chunk: Buffer, _encoding, callback) {
      call
        .send(toBinary(BytesMessageSchema, create(BytesMessageSchema, { data: chunk })))
        .then(() => callback(), callback);
    },
    final(callback) {
      call.end();
      callback();
    },
    destroy(error, callback) {
      call.cancel();
      callback(error);
    },
  });
}
