import type { Io, Output } from '../io.ts';

/**
 * The last lines of a terminal, redrawn in place. When anything else is written they stay as they are, and the next
 * drawing begins below.
 */
export class LiveRegion {
  readonly #io: Io;
  readonly #output: Output;
  readonly #onRelease: () => void;
  #drawn = 0;

  /** @param onRelease what was drawn can no longer be changed */
  constructor(io: Io, output: Output, onRelease: () => void) {
    this.#io = io;
    this.#output = output;
    this.#onRelease = onRelease;
  }

  /** Lines that fit the terminal; each is at most one row of it. */
  get room(): number {
    return Math.max(this.#output.rows - 1, 3);
  }

  get columns(): number {
    return this.#output.columns;
  }

  draw(lines: readonly string[]): void {
    this.#io.giveScreen(this.#hold);
    const up = this.#drawn === 0 ? '' : `\x1b[${this.#drawn}A\r`;
    this.#output.write(`${up}${lines.map((line) => `\x1b[2K${line}\n`).join('')}\x1b[J`);
    this.#drawn = lines.length;
    this.#io.holdScreen(this.#hold);
  }

  /** What is drawn stays. */
  end(): void {
    this.#io.giveScreen(this.#hold);
    this.#drawn = 0;
  }

  readonly #hold = (): void => {
    this.#drawn = 0;
    this.#onRelease();
  };
}

const FRAMES = '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏';

/** A turning mark for what is at work. @param now milliseconds */
export function spinner(now: number): string {
  return FRAMES[Math.trunc(now / 100) % FRAMES.length]!;
}

/** `text`, its end left out when it is wider than the space. */
export function clip(text: string, columns: number): string {
  return text.length <= columns ? text : `${text.slice(0, Math.max(columns - 1, 0))}…`;
}

/** `12.3s` */
export function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)}s`;
}
