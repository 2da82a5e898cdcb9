import { closing, HclError } from './template-end.ts';
import { type Token, tokenize } from './token.ts';

/** A value of HCL: JSON's kinds. */
export type Value = string | number | boolean | null | readonly Value[] | { readonly [key: string]: Value };
export type HclFunction = (...args: Value[]) => Value;

export interface Scope {
  /** Throws for a name that is none. */
  variable(name: string): Value;
  call(name: string): HclFunction | undefined;
}

/** An expression that was read: gives its value. */
export type Expression = (scope: Scope) => Value;

const PRECEDENCE: readonly (readonly string[])[] = [
  ['||'],
  ['&&'],
  ['==', '!='],
  ['<', '>', '<=', '>='],
  ['+', '-'],
  ['*', '/', '%'],
];

/** Reads the expressions of HCL's native syntax (https://github.com/hashicorp/hcl/blob/main/hclsyntax/spec.md). */
export class ExpressionReader {
  readonly #tokens: readonly Token[];
  #at: number;

  constructor(tokens: readonly Token[], at = 0) {
    this.#tokens = tokens;
    this.#at = at;
  }

  get at(): number {
    return this.#at;
  }

  get token(): Token {
    return this.#tokens[this.#at]!;
  }

  next(): Token {
    return this.#tokens[this.#at++]!;
  }

  is(text: string): boolean {
    return this.token.kind === 'punctuation' && this.token.text === text;
  }

  take(text: string): boolean {
    if (!this.is(text)) return false;
    this.#at++;
    return true;
  }

  expect(text: string): void {
    if (!this.take(text))
      throw new HclError(this.token.line, `expected ${JSON.stringify(text)}, and found ${describe(this.token)}`);
  }

  skipNewlines(): void {
    while (this.token.kind === 'newline') this.#at++;
  }

  expression(): Expression {
    const condition = this.#binary(0);
    if (!this.#takeLoose('?')) return condition;
    this.skipNewlines();
    const yes = this.expression();
    this.skipNewlines();
    this.expect(':');
    this.skipNewlines();
    const no = this.expression();
    return (scope) => (truth(condition(scope)) ? yes(scope) : no(scope));
  }

  /** Inside of brackets lines may break in front of an operator. */
  #takeLoose(text: string): boolean {
    return this.take(text);
  }

  #binary(level: number): Expression {
    const operators = PRECEDENCE[level];
    if (!operators) return this.#unary();
    let left = this.#binary(level + 1);
    for (;;) {
      const { token } = this;
      if (token.kind !== 'punctuation' || !operators.includes(token.text)) return left;
      this.next();
      this.skipNewlines();
      const [before, after] = [left, this.#binary(level + 1)];
      left = (scope) => operate(token, before(scope), () => after(scope));
    }
  }

