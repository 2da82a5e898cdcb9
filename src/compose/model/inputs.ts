import { createHash } from 'node:crypto';
import fs from 'node:fs';

/** Something that was looked at: a file's text, whether there is a file, a variable of the process. */
export type Input = readonly [kind: 'text' | 'exists' | 'variable', name: string];

/**
 * All that a project's model is made of besides the command line: whoever reads a project looks at files and variables
 * through this. It remembers what was looked at and what was there, and gives the same answer when it is asked again.
 */
export class ProjectInputs {
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #answers = new Map<string, { readonly input: Input; readonly answer: string | undefined }>();
  #repeatable = true;

  constructor(env: Readonly<Record<string, string | undefined>>) {
    this.#env = env;
  }

  /** False when something was looked at that may be another thing the next time without showing it. */
  get repeatable(): boolean {
    return this.#repeatable;
  }

  /** In the order in which they were looked at. */
  get looked(): Input[] {
    return [...this.#answers.values()].map(({ input }) => input);
  }

  notRepeatable(): void {
    this.#repeatable = false;
  }

  /**
   * A file's text. Throws as `fs.readFileSync` does, and what `limit` gives for a file of more bytes. A pipe is read once,
   * and is not repeatable.
   */
  text(path: string, limit?: { readonly bytes: number; tooLarge(): Error }): string {
    const found = this.#answers.get(keyOf(['text', path]));
    if (found?.answer !== undefined) {
      if (limit && Buffer.byteLength(found.answer) > limit.bytes) throw limit.tooLarge();
      return found.answer;
    }
    try {
      const stat = fs.statSync(path);
      if (limit && stat.size > limit.bytes) throw limit.tooLarge();
      if (!stat.isFile()) this.#repeatable = false;
      return this.#answered(['text', path], fs.readFileSync(path, 'utf8'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') this.#answered(['text', path], undefined);
      else this.#repeatable = false;
      throw error;
    }
  }

  exists(path: string): boolean {
    const found = this.#answers.get(keyOf(['exists', path]));
    return (
      (found ? found.answer : this.#answered(['exists', path], fs.existsSync(path) ? '' : undefined)) !== undefined
    );
  }

  /** A variable of the process. */
  variable(name: string): string | undefined {
    return this.#answered(['variable', name], this.#env[name]);
  }

  /**
   * Looks at everything that another reading looked at. False, and nothing more is looked at, where one of the files is
   * none whose text would be there again when it is read, or where this is no list of inputs.
   */
  lookAgain(inputs: readonly Input[]): boolean {
    for (const [kind, name] of inputs) {
      if (kind === 'variable') this.variable(name);
      else if (kind === 'exists') this.exists(name);
      else if (kind === 'text') {
        const stat = fs.statSync(name, { throwIfNoEntry: false });
        if (stat && !stat.isFile()) return false;
        if (stat) this.text(name);
        else this.#answered(['text', name], undefined);
      } else return false;
    }
    return true;
  }

  /** 32 bytes: of what was looked at and what was there. */
  digest(): Buffer {
    const hash = createHash('sha256');
    for (const { input, answer } of this.#answers.values()) hash.update(`${JSON.stringify([...input, answer])}\n`);
    return hash.digest();
  }

  #answered<T extends string | undefined>(input: Input, answer: T): T {
    const key = keyOf(input);
    const before = this.#answers.get(key);
    if (!before) this.#answers.set(key, { input, answer });
    else if (before.answer !== answer) this.#repeatable = false; // it came while the project was read
    return answer;
  }
}

function keyOf([kind, name]: Input): string {
  return `${kind} ${name}`;
}
