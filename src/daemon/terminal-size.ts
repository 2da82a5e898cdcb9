import { EngineError } from '../base/errors.ts';
import type { Query } from './query.ts';

/** `h` and `w` of a query. Throws `invalid-argument`. */
export function terminalSize(query: Query): { rows: number; columns: number } {
  return { rows: dimension(query, 'h', 'height'), columns: dimension(query, 'w', 'width') };
}

function dimension(query: Query, name: string, word: string): number {
  const text = query.text(name) ?? '';
  const value = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
  if (!(value < 2 ** 32)) {
    const why = Number.isNaN(value) ? 'invalid syntax' : 'value out of range';
    throw new EngineError('invalid-argument', `invalid resize ${word} "${text}": ${why}`);
  }
  return Math.min(value, 0xffff);
}
