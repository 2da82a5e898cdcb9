import { type Dict, isDict, type Value } from './value.ts';

/**
 * A model as text, letter for letter as Go's YAML library writes it for Docker's Compose: block style, indented by two,
 * texts plain where they can be, else between single quotes, else double. Keys stay in their order.
 */
export function yamlText(tree: Dict): string {
  return Object.keys(tree).length === 0 ? '{}\n' : mapping(tree, '').slice(1);
}

/** Each form of a container begins with the line break that ends the key before it. */
function mapping(value: Dict, indent: string): string {
  let out = '';
  for (const [key, item] of Object.entries(value))
    out += `\n${indent}${scalarText(key, '', true)}:${after(item, indent)}`;
  return indent === '' ? `${out}\n` : out;
}

function after(value: Value, indent: string): string {
  if (Array.isArray(value)) return value.length === 0 ? ' []' : sequence(value, `${indent}  `);
  if (isDict(value)) return Object.keys(value).length === 0 ? ' {}' : mapping(value, `${indent}  `);
  return ` ${scalarText(value, `${indent}  `)}`;
}

function sequence(list: readonly Value[], indent: string): string {
  let out = '';
  for (const item of list) {
    const inner = `${indent}  `;
    if (Array.isArray(item) && item.length > 0) out += `\n${indent}- ${sequence(item, inner).slice(inner.length + 1)}`;
    else if (isDict(item) && Object.keys(item).length > 0)
      out += `\n${indent}- ${mapping(item, inner).slice(inner.length + 1)}`;
    else out += `\n${indent}-${after(item, indent)}`;
  }
  return out;
}

function scalarText(value: Value, indent: string, isKey = false): string {
  if (typeof value !== 'string') return String(value as number | boolean | null);
  const may = possibleStyles(value);
  if (value.includes('\n') && !isKey) return may.block ? literal(value, indent) : doubleQuoted(value);
  if (resolvesElsewhere(value)) return doubleQuoted(value);
  if (may.plain) return value;
  return may.single ? `'${value.replaceAll("'", "''")}'` : doubleQuoted(value);
}

/** What a text's letters allow, after the emitter of libyaml. */
function possibleStyles(text: string): { plain: boolean; single: boolean; block: boolean } {
  const indicator =
    /^(---|\.\.\.)/.test(text) ||
    /^[#,[\]{}&*!|>'"%@`]/.test(text) ||
    /^[?:-](\s|$)/.test(text) ||
    /:(\s|$)/.test(text) ||
    /\s#/.test(text);
  const special = /[^\n\t\x20-\x7e\u00a0-\ud7ff\ue000-\ufefe\uff00-\ufffd]/u.test(text);
  const edges = /^[ \n]|[ \n]$/.test(text);
  const breakSpace = /\n /.test(text);
  const spaceBreak = / \n/.test(text);
  const single = !breakSpace && !spaceBreak && !special && !text.includes('\t');
  return {
    plain: single && !edges && !indicator && !text.includes('\n'),
    single,
    block: !text.endsWith(' ') && !spaceBreak && !special,
  };
}

const WORDS = new Set(
  ['', '~', 'null', 'true', 'false', '.nan', '.inf', '+.inf', '-.inf', 'y', 'yes', 'on', 'n', 'no', 'off'].flatMap(
    (word) => [
      word,
      word.toUpperCase(),
      word.replace(/[a-z]/, (letter) => letter.toUpperCase()),
      word === '.nan' ? '.NaN' : word,
    ],
  ),
);
const NUMBER = /^[-+]?(\.\d+|\d+(\.\d*)?)(e[-+]?\d+)?$/i;
const INTEGER = /^[-+]?(0x[\da-f]+|0b[01]+|0o?[0-7]+|0|[1-9]\d*)$/i;
const SIXTIES = /^[-+]?\d[\d_]*(:[0-5]?\d)+(\.[\d_]*)?$/;
const DATE = /^\d{4}-\d{1,2}-\d{1,2}([Tt ]\d{1,2}:\d{1,2}:\d{1,2}(\.\d+)?(Z|[-+]\d\d:\d\d)?)?$/;

/** True when a reader would take the plain text for a number, a switch, a moment, or nothing. */
function resolvesElsewhere(text: string): boolean {
  if (WORDS.has(text)) return true;
  if (!/^[-+.\d]/.test(text)) return false;
  const plain = text.replaceAll('_', '');
  return NUMBER.test(plain) || INTEGER.test(plain) || SIXTIES.test(text) || DATE.test(text);
}

function literal(text: string, indent: string): string {
  const hint = /^[ \n]/.test(text) ? '2' : '';
  const chomp = !text.endsWith('\n') ? '-' : text === '\n' || text.endsWith('\n\n') ? '+' : '';
  const lines = (text.endsWith('\n') ? text.slice(0, -1) : text).split('\n');
  return `|${hint}${chomp}\n${lines.map((line) => (line === '' ? '' : indent + line)).join('\n')}`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\0': '\\0',
  '\x07': '\\a',
  '\b': '\\b',
  '\t': '\\t',
  '\n': '\\n',
  '\v': '\\v',
  '\f': '\\f',
  '\r': '\\r',
  '\x1b': '\\e',
  '"': '\\"',
  '\\': '\\\\',
  '\x85': '\\N',
  '\u2028': '\\L',
  '\u2029': '\\P',
};

function doubleQuoted(text: string): string {
  let out = '';
  for (const letter of text) {
    const code = letter.codePointAt(0)!;
    if (ESCAPES[letter] !== undefined) out += ESCAPES[letter];
    else if (/[\x20-\x7e\u00a0-\ud7ff\ue000-\ufefe\uff00-\ufffd]/u.test(letter)) out += letter;
    else if (code <= 0xff) out += `\\x${hex(code, 2)}`;
    else out += code <= 0xffff ? `\\u${hex(code, 4)}` : `\\U${hex(code, 8)}`;
  }
  return `"${out}"`;
}

function hex(code: number, digits: number): string {
  return code.toString(16).toUpperCase().padStart(digits, '0');
}
