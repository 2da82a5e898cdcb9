import { lex, TemplateSyntaxError, type Token } from './lex.ts';

export type Expression =
  | { readonly kind: 'literal'; readonly value: unknown }
  | { readonly kind: 'dot' }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'call'; readonly name: string }
  /** `.A.B`, `$x.A`, `(pipe).A` */
  | { readonly kind: 'fields'; readonly of: Expression; readonly names: readonly string[] }
  | { readonly kind: 'pipe'; readonly pipe: Pipe };

/** `a b c | d e`: each command's value is the last argument of the next. */
export interface Pipe {
  readonly declares: readonly string[];
  readonly assigns: boolean;
  readonly commands: readonly (readonly Expression[])[];
}

export type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'output'; readonly pipe: Pipe }
  | {
      readonly kind: 'if' | 'with' | 'range';
      readonly pipe: Pipe;
      readonly body: readonly Node[];
      readonly otherwise: readonly Node[];
    }
  | { readonly kind: 'break' | 'continue' };

/** Reads a template of Go's text/template. Throws an Error in Go's words. */
export function parseTemplate(source: string): readonly Node[] {
  try {
    const parser = new Parser(lex(source));
    return parser.whole();
  } catch (error) {
    if (!(error instanceof TemplateSyntaxError)) throw error;
    throw new Error(`template: :1: ${error.message}`, { cause: error });
  }
}

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  whole(): readonly Node[] {
    const { nodes, end } = this.#nodes(0);
    if (end !== undefined) throw new TemplateSyntaxError(`unexpected {{${end}}}`);
    return nodes;
  }

  /** Reads up to the `end` or `else` of this level, and past it. */
  #nodes(depth: number): { nodes: Node[]; end: 'end' | 'else' | undefined } {
    if (depth > 100) throw new TemplateSyntaxError('too deeply nested');
    const nodes: Node[] = [];
    for (let token = this.#next(); token; token = this.#next()) {
      if (token.kind === 'text') {
        nodes.push({ kind: 'text', text: token.text });
        continue;
      }
      this.#space();
      const word = this.#peek();
      const name = word?.kind === 'word' ? word.text : '';
      switch (name) {
        case 'end':
          this.#at++;
          this.#close('end');
          return { nodes, end: 'end' };
        case 'else':
          this.#at++;
          return { nodes, end: 'else' };
        case 'break':
        case 'continue':
          this.#at++;
          this.#close(name);
          nodes.push({ kind: name });
          break;
        case 'if':
        case 'with':
        case 'range':
          this.#at++;
          nodes.push(this.#branch(name, depth));
          break;
        case 'define':
        case 'template':
        case 'block':
          throw new TemplateSyntaxError(`{{${name}}} is not supported here`);
        default: {
          const pipe = this.#pipe('close');
          if (pipe.declares.length === 0 || pipe.commands.length > 0) nodes.push({ kind: 'output', pipe });
        }
      }
    }
    if (depth > 0) throw new TemplateSyntaxError('unexpected EOF');
    return { nodes, end: undefined };
  }

  #branch(kind: 'if' | 'with' | 'range', depth: number): Node {
    const pipe = this.#pipe('close');
    const { nodes: body, end } = this.#nodes(depth + 1);
    return { kind, pipe, body, otherwise: end === 'else' ? this.#otherwise(depth) : [] };
  }

  #otherwise(depth: number): Node[] {
    this.#space();
    const word = this.#peek();
    if (word?.kind === 'word' && (word.text === 'if' || word.text === 'with')) {
      this.#at++;
      return [this.#branch(word.text, depth)]; // `else if` shares the one `end`
    }
    this.#close('else');
    const { nodes, end } = this.#nodes(depth + 1);
    if (end !== 'end') throw new TemplateSyntaxError('expected end; found {{else}}');
    return nodes;
  }

  #pipe(until: 'close' | ')'): Pipe {
    this.#space();
    const { declares, assigns } = this.#declaration();
    const commands: Expression[][] = [];
    let command: Expression[] = [];
    for (;;) {
      const token = this.#next();
      if (!token) throw new TemplateSyntaxError('unclosed action');
      if (token.kind === 'space') continue;
      if (token.kind === until) break;
      if (token.kind === '|') {
        if (command.length === 0) throw new TemplateSyntaxError('missing value for command');
        commands.push(command);
        command = [];
        continue;
      }
      command.push(this.#fieldsAfter(this.#operand(token)));
    }
    if (command.length === 0) throw new TemplateSyntaxError('missing value for command');
    commands.push(command);
    return { declares, assigns, commands };
  }

  /** `$x :=`, `$i, $x :=`, `$x =`, or nothing. */
  #declaration(): { declares: string[]; assigns: boolean } {
    const from = this.#at;
    const names: string[] = [];
    for (;;) {
      const token = this.#next();
      if (token?.kind !== 'variable') break;
      names.push(token.text);
      this.#space();
      const after = this.#next();
      if (after?.kind === ':=' || after?.kind === '=') return { declares: names, assigns: after.kind === '=' };
      if (after?.kind !== ',') break;
      this.#space();
    }
    this.#at = from;
    return { declares: [], assigns: false };
  }

  #operand(token: Token): Expression {
    switch (token.kind) {
      case '.':
        return { kind: 'dot' };
      case 'field':
        return { kind: 'fields', of: { kind: 'dot' }, names: [token.text] };
      case 'variable':
        return { kind: 'variable', name: token.text };
      case 'string':
      case 'number':
        return { kind: 'literal', value: token.value };
      case '(':
        return { kind: 'pipe', pipe: this.#pipe(')') };
      case 'word':
        if (token.text === 'true' || token.text === 'false') return { kind: 'literal', value: token.text === 'true' };
        if (token.text === 'nil') return { kind: 'literal', value: null };
        return { kind: 'call', name: token.text };
      default:
        throw new TemplateSyntaxError(`unexpected "${token.kind}" in operand`);
    }
  }

  #fieldsAfter(of: Expression): Expression {
    const names: string[] = [];
    for (let token = this.#peek(); token?.kind === 'field'; token = this.#peek()) {
      names.push(token.text);
      this.#at++;
    }
    if (names.length === 0) return of;
    return of.kind === 'fields' ? { ...of, names: [...of.names, ...names] } : { kind: 'fields', of, names };
  }

  #close(after: string): void {
    this.#space();
    if (this.#next()?.kind !== 'close') throw new TemplateSyntaxError(`unexpected word in ${after}`);
  }

  #space(): void {
    while (this.#peek()?.kind === 'space') this.#at++;
  }

  #peek(): Token | undefined {
    return this.#tokens[this.#at];
  }

  #next(): Token | undefined {
    return this.#tokens[this.#at++];
  }
}
