/**
 * Regular expressions of clients, in the syntax that Go's have (RE2): all ways through are followed at once, so a match
 * takes the text times the expression at most, whatever is in them. JavaScript's own take for ever where somebody wants
 * them to, and nothing else is answered meanwhile.
 */
export class Expression {
  readonly #program: readonly Step[];
  readonly #groups: number;
  readonly #marks: Uint32Array;
  #mark = 0;

  /** Throws `SyntaxError` for what is no expression, has groups that are looked back at, or is too large. */
  constructor(source: string) {
    if (source.length > MAX_STEPS) throw new SyntaxError('the expression is too long');
    const compiler = new Compiler(source);
    this.#program = compiler.program();
    this.#groups = compiler.groups;
    this.#marks = new Uint32Array(this.#program.length);
  }

  /** Whether it matches anywhere in the text. */
  test(text: string): boolean {
    let current: number[] = [];
    for (let at = 0; at <= text.length; at++) {
      const code = at < text.length ? text.charCodeAt(at) : -1;
      this.#mark++;
      const reached: number[] = [];
      for (const pc of [...current, 0]) if (this.#reach(pc, text, at, reached)) return true;
      current = [];
      for (const pc of reached) {
        const step = this.#program[pc]!;
        if (step.kind === 'one' && code >= 0 && step.test(code)) current.push(pc + 1);
      }
    }
    return false;
  }

  /**
   * What it matches first, and of the ways through the first as the expression is read: the whole, then its groups, each
   * undefined that had no part in it. Undefined when it matches nowhere.
   */
  exec(text: string): readonly (string | undefined)[] | undefined {
    let current: Thread[] = [];
    let found: Saved | undefined;
    for (let at = 0; at <= text.length && (current.length > 0 || !found); at++) {
      const code = at < text.length ? text.charCodeAt(at) : -1;
      this.#mark++;
      const reached: Thread[] = [];
      if (!found) current.push({ pc: 0, saved: { slot: 0, at, before: undefined } });
      for (const thread of current) {
        const end = this.#follow(thread, text, at, reached);
        if (!end) continue;
        found = { slot: 1, at, before: end.saved };
        break; // the others come after it
      }
      current = [];
      for (const { pc, saved } of reached) {
        const step = this.#program[pc]!;
        if (step.kind === 'one' && code >= 0 && step.test(code)) current.push({ pc: pc + 1, saved });
      }
    }
    return found && this.#parts(text, found);
  }

  /** As `#reach`, the ways in the order in which they count. */
  #follow(from: Thread, text: string, at: number, reached: Thread[]): Thread | undefined {
    const open = [from];
    for (let thread = open.pop(); thread !== undefined; thread = open.pop()) {
      const { pc, saved } = thread;
      if (this.#marks[pc] === this.#mark) continue;
      this.#marks[pc] = this.#mark;
      const step = this.#program[pc]!;
      if (step.kind === 'end') return thread;
      if (step.kind === 'one') reached.push(thread);
      else if (step.kind === 'fork') open.push(...step.to.toReversed().map((to) => ({ pc: to, saved })));
      else if (step.kind === 'save') open.push({ pc: pc + 1, saved: { slot: step.slot, at, before: saved } });
      else if (step.test(text, at)) open.push({ pc: pc + 1, saved });
    }
    return undefined;
  }

  #parts(text: string, found: Saved): (string | undefined)[] {
    const places: (number | undefined)[] = [];
    for (let saved: Saved | undefined = found; saved; saved = saved.before) places[saved.slot] ??= saved.at;
    return Array.from({ length: this.#groups + 1 }, (_, group) => {
      const [start, end] = [places[group * 2], places[group * 2 + 1]];
      return start === undefined || end === undefined ? undefined : text.slice(start, end);
    });
  }

  /** Adds what is reached from `from` without a character; true when that is the end. */
  #reach(from: number, text: string, at: number, reached: number[]): boolean {
    const open = [from];
    for (let pc = open.pop(); pc !== undefined; pc = open.pop()) {
      if (this.#marks[pc] === this.#mark) continue;
      this.#marks[pc] = this.#mark;
      const step = this.#program[pc]!;
      if (step.kind === 'end') return true;
      if (step.kind === 'one') reached.push(pc);
      else if (step.kind === 'fork') open.push(...step.to);
      else if (step.kind === 'save' || step.test(text, at)) open.push(pc + 1);
    }
    return false;
  }
}

