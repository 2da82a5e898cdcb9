import type { ReadStream } from 'node:tty';
import type { Cli } from '../../cli.ts';
import { clip } from '../../output/live-region.ts';

export interface UpMenuActions {
  /** Undefined: nothing can be watched. */
  readonly watch: (() => void) | undefined;
  readonly detach: () => void;
  /** As the terminal's own interrupt, which there is none of while keys are read one by one. */
  readonly interrupt: () => void;
}

const CONTROL_C = '\x03';
/** Milliseconds after other output before the menu is drawn below it again. */
const QUIET = 100;

/** Whether keys can be read one by one, and a line be redrawn. */
export function canShowMenu(cli: Cli): boolean {
  return cli.io.stdinIsTTY && cli.io.stdout.isTTY && cli.env['TERM'] !== 'dumb';
}

/** The last line of the terminal while `up` is attached: says which keys do what, and listens for them. */
export class UpMenu implements Disposable {
  readonly #cli: Cli;
  readonly #actions: UpMenuActions;
  readonly #stdin: ReadStream;
  #watching: boolean;
  #redraw: NodeJS.Timeout | undefined;

  constructor(cli: Cli, actions: UpMenuActions, watching: boolean) {
    this.#cli = cli;
    this.#actions = actions;
    this.#watching = watching;
    this.#stdin = cli.io.stdin() as ReadStream;
    this.#stdin.setRawMode(true);
    this.#stdin.on('data', this.#onKeys).resume();
    this.#draw();
  }

  set watching(on: boolean) {
    this.#watching = on;
    this.#erase();
    this.#draw();
  }

  /** The terminal is as it was. */
  [Symbol.dispose](): void {
    clearTimeout(this.#redraw);
    this.#erase();
    this.#stdin.off('data', this.#onKeys).pause();
    this.#stdin.setRawMode(false);
  }

  readonly #onKeys = (data: Buffer | string): void => {
    for (const key of data.toString()) {
      if (key === CONTROL_C) this.#actions.interrupt();
      else if (key === 'w') this.#actions.watch?.();
      else if (key === 'd') this.#actions.detach();
    }
  };

  #drawn = false;

  #draw(): void {
    clearTimeout(this.#redraw);
    const { io } = this.#cli;
    // Rows of what is under way are drawn over themselves: the menu comes after them.
    if (io.screenIsHeld) {
      this.#redraw = setTimeout(() => this.#draw(), QUIET);
      return;
    }
    const items = [
      ...(this.#actions.watch ? [`w ${this.#watching ? 'Disable' : 'Enable'} Watch`] : []),
      'd Detach',
      'Ctrl+C Stop',
    ];
    io.stdout.write(`${clip(items.join('   '), io.stdout.columns - 1)}\n`);
    this.#drawn = true;
    io.holdScreen(this.#giveWay);
  }

  readonly #giveWay = (): void => {
    this.#erase();
    this.#redraw = setTimeout(() => this.#draw(), QUIET);
  };

  #erase(): void {
    if (!this.#drawn) return;
    this.#drawn = false;
    const { io } = this.#cli;
    io.giveScreen(this.#giveWay);
    io.stdout.write('\x1b[1A\r\x1b[J');
  }
}
