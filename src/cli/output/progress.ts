import type { ProgressMessage } from '../../api/progress.ts';
import { CommandError } from '../command.ts';
import type { Output } from '../io.ts';
import { escapeControls } from './escape.ts';
import { humanSize } from './units.ts';

/**
 * Shows the JSON lines of a pull, push, load or build: on a terminal a row for each id, redrawn in place; otherwise a
 * line for each step, without the moving parts. Throws a CommandError with the error that the engine sends at the end.
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
  } = {},
): Promise<void> {
  const rows = new ProgressRows(output);
  for await (const message of messages) {
    const error = message.errorDetail?.message ?? message.error;
    if (error !== undefined) {
      const code = options.stepCode === true ? message.errorDetail?.code : undefined;
      throw new CommandError(`${options.errorPrefix ?? ''}${error}`, code || (options.errorCode ?? 1));
    }
    if (message.aux !== undefined) options.onAux?.(message.aux);
    rows.show(message);
  }
}

class ProgressRows {
  readonly #output: Output;
  readonly #lines = new Map<string, number>();
  #count = 0;

  constructor(output: Output) {
    this.#output = output;
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
    const bar = progressText(message, this.#output.columns);
    if (!isTTY) {
      if (bar === '') this.#output.write(`${id === '' ? '' : `${id}: `}${status}\n`);
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
