import { EngineError } from '../../base/errors.ts';

/** The value of a variable, or undefined when it is not set. */
export type Lookup = (name: string) => string | undefined;

export interface InterpolateOptions {
  readonly lookup: Lookup;
  /** Called for a variable that is not set and has no default. */
  readonly onMissing?: ((name: string) => void) | undefined;
  /** Called for every variable that is met. */
  readonly onVariable?: ((variable: Variable) => void) | undefined;
}

/** The warning of a variable that is not set and has no default. */
export function notSet(name: string): string {
  return `The "${name}" variable is not set. Defaulting to a blank string.`;
}

/** Tells a text's variables, and nothing of what they stand for. */
export function variablesOf(text: string, onVariable: (variable: Variable) => void): void {
  try {
    interpolate(text, { lookup: () => '-', onVariable });
  } catch {
    // said when the text is interpolated
  }
}

export interface Variable {
  readonly name: string;
  readonly required: boolean;
  readonly defaultValue: string;
  readonly alternate: string;
}

const NAME = /^[A-Za-z_][A-Za-z0-9_]*/;
const OPERATORS = [':-', ':?', ':+', '-', '?', '+'] as const;
/** Nested defaults are rare; a text that nests deeper than this wants to exhaust the stack. */
const DEEPEST = 50;

/** Replaces `$NAME`, `${NAME}`, `${NAME:-default}`, `:?`, `:+` and their forms without a colon; `$$` is a dollar. Throws `invalid-argument`. */
export function interpolate(text: string, options: InterpolateOptions, depth = 0): string {
  if (!text.includes('$')) return text;
  if (depth > DEEPEST) throw new EngineError('invalid-argument', 'variables are nested too deeply');
  let out = '';
  for (let at = 0; at < text.length;) {
    const cut = text.indexOf('$', at);
    if (cut < 0) return out + text.slice(at);
    out += text.slice(at, cut);
    const next = text[cut + 1];
    if (next === '$') {
      out += '$';
      at = cut + 2;
    } else if (next === '{') {
      const end = closingBrace(text, cut + 2);
      out += braced(text.slice(cut + 2, end), text, options, depth);
      at = end + 1;
    } else {
      const name = NAME.exec(text.slice(cut + 1))?.[0];
      // A dollar before what is no name stands for itself.
      out += name === undefined ? '$' : plain(name, options);
      at = cut + 1 + (name?.length ?? 0);
    }
  }
  return out;
}

function closingBrace(text: string, from: number): number {
  let open = 1;
  for (let at = from; at < text.length; at++) {
    if (text[at] === '$' && text[at + 1] === '{') {
      open++;
      at++;
    } else if (text[at] === '}' && --open === 0) return at;
  }
  throw invalid(text);
}

function braced(inner: string, text: string, options: InterpolateOptions, depth: number): string {
  const name = NAME.exec(inner)?.[0];
  if (name === undefined) throw invalid(text);
  const rest = inner.slice(name.length);
  if (rest === '') return plain(name, options);
  const operator = OPERATORS.find((item) => rest.startsWith(item));
  if (operator === undefined) throw invalid(text);
  const word = rest.slice(operator.length);
  const value = options.lookup(name);
  const present = operator.startsWith(':') ? value !== undefined && value !== '' : value !== undefined;
  const kind = operator.at(-1);
  options.onVariable?.({
    name,
    required: kind === '?',
    defaultValue: kind === '-' ? word : '',
    alternate: kind === '+' ? word : '',
  });
  if (kind === '+') return present ? interpolate(word, options, depth + 1) : '';
  if (present) return value!;
  if (kind === '-') return interpolate(word, options, depth + 1);
  const reason = interpolate(word, options, depth + 1);
  throw new EngineError(
    'invalid-argument',
    `required variable ${name} is missing a value${reason === '' ? '' : `: ${reason}`}`,
  );
}

function plain(name: string, options: InterpolateOptions): string {
  const value = options.lookup(name);
  options.onVariable?.({ name, required: false, defaultValue: '', alternate: '' });
  if (value === undefined) options.onMissing?.(name);
  return value ?? '';
}

function invalid(text: string): EngineError {
  return new EngineError(
    'invalid-argument',
    `invalid interpolation format: ${JSON.stringify(text)}. You may need to escape any $ with another $`,
  );
}