  #unary(): Expression {
    const { line } = this.token;
    if (this.take('-')) {
      const operand = this.#unary();
      return (scope) => -toNumber(operand(scope), line);
    }
    if (this.take('!')) {
      const operand = this.#unary();
      return (scope) => !truth(operand(scope));
    }
    return this.#postfix(this.#primary());
  }

  #postfix(start: Expression): Expression {
    let value = start;
    for (;;) {
      const { line } = this.token;
      const before = value;
      if (this.take('.')) {
        const name = this.next();
        if (name.kind === 'punctuation' && name.text === '*') {
          const rest = this.#splat();
          value = (scope) => list(before(scope)).map((item) => rest(item, scope));
        } else if (name.kind === 'number') value = (scope) => index(before(scope), Number(name.text), line);
        else if (name.kind === 'name') value = (scope) => index(before(scope), name.text, line);
        else throw new HclError(line, `expected a name behind the dot, and found ${describe(name)}`);
      } else if (this.take('[')) {
        this.skipNewlines();
        if (this.take('*')) {
          this.expect(']');
          const rest = this.#splat();
          value = (scope) => list(before(scope)).map((item) => rest(item, scope));
          continue;
        }
        const key = this.expression();
        this.skipNewlines();
        this.expect(']');
        value = (scope) => index(before(scope), key(scope), line);
      } else return value;
    }
  }

  /** What follows a `*` is taken of each item. */
  #splat(): (item: Value, scope: Scope) => Value {
    let current: Value = null;
    const rest = this.#postfix(() => current);
    return (item, scope) => {
      current = item;
      return rest(scope);
    };
  }

  #primary(): Expression {
    const token = this.next();
    switch (token.kind) {
      case 'number': {
        const value = Number(token.text);
        return () => value;
      }
      case 'template':
        return template(token);
      case 'name':
        if (this.is('(')) return this.#call(token);
        if (token.text === 'true' || token.text === 'false') return () => token.text === 'true';
        if (token.text === 'null') return () => null;
        return (scope) => scope.variable(token.text);
      case 'punctuation':
        if (token.text === '(') {
          this.skipNewlines();
          const inner = this.expression();
          this.skipNewlines();
          this.expect(')');
          return inner;
        }
        if (token.text === '[') return this.#tuple();
        if (token.text === '{') return this.#object();
    }
    throw new HclError(token.line, `expected an expression, and found ${describe(token)}`);
  }

  #call({ text: name, line }: Token): Expression {
    this.expect('(');
    const args: Expression[] = [];
    let spread = false;
    for (this.skipNewlines(); !this.take(')'); this.skipNewlines()) {
      args.push(this.expression());
      this.skipNewlines();
      if (this.take('...')) spread = true;
      this.skipNewlines();
      if (!this.is(')')) this.expect(',');
    }
    return (scope) => {
      const call = scope.call(name);
      if (!call) throw new HclError(line, `there is no function ${name}`);
      const values = args.map((arg) => arg(scope));
      if (spread) values.push(...list(values.pop()!));
      try {
        return call(...values);
      } catch (error) {
        if (error instanceof HclError) throw error;
        throw new HclError(line, `${name}: ${(error as Error).message}`);
      }
    };
  }

  #tuple(): Expression {
    this.skipNewlines();
    if (this.token.kind === 'name' && this.token.text === 'for') return this.#for(']');
    const items: Expression[] = [];
    for (; !this.take(']'); this.skipNewlines()) {
      items.push(this.expression());
      this.skipNewlines();
      if (!this.is(']')) this.expect(',');
    }
    return (scope) => items.map((item) => item(scope));
  }

  #object(): Expression {
    this.skipNewlines();
    if (this.token.kind === 'name' && this.token.text === 'for') return this.#for('}');
    const members: [Expression, Expression][] = [];
    for (; !this.take('}'); this.skipNewlines()) {
      const { token } = this;
      let key: Expression;
      if (token.kind === 'name') {
        this.next();
        key = () => token.text;
      } else key = this.expression();
      if (!this.take('=')) this.expect(':');
      this.skipNewlines();
      members.push([key, this.expression()]);
      this.take(',');
    }
    return (scope) => fromEntries(members.map(([key, value]) => [toText(key(scope)), value(scope)]));
  }

  #for(end: ']' | '}'): Expression {
    this.next();
    const names = [this.#name()];
    if (this.take(',')) names.push(this.#name());
    const word = this.next();
    if (word.text !== 'in') throw new HclError(word.line, `expected "in", and found ${describe(word)}`);
    const source = this.expression();
    this.skipNewlines();
    this.expect(':');
    this.skipNewlines();
    const first = this.expression();
    let second: Expression | undefined;
    this.skipNewlines();
    if (end === '}') {
      this.expect('=>');
      this.skipNewlines();
      second = this.expression();
    }
    const grouped = this.take('...');
    this.skipNewlines();
    let condition: Expression | undefined;
    if (this.token.kind === 'name' && this.token.text === 'if') {
      this.next();
      condition = this.expression();
    }
    this.skipNewlines();
    this.expect(end);
    return (scope) => {
      const found: [Value, Value][] = [];
      for (const [key, value] of entries(source(scope))) {
        const own = within(
          scope,
          names.length === 1
            ? [[names[0]!, value]]
            : [
                [names[0]!, key],
                [names[1]!, value],
              ],
        );
        if (condition && !truth(condition(own))) continue;
        found.push([first(own), second ? second(own) : null]);
      }
      if (!second) return found.map(([value]) => value);
      if (!grouped) return fromEntries(found.map(([key, value]) => [toText(key), value]));
      const groups = new Map<string, Value[]>();
      for (const [key, value] of found) groups.set(toText(key), [...(groups.get(toText(key)) ?? []), value]);
      return fromEntries([...groups]);
    };
  }

  #name(): string {
    const token = this.next();
    if (token.kind !== 'name') throw new HclError(token.line, `expected a name, and found ${describe(token)}`);
    return token.text;
  }
}

