import type { BuildEventDocument, BuildMessage, BuildVertexDocument } from '../../api/gantry.ts';
import type { Io, Output } from '../io.ts';
import { escapeControls } from './escape.ts';
import { clip, LiveRegion, seconds, spinner } from './live-region.ts';
import { progressText, throwFailure } from './progress.ts';

const REDRAW_MS = 100;
/** A word that is not said again is no longer true. */
const DETAIL_MS = 1500;
/** Lines of a running step that are seen. */
const TAIL_LINES = 5;
/** Of a step's output, kept for the case that it fails. */
const MAX_KEPT = 64 << 20;
/** These take no time and say nothing: they have no row unless they fail. */
const SILENT =
  /^(?:ARG|CMD|ENTRYPOINT|ENV|EXPOSE|HEALTHCHECK|LABEL|MAINTAINER|ONBUILD|SHELL|STOPSIGNAL|USER|VOLUME)\b/i;
const COLOURS = { done: '\x1b[32m', failed: '\x1b[31m', cached: '\x1b[36m', dim: '\x1b[2m' } as const;

interface Row {
  readonly vertex: BuildVertexDocument;
  readonly began: number;
  ended: number | undefined;
  origin: 'cached' | 'shared' | 'run' | 'failed' | undefined;
  /** What it printed; more than is kept is cut at its beginning. */
  readonly output: string[];
  kept: number;
}

export interface StepRowsOptions {
  readonly io: Io;
  readonly output: Output;
  readonly colour: boolean;
  /** Milliseconds, for tests. */
  readonly now?: () => number;
}

/**
 * A build's steps on a terminal: a row for each, redrawn in place, with its time and, while it runs, the end of what it
 * prints. Stages that are built side by side are seen side by side. A step that fails shows all it printed.
 */
export class StepRows {
  readonly #options: StepRowsOptions;
  readonly #region: LiveRegion;
  readonly #now: () => number;
  readonly #began: number;
  readonly #rows = new Map<string, Row>();
  /** Steps of each stage. */
  readonly #totals = new Map<string, number>();
  /** In front of the region already, where others wrote in between. */
  readonly #told = new Set<Row>();
  #detail = '';
  #detailAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #over = false;

  constructor(options: StepRowsOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#began = this.#now();
    this.#region = new LiveRegion(options.io, options.output, () => this.#released());
  }

  onEvent(event: BuildEventDocument): void {
    if (event.Type === 'warning') {
      const where = event.Line === undefined ? '' : ` (line ${event.Line})`;
      this.#write(`[Warning] ${event.Rule ?? ''}: ${event.Message ?? ''}${where}\n`);
      return;
    }
    const { Vertex: vertex } = event;
    if (!vertex) return;
    const key = `${vertex.Platform ?? ''} ${vertex.Id}`;
    if (event.Type === 'started') {
      this.#totals.set(`${vertex.Platform ?? ''} ${vertex.Stage}`, vertex.Total);
      this.#rows.set(key, { vertex, began: this.#now(), ended: undefined, origin: undefined, output: [], kept: 0 });
    }
    const row = this.#rows.get(key);
    if (!row) return;
    if (event.Type === 'output') keep(row, event.Message ?? '');
    if (event.Type === 'done' || event.Type === 'failed') {
      row.ended = this.#now();
      row.origin = event.Type === 'failed' ? 'failed' : (event.Origin ?? 'run');
      if (event.Type === 'done') row.output.length = 0;
    }
    // What is printed is drawn by the clock: a flood of it costs no drawing.
    if (event.Type === 'output') this.#tick();
    else this.#draw();
  }

  /** A word on what is under way beside the steps: a transfer. */
  detail(text: string): void {
    this.#detail = escapeControls(text.trim());
    this.#detailAt = this.#now();
    this.#tick();
  }