/** Characters of an expression, and steps of its program. */
const MAX_STEPS = 1000;

type Step =
  | { readonly kind: 'one'; readonly test: (code: number) => boolean }
  | { readonly kind: 'fork'; readonly to: number[] }
  | { readonly kind: 'place'; readonly test: (text: string, at: number) => boolean }
  | { readonly kind: 'save'; readonly slot: number }
  | { readonly kind: 'end' };

/** Where groups began (even) and ended (odd), the last first. */
interface Saved {
  readonly slot: number;
  readonly at: number;
  readonly before: Saved | undefined;
}

interface Thread {
  readonly pc: number;
  readonly saved: Saved;
}

type Node =
  | { readonly kind: 'one'; readonly test: (code: number) => boolean }
  | { readonly kind: 'place'; readonly test: (text: string, at: number) => boolean }
  | { readonly kind: 'all'; readonly parts: readonly Node[] }
  | { readonly kind: 'any'; readonly parts: readonly Node[] }
  | { readonly kind: 'group'; readonly part: Node; readonly number: number }
  | Repeat;

interface Repeat {
  readonly kind: 'repeat';
  readonly part: Node;
  readonly least: number;
  readonly most: number;
  /** As few as possible come first. */
  readonly lazy: boolean;
}

interface Flags {
  /** `i`: upper and lower case are the same. */
  readonly fold: boolean;
  /** `s`: a dot is a line's end, too. */
  readonly dotAll: boolean;
  /** `m`: `^` and `$` are at the ends of lines, too. */
  readonly lines: boolean;
}

class Compiler {
  readonly #source: string;
  readonly #steps: Step[] = [];
  #at = 0;
  /** Groups that are kept. */
  groups = 0;
  #flags: Flags = { fold: false, dotAll: false, lines: false };

  constructor(source: string) {
    this.#source = source;
  }

