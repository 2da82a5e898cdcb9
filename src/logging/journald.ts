import { existsSync } from 'node:fs';
import { UnixDatagram } from '../linux/unix-datagram.ts';
import { ATTRIBUTE_OPTIONS, logAttributes, logTag } from './attributes.ts';
import type { LogDriver, LogMessage, DriverOptions, LogSink, LogSource } from './log-sink.ts';

const PRIORITY = { stdout: '6', stderr: '3' } as const;

/** systemd's journal, by its native protocol: https://systemd.io/JOURNAL_NATIVE_PROTOCOL/ */
export function journaldAt(socket: string): LogDriver {
  return {
    options: [...ATTRIBUTE_OPTIONS],
    check() {},
    open: (options, source) => new JournalSink(socket, options, source),
  };
}

export const journald: LogDriver = journaldAt('/run/systemd/journal/socket');

class JournalSink implements LogSink {
  readonly retry = { waitMs: 1000 };
  readonly #path: string;
  readonly #socket: UnixDatagram;
  readonly #fields: Buffer;

  constructor(path: string, options: DriverOptions, source: LogSource) {
    this.#path = path;
    this.#socket = new UnixDatagram(path);
    const tag = logTag(options, source);
    this.#fields = Buffer.concat([
      field('CONTAINER_ID', source.id.slice(0, 12)),
      field('CONTAINER_ID_FULL', source.id),
      field('CONTAINER_NAME', source.name),
      field('CONTAINER_TAG', tag),
      field('IMAGE_NAME', source.imageName),
      field('SYSLOG_IDENTIFIER', tag),
      ...logAttributes(options, source).flatMap(([name, value]) => {
        const allowed = name
          .toUpperCase()
          .replaceAll(/[^A-Z0-9_]/g, '_')
          .replace(/^_+/, '');
        return allowed === '' ? [] : [field(allowed, value)];
      }),
    ]);
  }

  async connect(): Promise<void> {
    if (!existsSync(this.#path)) throw new Error('journald is not enabled on this host');
  }

  async send(messages: readonly LogMessage[]): Promise<void> {
    for (const { time, stream, text, piece } of messages) {
      await this.#socket.send(
        Buffer.concat([
          field('MESSAGE', text),
          field('PRIORITY', PRIORITY[stream]),
          field('SYSLOG_TIMESTAMP', new Date(Number(time / 1_000_000n)).toISOString()),
          this.#fields,
          ...(piece
            ? [
                field('CONTAINER_PARTIAL_ID', piece.id),
                field('CONTAINER_PARTIAL_ORDINAL', String(piece.ordinal)),
                field('CONTAINER_PARTIAL_LAST', String(piece.last)),
                ...(piece.last ? [] : [field('CONTAINER_PARTIAL_MESSAGE', 'true')]),
              ]
            : []),
        ]),
      );
    }
  }

  close(): void {
    this.#socket.close();
  }
}

/** What has a newline in it is told by its length. */
function field(name: string, value: string | Buffer): Buffer {
  const bytes = Buffer.from(value as string);
  if (!bytes.includes(0x0a)) return Buffer.concat([Buffer.from(`${name}=`), bytes, Buffer.from('\n')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([Buffer.from(`${name}\n`), length, bytes, Buffer.from('\n')]);
}
