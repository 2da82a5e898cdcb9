import type { Io, Output } from '../io.ts';
import { escapeControls } from './escape.ts';
import { clip, LiveRegion, seconds, spinner } from './live-region.ts';

const REDRAW_MS = 100;
const GREEN = '\x1b[32m';
const RED = '\x1b[31m';
const RESET = '\x1b[0m';

/** What happens to a thing: `Container web-1`, `Creating`. */
export interface TaskEvent {
  readonly kind: string;
  readonly name: string;
  readonly status: string;
}

interface Row {
  readonly title: string;
  status: string;
  detail: string;
  readonly began: number;
  /** When it came to an end; undefined while it is at work. */
  ended: number | undefined;
}

export interface TaskRowsOptions {
  readonly io: Io;
  readonly output: Output;
  readonly colour: boolean;
  /** In front of each row. */
  readonly prefix: string;
  /** Milliseconds, for tests. */
  readonly now?: () => number;
}

/**
 * Things being worked on, side by side, on a terminal: a row for each with its state and time, redrawn in place, below
 * `[+] Running 2/3`. A status in `-ing` is at work, any other is an end.
 */
export class TaskRows {
  readonly #options: TaskRowsOptions;
  readonly #region: LiveRegion;
  readonly #now: () => number;
  readonly #rows = new Map<string, Row>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: TaskRowsOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#region = new LiveRegion(options.io, options.output, () => this.#released());
  }

  show({ kind, name, status }: TaskEvent): void {
    const title = `${kind} ${escapeControls(name)}`;
    const before = this.#rows.get(title);
    const working = status.endsWith('ing');
    // A second step of the same thing, as `Created` and then `Starting`, goes on with its row.
    const row: Row = before ?? { title, status, detail: '', began: this.#now(), ended: undefined };
    row.status = status;
    row.detail = '';
    row.ended = working ? undefined : this.#now();
    this.#rows.set(title, row);
    this.#draw();
  }

  /** A word on how far something is that is at work. */
  detail(kind: string, name: string, text: string): void {
    const row = this.#rows.get(`${kind} ${escapeControls(name)}`);
    if (row) row.detail = escapeControls(text);
  }

  #draw(): void {
    const rows = [...this.#rows.values()];
    const working = rows.filter(({ ended }) => ended === undefined);
    const now = this.#now();
    const { columns, room } = this.#region;
    const width = Math.max(...rows.map(({ title }) => title.length));
    // Where they do not all fit, what is at work matters most.
    const shown = rows.length < room ? rows : [...working, ...rows.filter(({ ended }) => ended !== undefined)];
    const lines = shown.slice(0, room - 1).map((row) => this.#line(row, { width, now, columns }));
    const left = rows.length - lines.length;
    const more = left > 0 ? `, ${left} not shown` : '';
    this.#region.draw([
      `${this.#options.prefix}[+] Running ${rows.length - working.length}/${rows.length}${more}`,
      ...lines,
    ]);
    this.#tick(working.length > 0);
  }

  #line(row: Row, { width, now, columns }: { width: number; now: number; columns: number }): string {
    const { prefix, colour } = this.#options;
    const failed = row.status === 'Error';
    const mark = row.ended === undefined ? spinner(now) : failed ? '✘' : '✔';
    const time = seconds((row.ended ?? now) - row.began).padStart(7);
    const detail = row.detail === '' ? '' : `  ${row.detail}`;
    const text = clip(`${row.title.padEnd(width)}  ${row.status.padEnd(10)}${detail}`, columns - prefix.length - 11);
    const paint = row.ended === undefined || !colour ? '' : failed ? RED : GREEN;
    return `${prefix} ${paint}${mark}${paint === '' ? '' : RESET} ${text.padEnd(columns - prefix.length - 11)}${time}`;
  }

  /** Time goes on while nothing happens. */
  #tick(wanted: boolean): void {
    if (wanted) this.#timer ??= setInterval(() => this.#draw(), REDRAW_MS).unref();
    else this.#stop();
  }

  #stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** What has ended is told; the rest begins anew below, when something happens to it. */
  #released(): void {
    this.#stop();
    for (const [title, { ended }] of this.#rows) if (ended !== undefined) this.#rows.delete(title);
  }
}
