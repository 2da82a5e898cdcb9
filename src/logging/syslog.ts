import { existsSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { UnixDatagram } from '../linux/unix-datagram.ts';
import { ATTRIBUTE_OPTIONS, logTag } from './attributes.ts';
import { PacketConnection, StreamConnection } from './connection.ts';
import type { LogDriver, LogMessage, DriverOptions, LogSink, LogSource } from './log-sink.ts';
import { readTlsFile } from './tls-file.ts';
import { hostAndPort, scheme } from './values.ts';

const FACILITIES = [
  'kern',
  'user',
  'mail',
  'daemon',
  'auth',
  'syslog',
  'lpr',
  'news',
  'uucp',
  'cron',
  'authpriv',
  'ftp',
  ...Array.from({ length: 4 }, () => ''),
  ...Array.from({ length: 8 }, (_, index) => `local${index}`),
];
const DAEMON = FACILITIES.indexOf('daemon');
const SEVERITY = { stdout: 6, stderr: 3 } as const;
const FORMATS = ['', 'rfc3164', 'rfc5424', 'rfc5424micro'];
/** Where a host's own daemon listens. */
const LOCAL = ['/dev/log', '/var/run/syslog', '/var/run/log'];
const DEFAULT_PORT = 514;

/** RFC 3164 and 5424, to the host's own daemon or over the network, with TLS as RFC 5425 has it. */
export const syslog: LogDriver = {
  options: [
    ...ATTRIBUTE_OPTIONS,
    'syslog-address',
    'syslog-facility',
    'syslog-format',
    'syslog-tls-ca-cert',
    'syslog-tls-cert',
    'syslog-tls-key',
    'syslog-tls-skip-verify',
  ],
  check(options) {
    addressOf(options);
    facilityOf(options);
    if (!FORMATS.includes(options.get('syslog-format') ?? '')) throw new Error('Invalid syslog format');
  },
  open: (options, source) => new SyslogSink(options, source),
};

type Address =
  | { readonly kind: 'local' }
  | { readonly kind: 'unix' | 'unixgram'; readonly path: string }
  | { readonly kind: 'udp' | 'tcp' | 'tcp+tls'; readonly host: string; readonly port: number };

function addressOf(options: DriverOptions): Address {
  const text = options.get('syslog-address') ?? '';
  if (text === '') return { kind: 'local' };
  const [kind, rest] = scheme(text);
  switch (kind) {
    case 'unix':
    case 'unixgram':
      if (!statSync(rest, { throwIfNoEntry: false })) throw new Error(`stat ${rest}: no such file or directory`);
      return { kind, path: rest };
    case 'udp':
    case 'tcp':
    case 'tcp+tls': {
      const place = hostAndPort(rest);
      if (!place) throw new Error(`address ${rest}: is no host and port`);
      return { kind, host: place.host || 'localhost', port: place.port ?? DEFAULT_PORT };
    }
    default:
      throw new Error(`unsupported scheme: '${kind}'`);
  }
}

function facilityOf(options: DriverOptions): number {
  const text = options.get('syslog-facility') ?? '';
  if (text === '') return DAEMON;
  const number = /^\d{1,2}$/.test(text) ? Number(text) : FACILITIES.indexOf(text);
  if (number < 0 || number >= FACILITIES.length) throw new Error('invalid syslog facility');
  return number;
}

interface Line {
  readonly priority: number;
  readonly time: bigint;
  readonly tag: string;
  readonly hostname: string;
}

const HEADS: Readonly<Record<string, (line: Line) => string>> = {
  '': ({ priority, time, tag }) => `<${priority}>${stamp(time)} ${tag}[${process.pid}]: `,
  rfc3164: ({ priority, time, tag, hostname }) => `<${priority}>${stamp(time)} ${hostname} ${tag}[${process.pid}]: `,
  rfc5424: ({ priority, time, tag, hostname }) =>
    `<${priority}>1 ${isoTime(time, false)} ${hostname} ${tag} ${process.pid} ${tag} - `,
  rfc5424micro: ({ priority, time, tag, hostname }) =>
    `<${priority}>1 ${isoTime(time, true)} ${hostname} ${tag} ${process.pid} ${tag} - `,
};

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** `Dec  1 13:01:39`, in the host's zone. */
function stamp(nanos: bigint): string {
  const time = new Date(Number(nanos / 1_000_000n));
  return `${MONTHS[time.getMonth()]} ${String(time.getDate()).padStart(2)} ${clock(time)}`;
}

function clock(time: Date): string {
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map(twoDigits).join(':');
}

function twoDigits(number: number): string {
  return String(number).padStart(2, '0');
}

/** RFC 3339 with the host's offset. */
function isoTime(nanos: bigint, micro: boolean): string {
  const time = new Date(Number(nanos / 1_000_000n));
  const date = [time.getFullYear(), twoDigits(time.getMonth() + 1), twoDigits(time.getDate())].join('-');
  const fraction = micro ? `.${String((nanos / 1000n) % 1_000_000n).padStart(6, '0')}` : '';
  const offset = -time.getTimezoneOffset();
  const away = Math.abs(offset);
  const zone =
    offset === 0 ? 'Z' : `${offset < 0 ? '-' : '+'}${twoDigits(Math.trunc(away / 60))}:${twoDigits(away % 60)}`;
  return `${date}T${clock(time)}${fraction}${zone}`;
}

interface Way {
  connect(): Promise<void>;
  send(packets: readonly Buffer[]): Promise<void>;
  close(): void;
}

class SyslogSink implements LogSink {
  readonly retry = { waitMs: 1000 };
  readonly #way: Way;
  readonly #head: (line: Line) => string;
  readonly #facility: number;
  readonly #tag: string;
  readonly #hostname: string;
  readonly #counted: boolean;

  constructor(options: DriverOptions, source: LogSource) {
    const address = addressOf(options);
    const format = options.get('syslog-format') ?? '';
    this.#way = wayTo(address, options);
    this.#head = HEADS[format]!;
    this.#facility = facilityOf(options);
    this.#tag = logTag(options, source);
    this.#hostname = source.hostname;
    this.#counted = address.kind === 'tcp+tls' && format.startsWith('rfc5424');
  }

  connect(): Promise<void> {
    return this.#way.connect();
  }

  async send(messages: readonly LogMessage[]): Promise<void> {
    await this.#way.send(messages.map((message) => this.#packet(message)));
  }

  close(): void {
    this.#way.close();
  }

  #packet({ time, stream, text }: LogMessage): Buffer {
    const priority = this.#facility * 8 + SEVERITY[stream];
    const head = this.#head({ priority, time, tag: this.#tag, hostname: this.#hostname });
    const packet = Buffer.concat([Buffer.from(head), text, NEWLINE]);
    return this.#counted ? Buffer.concat([Buffer.from(`${packet.length} `), packet]) : packet;
  }
}