/** The text with its `${…}` and `%{if …}`; one expression alone keeps its kind. */
export function template({ text, line, raw }: Pick<Token, 'text' | 'line' | 'raw'>): Expression {
  const parts = templateParts(text, line, raw === true);
  if (parts.length === 1 && parts[0]!.kind === 'expression') return parts[0]!.expression;
  const { build, at } = buildTemplate(parts, 0, line, []);
  if (at !== parts.length) throw new HclError(line, 'a template directive ends that was not begun');
  return build;
}

type Part =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'expression'; readonly expression: Expression }
  | { readonly kind: 'directive'; readonly word: string; readonly tokens: readonly Token[] };

function templateParts(text: string, line: number, raw: boolean): Part[] {
  const parts: Part[] = [];
  let plain = '';
  const flush = (): void => {
    if (plain !== '') parts.push({ kind: 'text', text: plain });
    plain = '';
  };
  for (let at = 0; at < text.length;) {
    const two = text.slice(at, at + 2);
    if (/^(?:\$\$|%%)\{/.test(text.slice(at, at + 3))) {
      plain += text.slice(at + 1, at + 3);
      at += 3;
    } else if (two === '${' || two === '%{') {
      const end = closing(text, at + 2, line);
      let inner = text.slice(at + 2, end);
      at = end + 1;
      if (inner.startsWith('~')) {
        inner = inner.slice(1);
        plain = plain.trimEnd();
      }
      if (inner.endsWith('~')) {
        inner = inner.slice(0, -1);
        while (/\s/.test(text[at] ?? '')) at++;
      }
      flush();
      const tokens = tokenize(inner, line);
      if (two === '${') {
        const reader = new ExpressionReader(tokens);
        reader.skipNewlines();
        const expression = reader.expression();
        reader.skipNewlines();
        if (reader.token.kind !== 'end') throw new HclError(line, `unexpected ${describe(reader.token)} in a template`);
        parts.push({ kind: 'expression', expression });
      } else parts.push({ kind: 'directive', word: tokens[0]!.text, tokens: tokens.slice(1) });
    } else if (text[at] === '\\' && !raw) {
      const [value, length] = escape(text, at, line);
      plain += value;
      at += length;
    } else plain += text[at++];
  }
  flush();
  return parts;
}

function buildTemplate(
  parts: readonly Part[],
  start: number,
  line: number,
  stops: readonly string[],
): { readonly build: Expression; readonly at: number } {
  const pieces: Expression[] = [];
  let at = start;
  while (at < parts.length) {
    const part = parts[at]!;
    if (part.kind === 'text') pieces.push(() => part.text);
    else if (part.kind === 'expression') pieces.push((scope) => toText(part.expression(scope)));
    else if (stops.includes(part.word)) break;
    else if (part.word === 'if') {
      const condition = new ExpressionReader(part.tokens).expression();
      const yes = buildTemplate(parts, at + 1, line, ['else', 'endif']);
      at = yes.at;
      let no: Expression = () => '';
      if (directiveAt(parts, at) === 'else') {
        const other = buildTemplate(parts, at + 1, line, ['endif']);
        no = other.build;
        at = other.at;
      }
      if (directiveAt(parts, at) !== 'endif') throw new HclError(line, 'a %{if} is without its %{endif}');
      pieces.push((scope) => (truth(condition(scope)) ? yes.build(scope) : no(scope)));
    } else if (part.word === 'for') {
      const names = part.tokens.filter(({ kind }) => kind === 'name').map(({ text }) => text);
      const cut = part.tokens.findIndex(({ text }) => text === 'in');
      if (cut < 1) throw new HclError(line, 'a %{for} is without its "in"');
      const source = new ExpressionReader(part.tokens, cut + 1).expression();
      const body = buildTemplate(parts, at + 1, line, ['endfor']);
      at = body.at;
      if (directiveAt(parts, at) !== 'endfor') throw new HclError(line, 'a %{for} is without its %{endfor}');
      const pair = cut > 1;
      const own = (scope: Scope, key: Value, value: Value): Scope =>
        within(
          scope,
          pair
            ? [
                [names[0]!, key],
                [names[1]!, value],
              ]
            : [[names[0]!, value]],
        );
      pieces.push((scope) => {
        const texts = entries(source(scope)).map(([key, value]) => toText(body.build(own(scope, key, value))));
        return texts.join('');
      });
    } else throw new HclError(line, `unknown template directive ${JSON.stringify(part.word)}`);
    at++;
  }
  return { build: (scope) => pieces.map((piece) => toText(piece(scope))).join(''), at };
}

function directiveAt(parts: readonly Part[], at: number): string | undefined {
  const part = parts[at];
  return part?.kind === 'directive' ? part.word : undefined;
}

function escape(text: string, at: number, line: number): [string, number] {
  const simple: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '"': '"', '\\': '\\' };
  const char = text[at + 1] ?? '';
  if (Object.hasOwn(simple, char)) return [simple[char]!, 2];
  const code = /^\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))/.exec(text.slice(at));
  if (code) return [String.fromCodePoint(parseInt(code[1] ?? code[2]!, 16)), code[0].length];
  throw new HclError(line, `invalid escape sequence \\${char}`);
}

