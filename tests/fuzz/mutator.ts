import { generator } from '../faults/random.ts';

const NUMBERS = ['0', '-1', '1', '65536', '2147483648', '4294967295', '9007199254740993', '1e999', '-0', '0x10', '1.5'];
const BINARY = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0xffffffff];
/** What breaks readers that think of text as harmless. */
const ODD = [
  '\0',
  '\uFEFF',
  '\u2028',
  '\r\n',
  '\n',
  '\\',
  '"',
  "'",
  '${',
  '}',
  '[',
  ']',
  '{',
  '__proto__',
  'constructor',
  '../',
  '//',
  ':',
  '@',
  '%00',
  '%',
  '\x1b[2J',
  'é',
  '\ud800',
];
const VALUES: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  9007199254740991,
  '',
  'x',
  '\0',
  [],
  {},
  [[]],
  [null],
  { a: null },
  'a'.repeat(2000),
];
/** Inputs that grew beyond it are cut. */
export const MAX_BYTES = 64 << 10;

/** Makes inputs of seeds and pieces: the same ones for the same number. */
export class Mutator {
  readonly #seeds: readonly Buffer[];
  readonly #pieces: readonly string[];
  readonly #json: boolean;
  #random: () => number = generator(0);

  constructor(seeds: readonly (string | Uint8Array)[], options: { pieces?: readonly string[]; json?: boolean } = {}) {
    this.#seeds = seeds.map((seed) => Buffer.from(seed as string));
    this.#pieces = [...(options.pieces ?? []), ...NUMBERS, ...ODD];
    this.#json = options.json ?? false;
  }

  /** The `n`th input of a seed. */
  input(seed: number, n: number): Buffer {
    this.#random = generator((Math.imul(n, 0x9e3779b1) + seed) >>> 0);
    let input: Buffer = this.#one(this.#seeds);
    if (this.#json && this.#chance(0.7)) input = this.#changeDocument(input);
    else if (this.#pieces.length > NUMBERS.length + ODD.length && this.#chance(0.3)) input = this.#fromPieces();
    const changes = this.#json && this.#chance(0.7) ? 0 : this.#below(6);
    for (let change = 0; change < changes; change++) input = this.#change(input);
    return input.subarray(0, MAX_BYTES);
  }

  #fromPieces(): Buffer {
    return Buffer.from(Array.from({ length: 1 + this.#below(40) }, () => this.#one(this.#pieces)).join(''));
  }

  #change(input: Buffer): Buffer {
    const at = this.#below(input.length + 1);
    const length = this.#chance(0.8) ? this.#below(16) : this.#below(input.length + 1);
    const put = (bytes: Uint8Array, instead = 0): Buffer =>
      Buffer.concat([input.subarray(0, at), bytes, input.subarray(at + instead)]);
    switch (this.#below(9)) {
      case 0:
        return put(Uint8Array.of((input[at] ?? 0) ^ (1 << this.#below(8))), 1);
      case 1:
        return put(Uint8Array.of(this.#below(256)), 1);
      case 2:
        return put(Buffer.from(this.#one(this.#pieces)));
      case 3:
        return put(Buffer.from(this.#one(this.#pieces)), length);
      case 4:
        return put(Buffer.alloc(0), length);
      case 5: {
        const times = this.#chance(0.9) ? 1 : 1 + this.#below(200);
        const part = input.subarray(at, at + Math.min(length, Math.floor(MAX_BYTES / times)));
        return put(Buffer.concat(Array.from({ length: times }, () => part)));
      }
      case 6: {
        const other = this.#one(this.#seeds);
        const from = this.#below(other.length + 1);
        return put(other.subarray(from, from + length));
      }
      case 7: {
        const number = Buffer.alloc(4);
        if (this.#chance(0.5)) number.writeUInt32BE(this.#one(BINARY));
        else number.writeUInt32LE(this.#one(BINARY));
        const size = this.#one([1, 2, 4]);
        return put(number.subarray(0, size), size);
      }
      default:
        return input.subarray(0, at);
    }
  }

  /** Another value, another key, one less, one more: at some place of the document. */
  #changeDocument(input: Buffer): Buffer {
    let document: unknown;
    try {
      document = JSON.parse(input.toString());
    } catch {
      return input;
    }
    const root = { document };
    for (let change = 0; change <= this.#below(3); change++) {
      let [holder, key]: [Record<string, unknown>, string] = [root, 'document'];
      while (this.#chance(0.75)) {
        const value = holder[key];
        if (typeof value !== 'object' || value === null) break;
        const keys = Object.keys(value);
        if (keys.length === 0) break;
        [holder, key] = [value as Record<string, unknown>, this.#one(keys)];
      }
      const value = holder[key];
      switch (this.#below(7)) {
        case 0:
          if (Array.isArray(holder)) holder.splice(Number(key), 1);
          else delete holder[key];
          break;
        case 1:
          holder[key] = this.#one(this.#pieces);
          break;
        case 2:
          if (Array.isArray(value))
            value.push(...Array.from({ length: this.#below(40) }, () => structuredClone(value[0])));
          else holder[key] = [value];
          break;
        case 3:
          holder[key] = { [this.#one(this.#pieces)]: value };
          break;
        case 4:
          if (typeof value === 'string') holder[key] = this.#change(Buffer.from(value)).toString();
          else if (typeof value === 'number') holder[key] = -value * 1e10;
          break;
        default:
          holder[key] = structuredClone(this.#one(VALUES));
      }
    }
    return Buffer.from(JSON.stringify(root.document) ?? '');
  }

  #one<T>(list: readonly T[]): T {
    return list[this.#below(list.length)]!;
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #chance(share: number): boolean {
    return this.#random() < share;
  }
}
