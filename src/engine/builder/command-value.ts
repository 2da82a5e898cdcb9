import { EngineError } from '../../base/errors.ts';

/** Of what a command prints for a variable: bytes. */
export const MAX_VALUE = 64 << 10;

/** Whether a variable can have it. */
export function isVariableValue(text: string): boolean {
  return Buffer.byteLength(text) <= MAX_VALUE && !text.includes('\0');
}

/** What a command prints, as the value of a variable: without the ends of lines behind it, as in a shell's `$(…)`. */
export class CommandValue {
  readonly #name: string;
  readonly #tooLong = new AbortController();
  #text = '';
  #bytes = 0;

  /** @param name the variable's, for messages */
  constructor(name: string) {
    this.#name = name;
  }

  /** Aborts with `too-large` when more came than a variable may have: there is no use in its going on. */
  get signal(): AbortSignal {
    return this.#tooLong.signal;
  }

  add(text: string): void {
    this.#bytes += Buffer.byteLength(text);
    if (this.#bytes <= MAX_VALUE) this.#text += text;
    else if (!this.signal.aborted)
      this.#tooLong.abort(
        new EngineError('too-large', `the command for ${this.#name} prints more than ${MAX_VALUE} bytes`),
      );
  }

  /** Throws `invalid-argument` when it is nothing that a variable can have. */
  get value(): string {
    const value = this.#text.replace(/\n+$/, '');
    if (!isVariableValue(value))
      throw new EngineError(
        'invalid-argument',
        `the command for ${this.#name} prints a NUL, which no variable can have`,
      );
    return value;
  }
}