const NEWLINE = Buffer.from('\n');

function wayTo(address: Address, options: DriverOptions): Way {
  switch (address.kind) {
    case 'local':
      return new LocalWay();
    case 'unixgram':
      return packetsTo(address.path);
    case 'unix':
      return streamTo(new StreamConnection({ path: address.path }));
    case 'udp': {
      const connection = new PacketConnection(address.host, address.port);
      return {
        connect: () => connection.connect(),
        async send(packets) {
          for (const packet of packets) await connection.send(packet);
        },
        close: () => connection.close(),
      };
    }
    case 'tcp':
      return streamTo(new StreamConnection({ host: address.host, port: address.port }));
    case 'tcp+tls':
      return streamTo(
        new StreamConnection({ host: address.host, port: address.port, tls: () => tlsOf(address.host, options) }),
      );
  }
}

function tlsOf(host: string, options: DriverOptions): Record<string, unknown> {
  const file = (name: string): Buffer | undefined => {
    const path = options.get(name) ?? '';
    return path === '' ? undefined : readTlsFile(path);
  };
  return {
    servername: host,
    ca: file('syslog-tls-ca-cert'),
    cert: file('syslog-tls-cert'),
    key: file('syslog-tls-key'),
    // any value asks for it, as with Docker
    rejectUnauthorized: (options.get('syslog-tls-skip-verify') ?? '') === '',
  };
}

function streamTo(connection: StreamConnection): Way {
  return {
    connect: () => connection.connect(),
    send: (packets) => connection.write(Buffer.concat(packets)),
    close: () => connection.close(),
  };
}

function packetsTo(path: string): Way {
  const socket = new UnixDatagram(path);
  return {
    async connect() {},
    async send(packets) {
      for (const packet of packets) await socket.send(packet);
    },
    close: () => socket.close(),
  };
}

/** The daemon of this host, by packets or, where it wants that, by a stream. */
class LocalWay implements Way {
  #way: Way | undefined;

  async connect(): Promise<void> {
    this.#way ??= await this.#find();
  }

  async send(packets: readonly Buffer[]): Promise<void> {
    await this.connect();
    try {
      await this.#way!.send(packets);
    } catch (error) {
      this.close(); // looked for again: it may have been started anew
      throw error;
    }
  }

  close(): void {
    this.#way?.close();
    this.#way = undefined;
  }

  async #find(): Promise<Way> {
    for (const path of LOCAL.filter((candidate) => existsSync(candidate)))
      return (await takesStreams(path)) ? streamTo(new StreamConnection({ path })) : packetsTo(path);
    throw new Error('Unix syslog delivery error');
  }
}

function takesStreams(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ path });
  socket.once('connect', () => resolve(true));
  socket.once('error', () => resolve(false));
  void promise.then(() => socket.destroy());
  return promise;
}
