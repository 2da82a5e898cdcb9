import { randomUUID } from 'node:crypto';
import { ATTRIBUTE_OPTIONS, logAttributes, logTag } from './attributes.ts';
import { StreamConnection, type StreamTarget } from './connection.ts';
import type { LogDriver, LogMessage, DriverOptions, LogSink, LogSource } from './log-sink.ts';
import { pack, Packed } from './message-pack.ts';
import { count, duration, hostAndPort, scheme, truth } from './values.ts';
import { parseSize } from '../base/size.ts';

const DEFAULT_PORT = 24224;
const RETRY_MS = 1000;

/** Fluentd's forward protocol. https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1 */
export const fluentd: LogDriver = {
  options: [
    ...ATTRIBUTE_OPTIONS,
    'fluentd-address',
    'fluentd-async',
    'fluentd-async-reconnect-interval',
    'fluentd-buffer-limit',
    'fluentd-max-retries',
    'fluentd-request-ack',
    'fluentd-retry-wait',
    'fluentd-sub-second-precision',
    'fluentd-write-timeout',
  ],
  check(options) {
    targetOf(options);
    const limit = options.get('fluentd-buffer-limit') ?? '';
    if (limit !== '' && parseSize(limit) === undefined) throw new Error(`invalid size: '${limit}'`);
    duration(options, 'fluentd-retry-wait');
    duration(options, 'fluentd-write-timeout');
    count(options, 'fluentd-max-retries');
    for (const name of ['fluentd-async', 'fluentd-request-ack', 'fluentd-sub-second-precision']) truth(options, name);
    const interval = duration(options, 'fluentd-async-reconnect-interval');
    if (interval !== undefined && interval !== 0 && (interval < 100 || interval > 10_000)) {
      const given = JSON.stringify(options.get('fluentd-async-reconnect-interval'));
      throw new Error(
        `invalid value for fluentd-async-reconnect-interval: value (${given}) must be between 100ms and 10s`,
      );
    }
  },
  open: (options, source) => new FluentdSink(options, source),
};

function targetOf(options: DriverOptions): StreamTarget {
  const text = options.get('fluentd-address') ?? '';
  const wrong = (why: string): Error => new Error(`invalid fluentd-address (${text}): ${why}`);
  if (text === '') return { host: '127.0.0.1', port: DEFAULT_PORT };
  const [kind, rest] = text.includes('://') ? scheme(text) : ['tcp', text];
  switch (kind) {
    case 'unix':
      if (rest.replace(/^\/+/, '') === '') throw wrong('path is empty');
      return { path: rest };
    case 'tcp':
    case 'tls': {
      if (rest.includes('/')) throw wrong('should not contain a path element');
      const place = hostAndPort(rest);
      if (!place) throw wrong('is no host and port');
      const host = place.host || '127.0.0.1';
      return { host, port: place.port ?? DEFAULT_PORT, ...(kind === 'tls' && { tls: () => ({ servername: host }) }) };
    }
    default:
      throw wrong(`unsupported scheme: '${kind}'`);
  }
}

class FluentdSink implements LogSink {
  readonly retry: LogSink['retry'];
  readonly #connection: StreamConnection;
  readonly #async: boolean;
  readonly #acknowledged: boolean;
  readonly #fine: boolean;
  readonly #tag: string;
  readonly #record: Readonly<Record<string, string>>;

  constructor(options: DriverOptions, source: LogSource) {
    this.#connection = new StreamConnection(targetOf(options));
    this.#async = truth(options, 'fluentd-async');
    this.#acknowledged = truth(options, 'fluentd-request-ack');
    this.#fine = truth(options, 'fluentd-sub-second-precision');
    const most = count(options, 'fluentd-max-retries');
    this.retry = {
      waitMs:
        duration(options, 'fluentd-async-reconnect-interval') || duration(options, 'fluentd-retry-wait') || RETRY_MS,
      ...(most !== undefined && { most }),
    };
    this.#tag = logTag(options, source);
    this.#record = {
      container_id: source.id,
      container_name: `/${source.name}`,
      ...Object.fromEntries(logAttributes(options, source)),
    };
  }

  /** A server that is not there is no reason not to start with `fluentd-async`. */
  async connect(): Promise<void> {
    if (!this.#async) await this.#connection.connect();
  }

  async send(messages: readonly LogMessage[]): Promise<void> {
    if (!this.#acknowledged) {
      await this.#connection.write(Buffer.concat(messages.map((message) => this.#packed(message, {}))));
      return;
    }
    for (const message of messages) {
      const chunk = randomUUID();
      await this.#connection.ask(this.#packed(message, { chunk }), (answer) => answer.includes(chunk));
    }
  }

  close(): void {
    this.#connection.close();
  }

  /** `[tag, time, record, options]` */
  #packed({ time, stream, text, piece }: LogMessage, options: Readonly<Record<string, string>>): Buffer {
    const record = {
      ...this.#record,
      source: stream,
      log: text.toString('utf8'),
      ...(piece && {
        partial_message: 'true',
        partial_id: piece.id,
        partial_ordinal: String(piece.ordinal),
        partial_last: String(piece.last),
      }),
    };
    return pack([this.#tag, this.#fine ? eventTime(time) : Number(time / 1_000_000_000n), record, options]);
  }
}

/** Fluentd's own type 0: seconds and nanoseconds. */
function eventTime(nanos: bigint): Packed {
  const bytes = Buffer.alloc(10);
  bytes[0] = 0xd7;
  bytes.writeUInt32BE(Number(nanos / 1_000_000_000n), 2);
  bytes.writeUInt32BE(Number(nanos % 1_000_000_000n), 6);
  return new Packed(bytes);
}
