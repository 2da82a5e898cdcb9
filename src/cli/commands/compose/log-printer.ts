import type { Cli } from '../../cli.ts';
import { escapeControls } from '../../output/escape.ts';

const COLORS = [36, 33, 32, 35, 34, 96, 93, 92, 95, 94];

/** Prints lines of many containers, each with its name before it, as whole lines. */
export class LogPrinter {
  readonly #cli: Cli;
  readonly #prefix: boolean;
  readonly #color: boolean;
  readonly #timestamps: boolean;
  readonly #names: string[] = [];
  #width = 0;

  constructor(cli: Cli, options: { prefix: boolean; color: boolean; timestamps?: boolean }) {
    this.#cli = cli;
    this.#prefix = options.prefix;
    this.#color = options.color && cli.colors;
    this.#timestamps = options.timestamps === true;
  }

  /** A name makes the column as wide as it needs, from now on. */
  register(name: string): void {
    if (this.#names.includes(name)) return;
    this.#names.push(name);
    this.#width = Math.max(this.#width, name.length);
  }

  /** A sink for one stream of one container; `end` prints a line that was left open. */
  sink(name: string, stream: 'stdout' | 'stderr'): { write: (data: Buffer) => void; end: () => void } {
    this.register(name);
    const decoder = new TextDecoder();
    let rest = '';
    return {
      write: (data) => {
        const lines = (rest + decoder.decode(data, { stream: true })).split('\n');
        rest = lines.pop()!;
        for (const line of lines) this.line(name, line, stream);
      },
      end: () => {
        rest += decoder.decode();
        if (rest !== '') this.line(name, rest, stream);
        rest = '';
      },
    };
  }

  line(name: string, text: string, stream: 'stdout' | 'stderr' = 'stdout'): void {
    const stamp = this.#timestamps ? `${new Date().toISOString()} ` : '';
    const output = stream === 'stderr' ? this.#cli.io.stderr : this.#cli.io.stdout;
    const clean = output.isTTY ? escapeControls(text) : text;
    output.write(`${this.#prefixOf(name)}${stamp}${clean}\n`);
  }

  /** About a container, not of it. */
  status(name: string, text: string): void {
    const color = this.#color && this.#prefix ? COLORS[this.#names.indexOf(name) % COLORS.length] : undefined;
    this.#cli.io.stdout.write(color === undefined ? `${text}\n` : `\x1b[${color}m${text}\x1b[0m\n`);
  }

  #prefixOf(name: string): string {
    if (!this.#prefix) return '';
    const text = `${name.padEnd(this.#width)}  | `;
    if (!this.#color) return text;
    return `\x1b[${COLORS[this.#names.indexOf(name) % COLORS.length]}m${text}\x1b[0m`;
  }
}
