import { createWriteStream } from 'node:fs';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'fatal';

export interface Logger {
  level: LogLevel;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** Resolves when what was logged is written, or after a short while. */
  flush(): Promise<void>;
}

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3, fatal: 4 };

/** Lines that wait for a reader of stderr who does not read are dropped beyond this; the daemon never waits for it. */
const MAX_WAITING_BYTES = 1 << 20;
const MAX_MESSAGE = 8 << 10;

export function isLogLevel(text: string): text is LogLevel {
  return Object.hasOwn(RANK, text);
}

/** `time="…" level=info msg="…" key=value`, or one JSON object a line. */
export function createLogger(options: {
  readonly level: LogLevel;
  readonly format?: 'text' | 'json';
  readonly fd?: number;
}): Logger {
  // Written by Node's thread pool: a full pipe blocks a thread there, never the event loop.
  const sink = createWriteStream('', { fd: options.fd ?? 2, autoClose: false });
  sink.on('error', () => {});
  let dropped = 0;

  const log = (level: LogLevel, message: string, fields: LogFields = {}): void => {
    if (RANK[level] < RANK[logger.level]) return;
    if (sink.writableLength > MAX_WAITING_BYTES) {
      dropped++;
      return;
    }
    const more = dropped === 0 ? fields : { ...fields, dropped };
    dropped = 0;
    sink.write(options.format === 'json' ? jsonLine(level, message, more) : textLine(level, message, more));
  };

  const logger: Logger = {
    level: options.level,
    debug: (message, fields) => log('debug', message, fields),
    info: (message, fields) => log('info', message, fields),
    warn: (message, fields) => log('warn', message, fields),
    error: (message, fields) => log('error', message, fields),
    flush: async () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, 200);
      sink.write('', () => resolve());
      await promise;
      clearTimeout(timer);
    },
  };
  return logger;
}

function textLine(level: LogLevel, message: string, fields: LogFields): string {
  const pairs = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}=${word(String(value))}`)
    .join('');
  return `time="${new Date().toISOString()}" level=${level} msg=${JSON.stringify(message.slice(0, MAX_MESSAGE))}${pairs}\n`;
}

function jsonLine(level: LogLevel, message: string, fields: LogFields): string {
  return `${JSON.stringify({ time: new Date().toISOString(), level, msg: message.slice(0, MAX_MESSAGE), ...fields })}\n`;
}

function word(text: string): string {
  return /^[\w./:@-]+$/.test(text) ? text : JSON.stringify(text.slice(0, MAX_MESSAGE));
}
