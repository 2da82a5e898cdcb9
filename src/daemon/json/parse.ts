import { EngineError } from '../../base/errors.ts';
import type { Shape } from './shape.ts';

/** Nesting beyond this is no document of ours. */
const MAX_DEPTH = 64;

/** Parses and decodes one JSON document. `name` is the document's Go name in messages. Throws `invalid-argument` in Go's words. */
export function parseDocument<T>(bytes: Buffer, shape: Shape<T>, name: string): T {
  const value = parseJson(bytes);
  // `null` is the document without any field.
  return shape.decode(value === null ? {} : value, name);
}

/** Throws `invalid-argument`. Deep nesting is refused before the parser recurses into it. */
export function parseJson(bytes: Buffer): unknown {
  if (depthExceeds(bytes, MAX_DEPTH)) {
    throw new EngineError('invalid-argument', `invalid JSON: nested deeper than ${MAX_DEPTH} levels`);
  }
  const text = bytes.toString('utf8');
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new EngineError('invalid-argument', syntaxError(text, (error as Error).message), { cause: error });
  }
}

export function depthExceeds(bytes: Uint8Array, limit: number): boolean {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (quoted) {
      if (byte === 0x5c) at++;
      else if (byte === 0x22) quoted = false;
    } else if (byte === 0x22) quoted = true;
    else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > limit) return true;
    } else if (byte === 0x7d || byte === 0x5d) depth--;
  }
  return false;
}

/** V8's complaint in the words of Go's decoder. */
function syntaxError(text: string, complaint: string): string {
  if (/^Unexpected end|^Unterminated string/.test(complaint)) return 'invalid JSON: unexpected EOF';
  if (complaint.startsWith('Unexpected non-whitespace character after JSON')) return 'unexpected content after JSON';
  const position = /at position (\d+)/.exec(complaint)?.[1];
  const character = position === undefined ? /token '(.)'/su.exec(complaint)?.[1] : text[Number(position)];
  if (character === undefined)
    return position === undefined ? 'invalid JSON: invalid character' : 'invalid JSON: unexpected EOF';
  return `invalid JSON: invalid character ${quote(character)} ${place(complaint)}`;
}

function quote(character: string): string {
  return character === "'" ? `'\\''` : `'${JSON.stringify(character).slice(1, -1).replace('\\"', '"')}'`;
}

function place(complaint: string): string {
  if (/property name or|double-quoted property/.test(complaint)) return 'looking for beginning of object key string';
  if (/after property name/.test(complaint)) return 'after object key';
  if (/after property value/.test(complaint)) return 'after object key:value pair';
  if (/after array element/.test(complaint)) return 'after array element';
  if (/control character/.test(complaint)) return 'in string';
  if (/escaped|escape/.test(complaint)) return 'in string escape code';
  return 'looking for beginning of value';
}
