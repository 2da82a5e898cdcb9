import type { LogConfig } from '../../api/container.ts';
import { EngineError } from '../../base/errors.ts';
import { parseSize } from '../../base/size.ts';

/** What is taken from a log configuration; sizes in bytes. */
export interface LogLimits {
  /** `none` keeps nothing. */
  readonly driver: 'json-file' | 'local' | 'none';
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

/** Throws `invalid-argument`, in Docker's words where it has them. `max-size=-1` is without bound. */
export function checkLogConfig(config: LogConfig | undefined): LogLimits {
  const driver = config?.Type || 'json-file';
  if (driver !== 'json-file' && driver !== 'local' && driver !== 'none') {
    throw invalid(`error looking up logging plugin ${driver}: plugin "${driver}" not found`);
  }
  const options = new Map(Object.entries(config?.Config ?? {}));
  checkMode(options);
  if (driver === 'none') return { driver, ...DEFAULTS.none };
  for (const name of options.keys()) {
    if (!SHARED_OPTIONS.includes(name) && !MODE_OPTIONS.includes(name)) {
      throw invalid(
        driver === 'local'
          ? `unknown log opt '${name}' for log driver local`
          : `unknown log opt '${name}' for json-file log driver`,
      );
    }
  }
  checkTruth(options.get('compress'));
  return { driver, maxBytes: maxSize(options, driver), maxFiles: maxFile(options, driver) };
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

function maxSize(options: ReadonlyMap<string, string>, driver: 'json-file' | 'local'): number {
  const text = options.get('max-size');
  if (text === undefined) return DEFAULTS[driver].maxBytes;
  if (text === '-1') return 0;
  const bytes = parseSize(text);
  if (bytes === undefined) throw invalid(`invalid value for max-size: invalid size: '${text}'`);
  if (bytes <= 0) throw invalid('invalid value for max-size: must be a positive number, or -1 for no limit');
  return bytes;
}

function maxFile(options: ReadonlyMap<string, string>, driver: 'json-file' | 'local'): number {
  const text = options.get('max-file');
  if (text === undefined) return DEFAULTS[driver].maxFiles;
  if (!/^\d+$/.test(text) || Number(text) > 10_000)
    throw invalid(`invalid value for max-file: "${text}" is not a number`);
  if (Number(text) < 1) throw invalid('max-file cannot be less than 1');
  return Number(text);
}

function checkTruth(text: string | undefined): void {
  if (text !== undefined && !/^(1|0|t|f|true|false)$/i.test(text)) {
    throw invalid(`invalid value for compress: "${text}" is neither true nor false`);
  }
}

function invalid(message: string): EngineError {
  return new EngineError('invalid-argument', message);
}
