import type { ProgressMessage } from '../../api/progress.ts';
import { CommandError } from '../command.ts';
import type { Output } from '../io.ts';
import { escapeControls } from './escape.ts';
import { Rates } from './rates.ts';
import { humanSize } from './units.ts';

/** What moves over the network. */
const TRANSFERS: ReadonlySet<string> = new Set(['Downloading', 'Pushing']);
/** Between two lines about a transfer where lines stay. */
const PLAIN_MS = 5000;

/**
 * Shows the JSON lines of a pull, push, load or build: on a terminal a row for each id, redrawn in place; otherwise a
 * line for each step, and every five seconds one for each transfer that goes on. Transfers come with their rate. Throws a CommandError with the error that the engine sends at the end.
 */
export async function showProgress(
  output: Output,
  messages: AsyncIterable<ProgressMessage>,
  options: {
    onAux?: (aux: unknown) => void;
    errorCode?: number;
    errorPrefix?: string;
    /** Exit with the code that the error brings: a build step's own. */
    stepCode?: boolean;
    /** Milliseconds, for tests. */
    now?: () => number;
    /** The messages themselves, one a line, the error at the end too. */
    json?: boolean;
  } = {},
): Promise<void> {
  const rows = new ProgressRows(output, options.now);
  for await (const message of messages) {
    if (options.json === true) output.write(`${JSON.stringify(message)}\n`);
    throwFailure(message, { ...options, excerpt: (text) => rows.show({ stream: text }) });
    if (message.aux !== undefined) options.onAux?.(message.aux);
    if (options.json !== true) rows.show(message);
  }
}

/** Throws the CommandError that a message brings; of a build step with its own exit code, its place in the Dockerfile shown before. */
export function throwFailure(
  message: ProgressMessage,
  options: { errorCode?: number; errorPrefix?: string; stepCode?: boolean; excerpt: (text: string) => void },
): void {
  const error = message.errorDetail?.message ?? message.error;
  if (error === undefined) return;
  const code = options.stepCode === true ? message.errorDetail?.code : undefined;
  const excerpt = message.errorDetail?.excerpt;
  if (options.stepCode === true && excerpt !== undefined) options.excerpt(excerpt);
  throw new CommandError(`${options.errorPrefix ?? ''}${error}`, code || (options.errorCode ?? 1));
}

class ProgressRows {
  readonly #output: Output;
  readonly #lines = new Map<string, number>();
  readonly #now: () => number;
  readonly #rates: Rates;
  /** When the last line about a transfer was, or it began. */
  readonly #told = new Map<string, number>();
  #count = 0;

  constructor(output: Output, now: () => number = () => performance.now()) {
    this.#output = output;
    this.#now = now;
    this.#rates = new Rates(now);
  }

  show(message: ProgressMessage): void {
    const { isTTY } = this.#output;
    if (message.stream !== undefined) {
      this.#forget();
      this.#output.write(isTTY ? escapeControls(message.stream).replaceAll('\\x0d', '\r') : message.stream);
      return;
    }
    const { status } = message;
    if (status === undefined) return;
    const id = message.id ?? '';
    const bar = progressText(message, this.#output.columns) + this.#rate(id, message);
    if (!isTTY) {
      if (bar === '' || this.#isDue(id, message))
        this.#output.write(`${id === '' ? '' : `${id}: `}${status}${bar === '' ? '' : ` ${bar.trimStart()}`}\n`);
      return;
    }
    const text = escapeControls(`${id === '' ? '' : `${id}: `}${status}${bar === '' ? '' : ` ${bar}`}`).slice(
      0,
      this.#output.columns - 1,
    );
    if (
      id === '' ||
      (message.progressDetail === undefined && !this.#lines.has(id) && status.startsWith('Pulling from'))
    ) {
      this.#forget();
      this.#output.write(`${text}\n`);
      return;
    }
    const line = this.#lines.get(id);
    if (line === undefined) {
      this.#lines.set(id, this.#count++);
      this.#output.write(`${text}\n`);
      return;
    }
    const up = this.#count - line;
    this.#output.write(`\x1b[${up}A\r\x1b[2K${text}\x1b[${up}B\r`);
  }

  /** ` 12.3MB/s` */
  #rate(id: string, { status, progressDetail }: ProgressMessage): string {
    const { current, total } = progressDetail ?? {};
    if (!TRANSFERS.has(status ?? '') || !current || !total) return '';
    const rate = this.#rates.note(`${id} ${status}`, current);
    return rate === undefined ? '' : ` ${humanSize(rate)}/s`;
  }

  #isDue(id: string, { status }: ProgressMessage): boolean {
    if (!TRANSFERS.has(status ?? '')) return false;
    const name = `${id} ${status}`;
    const before = this.#told.get(name);
    const isDue = before !== undefined && this.#now() - before >= PLAIN_MS;
    if (before === undefined || isDue) this.#told.set(name, this.#now());
    return isDue;
  }

  /** What stands above is no longer redrawn. */
  #forget(): void {
    this.#lines.clear();
    this.#count = 0;
  }
}

/** `[====>      ]  12.3MB/45.6MB` */
export function progressText(message: ProgressMessage, columns: number): string {
  const { current = 0, total = 0, units, hidecounts } = message.progressDetail ?? {};
  if (current <= 0 && total <= 0) return '';
  const show = (n: number): string => (units === undefined || units === '' ? humanSize(n) : `${n} ${units}`);
  if (total <= 0) return show(current);
  const done = Math.min(50, Math.trunc((Math.min(current, total) / total) * 50));
  const bar = columns > 110 ? `[${'='.repeat(done)}>${' '.repeat(50 - done)}] ` : '';
  if (hidecounts === true) return bar;
  const counts =
    current > total
      ? show(current)
      : units === undefined || units === ''
        ? `${show(current)}/${show(total)}`
        : `${current}/${total} ${units}`;
  return `${bar}${counts.padStart(8)}`;
}
