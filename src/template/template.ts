import { GoMap, GoStruct } from './go-value.ts';
import { FUNCTIONS, type TemplateFunction, truth } from './functions.ts';
import { type Expression, type Node, parseTemplate, type Pipe } from './parse.ts';
import { entriesOf, goString } from './print.ts';

export interface TemplateOptions {
  /** How Go would call the data's type in `can't evaluate field X in type T`; without it a missing field is a missing map key. */
  readonly typeName?: string;
  /** Stands in for a field that is missing. */
  readonly missing?: (name: string) => unknown;
  /** In place of the built-in functions of the same name. */
  readonly functions?: ReadonlyMap<string, TemplateFunction>;
  /** For a template of somebody who is not to be trusted: how many nodes it may walk, and how long what it makes may be. */
  readonly limits?: { readonly steps: number; readonly size: number };
}

class LoopSignal extends Error {
  readonly kind: 'break' | 'continue';

  constructor(kind: 'break' | 'continue') {
    super(kind);
    this.kind = kind;
  }
}

/** Go's text/template, as far as docker's `--format` is used: the same output, the same complaints. */
export class Template {
  readonly #nodes: readonly Node[];
  readonly #options: TemplateOptions;

  /** Throws an Error with Go's words when the text cannot be read. */
  constructor(source: string, options: TemplateOptions = {}) {
    this.#nodes = parseTemplate(source);
    this.#options = options;
    checkFunctions(this.#nodes, options.functions);
  }

  /** Throws an Error with Go's words. */
  execute(data: unknown): string {
    const run = new Execution(data, this.#options);
    run.walk(this.#nodes, data);
    return run.text;
  }
}

class Execution {
  text = '';
  readonly #options: TemplateOptions;
  #variables: [string, unknown][];
  #steps = 0;

  constructor(data: unknown, options: TemplateOptions) {
    this.#options = options;
    this.#variables = [['$', data]];
  }

  walk(nodes: readonly Node[], dot: unknown): void {
    for (const node of nodes) {
      this.#step(1);
      switch (node.kind) {
        case 'text':
          this.text += node.text;
          break;
        case 'output': {
          const value = this.#pipe(node.pipe, dot);
          if (node.pipe.declares.length === 0) this.text += value === undefined ? '<no value>' : goString(value);
          this.#checkSize(this.text);
          break;
        }
        case 'break':
        case 'continue':
          throw new LoopSignal(node.kind);
        default:
          this.#scoped(() => this.#branch(node, dot));
      }
    }
  }

  #step(count: number): void {
    this.#steps += count;
    const { limits } = this.#options;
    if (limits && this.#steps > limits.steps) throw failure('', `more than ${limits.steps} steps`);
  }

  #checkSize(value: unknown): void {
    const { limits } = this.#options;
    const length = typeof value === 'string' || Array.isArray(value) ? value.length : 0;
    if (limits && length > limits.size) throw failure('', `a value of more than ${limits.size}`);
  }

  #branch(node: Extract<Node, { kind: 'if' | 'with' | 'range' }>, dot: unknown): void {
    if (node.kind === 'range') {
      this.#range(node, dot);
      return;
    }
    const value = this.#pipe(node.pipe, dot);
    if (truth(value)) this.walk(node.body, node.kind === 'with' ? value : dot);
    else this.walk(node.otherwise, dot);
  }

  #range(node: Extract<Node, { kind: 'if' | 'with' | 'range' }>, dot: unknown): void {
    const value = this.#pipe({ ...node.pipe, declares: [] }, dot);
    const [first, second] = node.pipe.declares;
    this.#step(typeof value === 'number' ? value : Array.isArray(value) ? value.length : 1);
    const items: [unknown, unknown][] = itemsOf(value);
    if (items.length === 0) {
      this.walk(node.otherwise, dot);
      return;
    }
    for (const [key, item] of items) {
      const again = this.#scoped(() => {
        if (second !== undefined) this.#variables.push([first!, key], [second, item]);
        else if (first !== undefined) this.#variables.push([first, item]);
        try {
          this.walk(node.body, item);
        } catch (error) {
          if (!(error instanceof LoopSignal)) throw error;
          return error.kind === 'continue';
        }
        return true;
      });
      if (!again) break;
    }
  }

  #scoped<T>(work: () => T): T {
    const before = this.#variables.length;
    try {
      return work();
    } finally {
      this.#variables.length = before;
    }
  }

  #pipe(pipe: Pipe, dot: unknown): unknown {
    let value: unknown;
    let piped = false;
    for (const command of pipe.commands) {
      value = this.#command(command, dot, piped ? [value] : []);
      piped = true;
    }
    for (const name of pipe.declares) {
      const known = pipe.assigns ? this.#variables.findLast(([other]) => other === name) : undefined;
      if (pipe.assigns && !known) throw failure(name, `undefined variable "${name}"`);
      if (known) known[1] = value;
      else this.#variables.push([name, value]);
    }
    return value;
  }

  #command(command: readonly Expression[], dot: unknown, piped: readonly unknown[]): unknown {
    const [head, ...rest] = command;
    if (head!.kind === 'call') {
      const lazy = () => rest.map((item) => () => this.#value(item, dot));
      if (head!.name === 'and' || head!.name === 'or') {
        const stopAt = head!.name === 'or';
        let last: unknown;
        for (const argument of [...lazy(), ...piped.map((value) => () => value)]) {
          last = argument();
          if (truth(last) === stopAt) return last;
        }
        return last;
      }
      const call = this.#function(head!.name);
      const args = [...rest.map((item) => this.#value(item, dot)), ...piped];
      this.#step(1);
      let made: unknown;
      try {
        made = call(...args);
      } catch (error) {
        throw failure(head!.name, (error as Error).message);
      }
      this.#checkSize(made);
      return made;
    }
    const args = [...rest.map((item) => this.#value(item, dot)), ...piped];
    if (head!.kind === 'fields') return this.#fields(head!, dot, args);
    if (args.length > 0) throw failure('', `can't give argument to non-function`);
    return this.#value(head!, dot);
  }

  #function(name: string): TemplateFunction {
    return this.#options.functions?.get(name) ?? FUNCTIONS.get(name)!;
  }

  #value(expression: Expression, dot: unknown): unknown {
    switch (expression.kind) {
      case 'literal':
        return expression.value;
      case 'dot':
        return dot;
      case 'variable': {
        const known = this.#variables.findLast(([name]) => name === expression.name);
        if (!known) throw failure(expression.name, `undefined variable "${expression.name}"`);
        return known[1];
      }
      case 'call':
        return this.#command([expression], dot, []);
      case 'pipe':
        return this.#pipe(expression.pipe, dot);
      case 'fields':
        return this.#fields(expression, dot, []);
    }
  }

  #fields(expression: Extract<Expression, { kind: 'fields' }>, dot: unknown, args: readonly unknown[]): unknown {
    let value = this.#value(expression.of, dot);
    const { names } = expression;
    for (const [i, name] of names.entries()) {
      const at = `.${names.slice(0, i + 1).join('.')}`;
      const found = fieldOf(value, name);
      // Go: what a key that is not there leads to has no value either.
      if (!found && value === undefined && i > 0) return undefined;
      if (!found && this.#options.missing) return this.#options.missing(name);
      if (!found) throw failure(at, this.#missing(value, name));
      const last = i === names.length - 1;
      if (typeof found.value === 'function') value = (found.value as TemplateFunction)(...(last ? args : []));
      else if (last && args.length > 0) throw failure(at, `${name} has arguments but cannot be invoked as function`);
      else value = found.value;
    }
    return value;
  }

  #missing(value: unknown, name: string): string {
    const { typeName } = this.#options;
    if (value === null || value === undefined) return `nil data; no entry for key "${name}"`;
    if (typeof value !== 'object') return `can't evaluate field ${name} in type ${typeof value}`;
    return typeName === undefined
      ? `map has no entry for key "${name}"`
      : `can't evaluate field ${name} in type ${typeName}`;
  }
}

function itemsOf(value: unknown): [unknown, unknown][] {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) return [...value.entries()];
  if (typeof value === 'number') return Array.from({ length: value }, (_, i) => [i, i]);
  if (typeof value === 'object') return entriesOf(value);
  throw failure('', `range can't iterate over ${goString(value)}`);
}

