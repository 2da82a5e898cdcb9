import { request as requestPlain, type IncomingMessage } from 'node:http';
import { request as requestTls } from 'node:https';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { ATTRIBUTE_OPTIONS, logAttributes, logTag } from './attributes.ts';
import type { LogDriver, LogMessage, DriverOptions, LogSink, LogSource } from './log-sink.ts';
import { readTlsFile } from './tls-file.ts';
import { truth } from './values.ts';

const PATH = '/services/collector/event/1.0';
const ANSWER_MS = 30_000;
const LONGEST_ANSWER = 1024;

/** Splunk's HTTP event collector. https://docs.splunk.com/Documentation/Splunk/latest/Data/UsetheHTTPEventCollector */
export const splunk: LogDriver = {
  options: [
    ...ATTRIBUTE_OPTIONS,
    'splunk-url',
    'splunk-token',
    'splunk-source',
    'splunk-sourcetype',
    'splunk-index',
    'splunk-capath',
    'splunk-caname',
    'splunk-insecureskipverify',
    'splunk-format',
    'splunk-verify-connection',
    'splunk-gzip',
    'splunk-gzip-level',
  ],
  check() {},
  open: (options, source) => new SplunkSink(options, source),
};

class SplunkSink implements LogSink {
  readonly retry = { waitMs: 1000 };
  readonly #url: URL;
  readonly #token: string;
  readonly #tls: Record<string, unknown>;
  readonly #verify: boolean;
  readonly #level: number | undefined;
  readonly #format: string;
  readonly #event: Readonly<Record<string, string>>;
  readonly #tag: string;
  readonly #attributes: Readonly<Record<string, string>>;
  readonly #closed = new AbortController();

  /** Throws an Error in Docker's words. */
  constructor(options: DriverOptions, source: LogSource) {
    this.#url = urlOf(options);
    this.#token = options.get('splunk-token') ?? '';
    if (this.#token === '') throw new Error('splunk: splunk-token is expected');
    const authorities = options.get('splunk-capath') ?? '';
    this.#tls = {
      rejectUnauthorized: !truth(options, 'splunk-insecureskipverify'),
      ...(authorities !== '' && { ca: readTlsFile(authorities) }),
      ...((options.get('splunk-caname') ?? '') !== '' && { servername: options.get('splunk-caname') }),
    };
    this.#verify = truth(options, 'splunk-verify-connection', true);
    this.#level = truth(options, 'splunk-gzip') ? gzipLevel(options) : undefined;
    this.#format = options.get('splunk-format') || 'inline';
    if (!['inline', 'json', 'raw'].includes(this.#format))
      throw new Error(`Unknown format specified ${this.#format}, supported formats are inline, json and raw`);
    this.#event = {
      host: source.hostname,
      ...Object.fromEntries(
        ['source', 'sourcetype', 'index'].flatMap((name) => {
          const value = options.get(`splunk-${name}`) ?? '';
          return value === '' ? [] : [[name, value]];
        }),
      ),
    };
    this.#tag = logTag(options, source);
    this.#attributes = Object.fromEntries(logAttributes(options, source));
  }

  async connect(): Promise<void> {
    if (!this.#verify) return;
    try {
      await this.#ask('OPTIONS');
    } catch (error) {
      throw new Error(`Options "${this.#url.href}": ${(error as Error).message}`, { cause: error });
    }
  }

  async send(messages: readonly LogMessage[]): Promise<void> {
    const events = messages.flatMap((message) => {
      const event = this.#shown(message);
      if (event === undefined) return [];
      const seconds = `${message.time / 1_000_000_000n}.${String((message.time / 1000n) % 1_000_000n).padStart(6, '0')}`;
      return [JSON.stringify({ event, time: seconds, ...this.#event })];
    });
    if (events.length > 0) await this.#ask('POST', Buffer.from(events.join('')));
  }

  close(): void {
    this.#closed.abort();
  }

  /** Undefined is not sent: with `raw` a line of nothing but blanks. */
  #shown({ stream, text }: LogMessage): unknown {
    const line = text.toString('utf8');
    const attributes = this.#attributes;
    const some = Object.keys(attributes).length > 0;
    if (this.#format === 'raw') {
      if (line.trim() === '') return undefined;
      const pairs = Object.entries(attributes).map(([name, value]) => `${name}=${value}`);
      return [this.#tag, ...pairs, line].filter((part) => part !== '').join(' ');
    }
    return {
      line: this.#format === 'json' ? parsedOr(line) : line,
      source: stream,
      tag: this.#tag,
      ...(some && { attrs: attributes }),
    };
  }

  async #ask(method: string, body?: Buffer): Promise<void> {
    const compressed = body && this.#level !== undefined ? await promisify(gzip)(body, { level: this.#level }) : body;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const asked = (this.#url.protocol === 'https:' ? requestTls : requestPlain)(
      this.#url,
      {
        method,
        // for all of it: a server may say a little now and then, for ever
        signal: AbortSignal.any([AbortSignal.timeout(ANSWER_MS), this.#closed.signal]),
        ...this.#tls,
        headers: {
          Authorization: `Splunk ${this.#token}`,
          ...(compressed && { 'Content-Length': compressed.length }),
          ...(compressed !== body && { 'Content-Encoding': 'gzip' }),
        },
      },
      (response) => void answered(response).then(resolve, reject),
    );
    asked.once('error', (error) => reject(error.name === 'AbortError' ? new Error('i/o timeout') : error));
    asked.end(compressed);
    await promise;
  }
}

async function answered(response: IncomingMessage): Promise<void> {
  let text = '';
  for await (const chunk of response) {
    text += String(chunk);
    if (text.length > LONGEST_ANSWER) break; // which ends the connection
  }
  if (response.statusCode !== 200)
    throw new Error(
      `splunk: failed to send event - ${response.statusCode} ${response.statusMessage} - ${text.slice(0, LONGEST_ANSWER)}`,
    );
}

function urlOf(options: DriverOptions): URL {
  const text = options.get('splunk-url') ?? '';
  if (text === '') throw new Error('splunk: splunk-url is expected');
  const wrong = 'splunk: expected format scheme://dns_name_or_ip:port for splunk-url';
  if (!URL.canParse(text)) throw new Error(wrong);
  const url = new URL(text);
  if (!/^https?:$/.test(url.protocol) || url.username !== '' || url.search !== '' || url.hash !== '')
    throw new Error(wrong);
  if (url.pathname !== '/') throw new Error(wrong);
  url.pathname = PATH;
  return url;
}

function gzipLevel(options: DriverOptions): number {
  const text = options.get('splunk-gzip-level') ?? '-1';
  if (!/^(?:-1|\d)$/.test(text))
    throw new Error(`not supported level '${text}' for splunk-gzip-level (supported values between -1 and 9)`);
  return Number(text);
}

function parsedOr(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return line;
  }
}
