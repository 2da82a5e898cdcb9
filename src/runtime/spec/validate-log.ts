import type { LogConfig } from '../../api/container.ts';
import { EngineError } from '../../base/errors.ts';
import { parseSize } from '../../base/size.ts';
import { LOG_DRIVERS } from '../../logging/drivers.ts';

/** What is taken from a log configuration; sizes in bytes. */
export interface LogLimits {
  /** `none` keeps nothing; what goes to a server is kept as well. */
  readonly driver: string;
  /** 0 is never rotated. */
  readonly maxBytes: number;
  readonly maxFiles: number;
}

/** Bounded, unlike Docker's json-file: a container that prints for months must not fill the disk. */
const DEFAULTS = {
  'json-file': { maxBytes: 10 * 1024 * 1024, maxFiles: 3 },
  local: { maxBytes: 20 * 1024 * 1024, maxFiles: 5 },
  none: { maxBytes: 0, maxFiles: 1 },
} as const;

const SHARED_OPTIONS = ['max-size', 'max-file', 'compress', 'labels', 'labels-regex', 'env', 'env-regex', 'tag'];
const MODE_OPTIONS = ['mode', 'max-buffer-size'];
/** Of drivers that send what is printed elsewhere: the record that is kept here. */
const CACHE_OPTIONS = ['cache-disabled', 'cache-max-size', 'cache-max-file', 'cache-compress'];

/** Throws `invalid-argument`, in Docker's words where it has them. `max-size=-1` is without bound. */
export function checkLogConfig(config: LogConfig | undefined): LogLimits {
  const driver = config?.Type || 'json-file';
  const options = new Map(Object.entries(config?.Config ?? {}));
  const server = LOG_DRIVERS.get(driver);
  if (server) {
    const known = [...server.options, ...MODE_OPTIONS, ...CACHE_OPTIONS];
    try {
      // Docker's gelf looks at what it needs before it looks at the names
      if (driver === 'gelf') server.check(options);
      for (const name of options.keys())
        if (!known.includes(name)) throw new Error(`unknown log opt '${name}' for ${driver} log driver`);
      server.check(options);
    } catch (error) {
      throw invalid((error as Error).message);
    }
    checkMode(options);
    for (const name of ['cache-disabled', 'cache-compress']) checkTruth(name, options.get(name));
    return logLimits(config);
  }
  if (driver !== 'json-file' && driver !== 'local' && driver !== 'none') {
    throw invalid(`error looking up logging plugin ${driver}: plugin "${driver}" not found`);
  }
  checkMode(options);
  if (driver === 'none') return logLimits(config);
  for (const name of options.keys()) {
    if (!SHARED_OPTIONS.includes(name) && !MODE_OPTIONS.includes(name)) {
      throw invalid(
        driver === 'local'
          ? `unknown log opt '${name}' for log driver local`
          : `unknown log opt '${name}' for json-file log driver`,
      );
    }
  }
  checkTruth('compress', options.get('compress'));
  return logLimits(config);
}

/** Of a configuration that was checked. */
export function logLimits(config: LogConfig | undefined): LogLimits {
  const driver = config?.Type || 'json-file';
  if (driver === 'none') return { driver, ...DEFAULTS.none };
  const options = new Map(Object.entries(config?.Config ?? {}));
  const [kept, prefix] =
    driver === 'json-file' ? (['json-file', ''] as const) : (['local', driver === 'local' ? '' : 'cache-'] as const);
  return {
    driver,
    maxBytes: maxSize(`${prefix}max-size`, options, kept),
    maxFiles: maxFile(`${prefix}max-file`, options, kept),
  };
}

/** Whether what the container prints can be read here. */
export function logIsReadable(config: LogConfig | undefined): boolean {
  if (config?.Type === 'none') return false;
  return !LOG_DRIVERS.has(config?.Type ?? '') || !/^(?:1|t|true)$/i.test(config?.Config?.['cache-disabled'] ?? '');
}

function checkMode(options: ReadonlyMap<string, string>): void {
  const mode = options.get('mode') ?? '';
  if (!['', 'blocking', 'non-blocking'].includes(mode)) throw invalid(`logger: logging mode not supported: ${mode}`);
  const buffer = options.get('max-buffer-size');
  if (buffer === undefined) return;
  if (mode !== 'non-blocking')
    throw invalid("logger: max-buffer-size option is only supported with 'mode=non-blocking'");
  if (parseSize(buffer) === undefined) throw invalid(`error parsing option max-buffer-size: invalid size: '${buffer}'`);
}

function maxSize(name: string, options: ReadonlyMap<string, string>, driver: 'json-file' | 'local'): number {
  const text = options.get(name);
  if (text === undefined) return DEFAULTS[driver].maxBytes;
  if (text === '-1') return 0;
  const bytes = parseSize(text);
  if (bytes === undefined) throw invalid(`invalid value for ${name}: invalid size: '${text}'`);
  if (bytes <= 0) throw invalid(`invalid value for ${name}: must be a positive number, or -1 for no limit`);
  return bytes;
}

function maxFile(name: string, options: ReadonlyMap<string, string>, driver: 'json-file' | 'local'): number {
  const text = options.get(name);
  if (text === undefined) return DEFAULTS[driver].maxFiles;
  if (!/^\d+$/.test(text) || Number(text) > 10_000)
    throw invalid(`invalid value for ${name}: "${text}" is not a number`);
  if (Number(text) < 1) throw invalid(`${name} cannot be less than 1`);
  return Number(text);
}

function checkTruth(name: string, text: string | undefined): void {
  if (text !== undefined && !/^(1|0|t|f|true|false)$/i.test(text)) {
    throw invalid(`invalid value for ${name}: "${text}" is neither true nor false`);
  }
}

function invalid(message: string): EngineError {
  return new EngineError('invalid-argument', message);
}