/** A field by its JSON name, or by the name Go's struct has for it (`ID` is `Id` in JSON). */
function fieldOf(value: unknown, name: string): { value: unknown } | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if (value instanceof GoStruct) {
    return value.fields.has(name) ? { value: value.fields.get(name) } : fieldOf(value.document, name);
  }
  if (value instanceof Map) {
    const map = value as Map<string, unknown>;
    return map.has(name) || map instanceof GoMap ? { value: map.get(name) } : undefined;
  }
  const record = value as Record<string, unknown>;
  if (Object.hasOwn(record, name)) return { value: record[name] };
  if (name === 'ID' && Object.hasOwn(record, 'Id')) return { value: record['Id'] };
  return undefined;
}

function failure(at: string, reason: string): Error {
  return new Error(`template: :1:${at === '' ? 1 : 2}: executing "" at <${at}>: ${reason}`);
}

function checkFunctions(nodes: readonly Node[], extra: ReadonlyMap<string, TemplateFunction> | undefined): void {
  const pipe = (item: Pipe): void => {
    for (const command of item.commands) command.forEach(expression);
  };
  const expression = (item: Expression): void => {
    if (item.kind === 'pipe') pipe(item.pipe);
    if (item.kind === 'fields') expression(item.of);
    if (
      item.kind === 'call' &&
      item.name !== 'and' &&
      item.name !== 'or' &&
      !FUNCTIONS.has(item.name) &&
      extra?.has(item.name) !== true
    ) {
      throw new Error(`template: :1: function "${item.name}" not defined`);
    }
  };
  for (const node of nodes) {
    if ('pipe' in node) pipe(node.pipe);
    if ('body' in node) {
      checkFunctions(node.body, extra);
      checkFunctions(node.otherwise, extra);
    }
  }
}
