import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { deflate, gzip } from 'node:zlib';
import { ATTRIBUTE_OPTIONS, logAttributes, logTag } from './attributes.ts';
import { PacketConnection, StreamConnection } from './connection.ts';
import type { LogDriver, LogMessage, DriverOptions, LogSink, LogSource } from './log-sink.ts';
import { hostAndPort, scheme } from './values.ts';

const LEVEL = { stdout: 6, stderr: 3 } as const;
/** Bytes of a packet, its head of a chunk included. */
const PACKET_BYTES = 1420;
const CHUNK_HEAD_BYTES = 12;
const MOST_CHUNKS = 128;

/** Graylog's format: UDP packets, cut and compressed, or TCP. https://go2docs.graylog.org/current/getting_in_log_data/gelf.html */
export const gelf: LogDriver = {
  options: [
    ...ATTRIBUTE_OPTIONS,
    'gelf-address',
    'gelf-compression-type',
    'gelf-compression-level',
    'gelf-tcp-max-reconnect',
    'gelf-tcp-reconnect-delay',
  ],
  check(options) {
    const { kind } = addressOf(options);
    compressionOf(options);
    if (kind === 'tcp') {
      for (const name of ['gelf-compression-type', 'gelf-compression-level'])
        if (options.has(name)) throw new Error('compression is only supported on UDP');
    }
    for (const name of ['gelf-tcp-max-reconnect', 'gelf-tcp-reconnect-delay']) {
      if (!options.has(name)) continue;
      if (kind === 'udp') throw new Error(`"${name}" is only valid for TCP`);
      if (!/^\d{1,9}$/.test(options.get(name)!)) throw new Error(`"${name}" must be a positive integer`);
    }
  },
  open: (options, source) => new GelfSink(options, source),
};

function addressOf(options: DriverOptions): { kind: 'udp' | 'tcp'; host: string; port: number } {
  const text = options.get('gelf-address') ?? '';
  if (text === '') throw new Error('gelf-address is a required parameter');
  const [kind, rest] = scheme(text);
  if (kind !== 'udp' && kind !== 'tcp') throw new Error('gelf: endpoint needs to be TCP or UDP');
  const place = hostAndPort(rest);
  if (place?.port === undefined) throw new Error('gelf: please provide gelf-address as proto://host:port');
  return { kind, host: place.host || 'localhost', port: place.port };
}

type Compress = (data: Buffer) => Promise<Buffer> | Buffer;

function compressionOf(options: DriverOptions): Compress {
  const unknown = (name: string): Error =>
    new Error(`unknown value "${options.get(name)}" for log opt "${name}" for gelf log driver`);
  const text = options.get('gelf-compression-level') ?? '1';
  if (!/^(?:-1|\d)$/.test(text)) throw unknown('gelf-compression-level');
  const level = Number(text);
  switch (options.get('gelf-compression-type') ?? 'gzip') {
    case 'gzip':
      return (data) => promisify(gzip)(data, { level }) as Promise<Buffer>;
    case 'zlib':
      return (data) => promisify(deflate)(data, { level }) as Promise<Buffer>;
    case 'none':
      return (data) => data;
    default:
      throw unknown('gelf-compression-type');
  }
}

class GelfSink implements LogSink {
  readonly retry: LogSink['retry'];
  readonly #connection: StreamConnection | PacketConnection;
  readonly #address: string;
  readonly #compress: Compress;
  readonly #host: string;
  readonly #extra: Readonly<Record<string, string>>;

  constructor(options: DriverOptions, source: LogSource) {
    const { kind, host, port } = addressOf(options);
    const most = options.get('gelf-tcp-max-reconnect');
    this.retry = {
      waitMs: Number(options.get('gelf-tcp-reconnect-delay') ?? '1') * 1000,
      ...(most !== undefined && { most: Number(most) }),
    };
    this.#address = `${host}:${port}`;
    this.#connection = kind === 'tcp' ? new StreamConnection({ host, port }) : new PacketConnection(host, port);
    this.#compress = compressionOf(options);
    this.#host = source.hostname;
    const extra = {
      _command: source.command.join(' '),
      _container_id: source.id,
      _container_name: source.name,
      _created: source.createdAt,
      _image_id: source.imageId,
      _image_name: source.imageName,
      _tag: logTag(options, source),
      ...Object.fromEntries(logAttributes(options, source).map(([name, value]) => [`_${name}`, value])),
    };
    this.#extra = Object.fromEntries(Object.entries(extra).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }

  async connect(): Promise<void> {
    try {
      await this.#connection.connect();
    } catch (error) {
      throw new Error(`gelf: cannot connect to GELF endpoint: ${this.#address} ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  async send(messages: readonly LogMessage[]): Promise<void> {
    const documents = messages.map((message) => Buffer.from(this.#document(message)));
    if (this.#connection instanceof StreamConnection) {
      await this.#connection.write(Buffer.concat(documents.flatMap((document) => [document, END])));
      return;
    }
    for (const document of documents)
      for (const packet of packets(await this.#compress(document))) await this.#connection.send(packet);
  }

  close(): void {
    this.#connection.close();
  }

  #document({ time, stream, text }: LogMessage): string {
    const document = {
      version: '1.1',
      host: this.#host,
      short_message: text.toString('utf8'),
      timestamp: Number(time / 1_000_000n) / 1000,
      level: LEVEL[stream],
      ...this.#extra,
    };
    return JSON.stringify(document).replaceAll('\0', '');
  }
}

const END = Buffer.of(0);

/** One packet, or the chunks of one that is too large: a mark, an id, the chunk's number, and how many there are. What needs more than 128 is left out, as no receiver takes it. */
function packets(data: Buffer): Buffer[] {
  if (data.length <= PACKET_BYTES) return [data];
  const room = PACKET_BYTES - CHUNK_HEAD_BYTES;
  const total = Math.ceil(data.length / room);
  if (total > MOST_CHUNKS) return [];
  const id = randomBytes(8);
  return Array.from({ length: total }, (_, number) =>
    Buffer.concat([
      Buffer.of(0x1e, 0x0f),
      id,
      Buffer.of(number, total),
      data.subarray(number * room, (number + 1) * room),
    ]),
  );
}
