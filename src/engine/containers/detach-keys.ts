import { EngineError } from '../../base/errors.ts';

const DEFAULT = 'ctrl-p,ctrl-q';

/** `ctrl-p,ctrl-q`, `a,b`, `ctrl-@` to the bytes that a terminal sends. Throws `invalid-argument`. */
export function parseDetachKeys(text: string | undefined): Uint8Array {
  return Uint8Array.from((text === undefined || text === '' ? DEFAULT : text).split(','), (key) => {
    if (key.length === 1) return key.charCodeAt(0) & 0x7f;
    const control = /^ctrl-([a-z@[\\\]^_])$/i.exec(key)?.[1];
    if (control === undefined) {
      throw new EngineError(
        'invalid-argument',
        `invalid detach keys (${text}): use single letters, or ctrl- with a letter or one of @ [ \\ ] ^ _, with commas between`,
      );
    }
    return control.toUpperCase().charCodeAt(0) & 0x1f;
  });
}

/**
 * Looks for the detach keys in what a client types. Keys that may still become the sequence are held back;
 * when they do not, they are passed on before what follows.
 */
export class DetachScanner {
  readonly #keys: Uint8Array;
  #matched = 0;

  constructor(keys: Uint8Array) {
    this.#keys = keys;
  }

  /** What to pass on, and whether the sequence is complete; what was typed after it is dropped. */
  scan(data: Uint8Array): { pass: Uint8Array; detached: boolean } {
    const keys = this.#keys;
    if (keys.length === 0 || (this.#matched === 0 && !data.includes(keys[0]!))) return { pass: data, detached: false };
    const pass: number[] = [];
    for (const byte of data) {
      if (byte === keys[this.#matched]) {
        if (++this.#matched === keys.length) return { pass: Uint8Array.from(pass), detached: true };
        continue;
      }
      for (let i = 0; i < this.#matched; i++) pass.push(keys[i]!);
      this.#matched = 0;
      if (byte === keys[0]) this.#matched = 1;
      else pass.push(byte);
    }
    return { pass: Uint8Array.from(pass), detached: false };
  }
}