  program(): readonly Step[] {
    const node = this.#alternatives();
    if (this.#at < this.#source.length) throw new SyntaxError('unexpected )');
    this.#emit(node);
    this.#add({ kind: 'end' });
    return this.#steps;
  }

  #add(step: Step): number {
    if (this.#steps.length >= MAX_STEPS) throw new SyntaxError('the expression is too large');
    return this.#steps.push(step) - 1;
  }

  #emit(node: Node): void {
    switch (node.kind) {
      case 'one':
      case 'place':
        this.#add(node);
        return;
      case 'all':
        for (const part of node.parts) this.#emit(part);
        return;
      case 'any': {
        const fork: number[] = [];
        this.#add({ kind: 'fork', to: fork });
        const ends = node.parts.map((part) => {
          fork.push(this.#steps.length);
          this.#emit(part);
          const to: number[] = [];
          this.#add({ kind: 'fork', to });
          return to;
        });
        for (const to of ends) to.push(this.#steps.length);
        return;
      }
      case 'repeat':
        for (let count = 0; count < node.least; count++) this.#emit(node.part);
        if (node.most === Infinity) this.#loop(node);
        else for (let count = node.least; count < node.most; count++) this.#optional(node);
        return;
      case 'group':
        this.#add({ kind: 'save', slot: node.number * 2 });
        this.#emit(node.part);
        this.#add({ kind: 'save', slot: node.number * 2 + 1 });
    }
  }

  #loop(repeat: Repeat): void {
    const to: number[] = [];
    const start = this.#add({ kind: 'fork', to });
    to.push(this.#steps.length);
    this.#emit(repeat.part);
    this.#add({ kind: 'fork', to: [start] });
    this.#orElse(repeat, to);
  }

  #optional(repeat: Repeat): void {
    const to: number[] = [];
    this.#add({ kind: 'fork', to });
    to.push(this.#steps.length);
    this.#emit(repeat.part);
    this.#orElse(repeat, to);
  }

  #orElse({ lazy }: Repeat, to: number[]): void {
    if (lazy) to.unshift(this.#steps.length);
    else to.push(this.#steps.length);
  }

  #alternatives(): Node {
    const before = this.#flags;
    const parts = [this.#sequence()];
    while (this.#take('|')) parts.push(this.#sequence());
    this.#flags = before;
    return parts.length === 1 ? parts[0]! : { kind: 'any', parts };
  }

  #sequence(): Node {
    const parts: Node[] = [];
    while (this.#at < this.#source.length && !'|)'.includes(this.#source[this.#at]!)) {
      const part = this.#atom();
      if (part) parts.push(this.#repeated(part));
    }
    return { kind: 'all', parts };
  }

  #repeated(part: Node): Node {
    const found = this.#match(/(?:[*+?]|\{(\d{1,4})(?:(,)(\d{0,4}))?\})\??/y);
    if (!found) return part;
    const [text, least, comma, most] = found;
    const lazy = text.length > 1 && text.endsWith('?');
    if (least === undefined) {
      const bounds = { '*': [0, Infinity], '+': [1, Infinity], '?': [0, 1] } as const;
      const [from, to] = bounds[text[0] as '*' | '+' | '?'];
      return this.#repeated({ kind: 'repeat', part, least: from, most: to, lazy });
    }
    const from = Number(least);
    const to = comma === undefined ? from : most === '' ? Infinity : Number(most);
    if (to < from || from > MAX_STEPS) throw new SyntaxError(`invalid repeat count ${text}`);
    return this.#repeated({ kind: 'repeat', part, least: from, most: to, lazy });
  }

  /** Undefined for what only sets flags. */
  #atom(): Node | undefined {
    const { lines, dotAll } = this.#flags;
    const char = this.#source[this.#at++]!;
    switch (char) {
      case '(':
        return this.#group();
      case '[':
        return this.#class();
      case '.':
        return { kind: 'one', test: (code) => dotAll || code !== LINE_FEED };
      case '^':
        return { kind: 'place', test: (text, at) => at === 0 || (lines && text.charCodeAt(at - 1) === LINE_FEED) };
      case '$':
        return {
          kind: 'place',
          test: (text, at) => at === text.length || (lines && text.charCodeAt(at) === LINE_FEED),
        };
      case '\\':
        return this.#escape();
      case '*':
      case '+':
      case '?':
        throw new SyntaxError(`nothing to repeat with ${char}`);
      default:
        return this.#literal(char.charCodeAt(0));
    }
  }

  #literal(wanted: number): Node {
    return { kind: 'one', test: this.#folded((code) => code === wanted) };
  }

  #group(): Node | undefined {
    const flags = this.#match(/\?([ims]*)(?:-([ims]+))?([:)])/y);
    const before = this.#flags;
    if (flags) {
      const [, on = '', off = '', end] = flags;
      const set = (flag: string, was: boolean): boolean => (was || on.includes(flag)) && !off.includes(flag);
      this.#flags = {
        fold: set('i', before.fold),
        dotAll: set('s', before.dotAll),
        lines: set('m', before.lines),
      };
      if (end === ')') return undefined;
    } else if (!this.#match(/\?P?<\w+>/y) && this.#source[this.#at] === '?') {
      throw new SyntaxError('invalid group');
    }
    const number = flags ? undefined : ++this.groups;
    const node = this.#alternatives();
    this.#flags = before;
    if (!this.#take(')')) throw new SyntaxError('missing closing )');
    return number === undefined ? node : { kind: 'group', part: node, number };
  }

  #escape(): Node {
    const char = this.#source[this.#at];
    const place = char === undefined ? undefined : PLACES[char];
    if (place) {
      this.#at++;
      return { kind: 'place', test: place };
    }
    const test = this.#escapedSet();
    if (test) return { kind: 'one', test: this.#folded(test) };
    return this.#literal(this.#escapedCharacter());
  }

  #escapedSet(): ((code: number) => boolean) | undefined {
    const char = this.#source[this.#at];
    const set = char === undefined ? undefined : SETS[char.toLowerCase()];
    if (!set) return undefined;
    this.#at++;
    return char === char!.toLowerCase() ? set : (code) => !set(code);
  }