  /** The last picture stays; what the failed step printed follows it, all of it. */
  end(): void {
    if (this.#over) return;
    this.#detail = '';
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#rows.size > 0) this.#draw(true);
    this.#region.end();
    this.#over = true;
    for (const row of this.#rows.values()) {
      if (row.origin !== 'failed' || row.output.length === 0) continue;
      const text = row.output.join('');
      this.#options.output.write(`------\n > ${escapeControls(title(row.vertex))}:\n${escapeControls(text)}`);
      this.#options.output.write(`${text.endsWith('\n') ? '' : '\n'}------\n`);
    }
  }

  #draw(final = false): void {
    if (this.#over) return;
    const now = this.#now();
    const rows = [...this.#rows.values()];
    const seen = rows.filter(
      (row) => !this.#told.has(row) && (!SILENT.test(row.vertex.Text) || row.origin === 'failed'),
    );
    const total = [...this.#totals.values()].reduce((sum, count) => sum + count, 0);
    const done = rows.filter(({ ended }) => ended !== undefined).length;
    const head = `[+] Building ${seconds(now - this.#began)} (${done}/${total})`;
    const { columns, room } = this.#region;
    const blocks = seen.map((row) => [this.#line(row, now), ...(final ? [] : this.#tail(row))]);
    const foot =
      this.#detail === '' || now - this.#detailAt > DETAIL_MS
        ? []
        : [` ${spinner(now)} ${clip(this.#detail, columns - 4)}`];
    let lines = blocks.flat();
    // Where they do not fit, what is over goes first, from the top.
    const space = room - 1 - foot.length;
    if (!final && lines.length > space) {
      const over = seen.map(({ ended }) => ended !== undefined);
      let excess = lines.length - space;
      lines = blocks
        .filter((block, index) => !(over[index] === true && (excess -= block.length) > -block.length))
        .flat();
      lines = lines.slice(-space);
    }
    this.#region.draw([clip(head, columns - 1), ...lines, ...foot]);
    if (!final) this.#tick();
  }

  #line({ vertex, began, ended, origin }: Row, now: number): string {
    const { columns } = this.#region;
    const mark = ended === undefined ? spinner(now) : origin === 'failed' ? '✘' : '✔';
    const time = origin === 'cached' ? 'CACHED' : seconds((ended ?? now) - began);
    const paint =
      origin === undefined ? undefined : origin === 'cached' ? 'cached' : origin === 'failed' ? 'failed' : 'done';
    const text = clip(escapeControls(title(vertex)), columns - 12);
    return ` ${this.#paint(paint, mark)} ${text.padEnd(columns - 12)}${this.#paint(paint === 'done' ? undefined : paint, time.padStart(8))}`;
  }

  /** The last lines that it printed. */
  #tail({ ended, output }: Row): string[] {
    if (ended !== undefined) return [];
    const lines = output
      .slice(-40)
      .join('')
      .trimEnd()
      .split(/\r?\n|\r/);
    return lines
      .slice(-TAIL_LINES)
      .filter((line) => line !== '')
      .map(
        (line) =>
          `   ${this.#paint('dim', clip(escapeControls(line.replaceAll('\t', '  ')), this.#region.columns - 4))}`,
      );
  }

  #paint(colour: keyof typeof COLOURS | undefined, text: string): string {
    return colour === undefined || !this.#options.colour ? text : `${COLOURS[colour]}${text}\x1b[0m`;
  }

  #tick(): void {
    if (!this.#over) this.#timer ??= setInterval(() => this.#draw(), REDRAW_MS).unref();
  }

  #write(text: string): void {
    this.#options.output.write(escapeControls(text));
  }

  /** Somebody wrote below: what has ended is told; the rest begins anew. */
  #released(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    for (const row of this.#rows.values()) if (row.ended !== undefined) this.#told.add(row);
  }
}

/** `[builder 2/4] RUN npm ci` */
function title({ Platform, StageName, Stage, Position, Total, Text }: BuildVertexDocument): string {
  const stage = [Platform, StageName ?? (Stage > 0 ? `stage-${Stage}` : undefined)].filter(Boolean).join(' ');
  return `[${stage === '' ? '' : `${stage} `}${Position + 1}/${Total}] ${Text.replaceAll(/\s+/g, ' ')}`;
}

function keep(row: Row, text: string): void {
  row.output.push(text);
  row.kept += text.length;
  while (row.kept > MAX_KEPT && row.output.length > 1) row.kept -= row.output.shift()!.length;
}

/** Shows a build's messages: its steps in rows, the rest as it comes. Throws a CommandError with the error at the end. */
export async function showSteps(
  rows: StepRows,
  output: Output,
  messages: AsyncIterable<BuildMessage>,
  onAux: (aux: unknown) => void,
): Promise<void> {
  try {
    for await (const message of messages) {
      if (message.errorDetail !== undefined || message.error !== undefined) rows.end();
      throwFailure(message, { stepCode: true, excerpt: (text) => output.write(escapeControls(text)) });
      if (message.aux !== undefined) onAux(message.aux);
      if (message.event) rows.onEvent(message.event);
      else if (message.status !== undefined)
        rows.detail(`${message.id ? `${message.id}: ` : ''}${message.status} ${progressText(message, 80).trim()}`);
      else if (message.stream !== undefined) {
        // What is said of the whole build, when its steps are through.
        if (message.stream.startsWith('Successfully ')) rows.end();
        output.write(escapeControls(message.stream));
      }
    }
  } finally {
    rows.end();
  }
}
