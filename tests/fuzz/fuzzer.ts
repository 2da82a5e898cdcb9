import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Mutator } from './mutator.ts';
import { isTyped, type Target } from './target.ts';

/** Inputs that were found once, by target. */
export const CORPUS = new URL('corpus', import.meta.url).pathname;
/** An input of at most 64 KiB that takes longer is one that stops an engine. Generous: machines are busy. */
const SLOW_MS = 2000;
/** Findings of one target, after which there is no point in going on. */
const ENOUGH = 10;

export interface Finding {
  readonly what: string;
  readonly input: Uint8Array;
}

export interface FuzzResult {
  readonly inputs: number;
  readonly refused: number;
  readonly slowestMs: number;
  readonly findings: readonly Finding[];
}

export function corpusOf(target: string): Buffer[] {
  const directory = join(CORPUS, target);
  return existsSync(directory)
    ? readdirSync(directory)
        .sort()
        .map((name) => readFileSync(join(directory, name)))
    : [];
}

/** Gives a target one input after the other, and keeps those that it neither reads nor refuses. */
export class Fuzzer {
  readonly #target: Target;
  readonly #seed: number;
  readonly #mutator: Mutator;
  readonly #begins: (input: Buffer) => void;
  readonly #findings: Finding[] = [];
  #inputs = 0;
  #refused = 0;
  #slowestMs = 0;

  /** `begins` is told each input before it is read. */
  constructor(target: Target, seed: number, begins: (input: Buffer) => void = () => {}) {
    this.#target = target;
    this.#seed = seed;
    this.#begins = begins;
    const { pieces, json } = target;
    this.#mutator = new Mutator([...target.seeds, ...corpusOf(target.name)], {
      ...(pieces && { pieces }),
      ...(json && { json }),
    });
  }

  /** The seeds and the corpus as they are. */
  async known(): Promise<FuzzResult> {
    for (const input of [...this.#target.seeds, ...corpusOf(this.#target.name)])
      await this.#read(Buffer.from(input as string));
    return this.#result();
  }

  async forSeconds(seconds: number): Promise<FuzzResult> {
    const end = performance.now() + seconds * 1000;
    for (let n = 0; performance.now() < end && this.#findings.length < ENOUGH; n++) {
      await this.#read(this.#mutator.input(this.#seed, n));
    }
    return this.#result();
  }

  async forInputs(count: number): Promise<FuzzResult> {
    for (let n = 0; n < count && this.#findings.length < ENOUGH; n++)
      await this.#read(this.#mutator.input(this.#seed, n));
    return this.#result();
  }

  async #read(input: Buffer): Promise<void> {
    this.#inputs++;
    this.#begins(input);
    const isRefusal = this.#target.isRefusal ?? isTyped;
    const from = performance.now();
    try {
      await this.#target.read(input);
    } catch (error) {
      if (isRefusal(error)) this.#refused++;
      else
        this.#found(
          String((error as Error)?.stack ?? error)
            .split('\n')
            .slice(0, 4)
            .join(' '),
          input,
        );
    }
    const ms = performance.now() - from;
    this.#slowestMs = Math.max(this.#slowestMs, Math.round(ms));
    if (ms > SLOW_MS) this.#found(`takes ${Math.round(ms)} ms`, input);
  }

  /** Of the same place only the first is kept. */
  #found(what: string, input: Buffer): void {
    const place = /at .*?\(?(?:file:\/\/)?(\S+:\d+:\d+)/.exec(what)?.[1] ?? what;
    if (!this.#findings.some((other) => other.what.includes(place))) this.#findings.push({ what, input });
  }

  #result(): FuzzResult {
    return { inputs: this.#inputs, refused: this.#refused, slowestMs: this.#slowestMs, findings: this.#findings };
  }
}