function operate({ text, line }: Token, left: Value, right: () => Value): Value {
  switch (text) {
    case '||':
      return truth(left) || truth(right());
    case '&&':
      return truth(left) && truth(right());
    case '==':
      return same(left, right());
    case '!=':
      return !same(left, right());
  }
  const [a, b] = [toNumber(left, line), toNumber(right(), line)];
  switch (text) {
    case '<':
      return a < b;
    case '>':
      return a > b;
    case '<=':
      return a <= b;
    case '>=':
      return a >= b;
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      if (b === 0) throw new HclError(line, 'division by zero');
      return a / b;
    default:
      if (b === 0) throw new HclError(line, 'division by zero');
      return a % b;
  }
}

export function same(a: Value, b: Value): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

export function truth(value: Value): boolean {
  if (value === true || value === 'true') return true;
  if (value === false || value === 'false') return false;
  throw new Error(`${JSON.stringify(value)} is neither true nor false`);
}

export function toNumber(value: Value, line = 0): number {
  const number =
    typeof value === 'number' ? value : typeof value === 'string' && value.trim() !== '' ? Number(value) : NaN;
  if (Number.isNaN(number)) throw new HclError(line, `${JSON.stringify(value)} is no number`);
  return number;
}

/** As a template shows it. */
export function toText(value: Value): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw new Error(
    `${value === null ? 'null' : Array.isArray(value) ? 'a list' : 'an object'} cannot be part of a text`,
  );
}

export function list(value: Value): readonly Value[] {
  if (Array.isArray(value)) return value as readonly Value[];
  return value === null ? [] : [value];
}

function entries(value: Value): [Value, Value][] {
  if (Array.isArray(value)) return (value as readonly Value[]).map((item, at) => [at, item]);
  if (typeof value === 'object' && value !== null)
    return Object.entries(value as Record<string, Value>).sort(([a], [b]) => (a < b ? -1 : 1));
  throw new Error(`${JSON.stringify(value)} has nothing to go through`);
}

function index(value: Value, key: Value, line: number): Value {
  if (Array.isArray(value)) {
    const at = toNumber(key, line);
    const found = (value as readonly Value[])[at];
    if (found === undefined) throw new HclError(line, `the list has no item ${at}`);
    return found;
  }
  if (typeof value === 'object' && value !== null) {
    const name = toText(key);
    if (!Object.hasOwn(value, name)) throw new HclError(line, `there is no ${JSON.stringify(name)} in the object`);
    return (value as Record<string, Value>)[name]!;
  }
  throw new HclError(line, `${JSON.stringify(value)} has no parts`);
}

/** Names are data: `__proto__` too. */
function fromEntries(members: readonly (readonly [string, Value])[]): Value {
  const object = Object.create(null) as Record<string, Value>;
  for (const [key, value] of members) object[key] = value;
  return object;
}

function within(scope: Scope, own: readonly (readonly [string, Value])[]): Scope {
  const known = new Map(own);
  return {
    variable: (name) => (known.has(name) ? known.get(name)! : scope.variable(name)),
    call: (name) => scope.call(name),
  };
}

export function describe({ kind, text }: Token): string {
  if (kind === 'end') return 'the end of the file';
  return kind === 'newline' ? 'the end of the line' : JSON.stringify(text);
}