  #escapedCharacter(): number {
    const hex = this.#match(/x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,4})\})/y);
    if (hex) return Number.parseInt(hex[1] ?? hex[2]!, 16);
    const char = this.#source[this.#at++];
    if (char === undefined) throw new SyntaxError('trailing backslash');
    if (Object.hasOwn(CONTROLS, char)) return CONTROLS[char]!;
    if (/[0-9A-Za-z]/.test(char)) throw new SyntaxError(`invalid escape sequence \\${char}`);
    return char.charCodeAt(0);
  }

  #class(): Node {
    const negated = this.#take('^');
    const tests: ((code: number) => boolean)[] = [];
    for (let first = true; first || this.#source[this.#at] !== ']'; first = false) {
      if (this.#at >= this.#source.length) throw new SyntaxError('missing closing ]');
      const named = this.#namedSet();
      const escaped = !named && this.#take('\\');
      const test = named ?? (escaped ? this.#escapedSet() : undefined);
      if (test) {
        tests.push(test);
        continue;
      }
      const from = this.#classCharacter(escaped);
      let to = from;
      if (this.#source[this.#at] === '-' && this.#source[this.#at + 1] !== ']') {
        this.#at++;
        to = this.#classCharacter(this.#take('\\'));
        if (to < from) throw new SyntaxError('invalid range of characters');
      }
      tests.push((code) => code >= from && code <= to);
    }
    this.#at++;
    const any = this.#folded((code) => tests.some((test) => test(code)));
    return { kind: 'one', test: negated ? (code) => !any(code) : any };
  }

  #classCharacter(escaped: boolean): number {
    if (escaped) return this.#escapedCharacter();
    const char = this.#source[this.#at++];
    if (char === undefined) throw new SyntaxError('missing closing ]');
    return char.charCodeAt(0);
  }

  #namedSet(): ((code: number) => boolean) | undefined {
    const found = this.#match(/\[:(\^?)(\w+):\]/y);
    if (!found) return undefined;
    const set = NAMED_SETS[found[2]!];
    if (!set) throw new SyntaxError(`invalid class of characters ${found[0]}`);
    return found[1] === '' ? set : (code) => !set(code);
  }

  #folded(test: (code: number) => boolean): (code: number) => boolean {
    if (!this.#flags.fold) return test;
    return (code) => {
      const char = String.fromCharCode(code);
      return test(code) || test(char.toLowerCase().charCodeAt(0)) || test(char.toUpperCase().charCodeAt(0));
    };
  }

  #take(char: string): boolean {
    if (this.#source[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#source);
    if (!found) return undefined;
    this.#at += found[0].length;
    return found;
  }
}

const LINE_FEED = 10;
const CONTROLS: Readonly<Record<string, number>> = { a: 7, f: 12, t: 9, n: 10, r: 13, v: 11 };

function among(pattern: RegExp): (code: number) => boolean {
  return (code) => pattern.test(String.fromCharCode(code));
}

const SETS: Readonly<Record<string, (code: number) => boolean>> = {
  d: among(/[0-9]/),
  s: among(/[\t\n\f\r ]/),
  w: among(/[0-9A-Za-z_]/),
};
const NAMED_SETS: Readonly<Record<string, (code: number) => boolean>> = Object.assign(Object.create(null) as object, {
  alnum: among(/[0-9A-Za-z]/),
  alpha: among(/[A-Za-z]/),
  digit: SETS['d']!,
  lower: among(/[a-z]/),
  punct: among(/[!-/:-@[-`{-~]/),
  space: among(/[\t\n\v\f\r ]/),
  upper: among(/[A-Z]/),
  word: SETS['w']!,
  xdigit: among(/[0-9A-Fa-f]/),
});

function isWord(text: string, at: number): boolean {
  return at >= 0 && at < text.length && SETS['w']!(text.charCodeAt(at));
}

const PLACES: Readonly<Record<string, ((text: string, at: number) => boolean) | undefined>> = {
  A: (_, at) => at === 0,
  z: (text, at) => at === text.length,
  b: (text, at) => isWord(text, at - 1) !== isWord(text, at),
  B: (text, at) => isWord(text, at - 1) === isWord(text, at),
};
