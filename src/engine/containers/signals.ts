import { constants } from 'node:os';
import { EngineError } from '../../base/errors.ts';

const HIGHEST = 64;
const NUMBERS: ReadonlyMap<string, number> = new Map(
  Object.entries(constants.signals).map(([name, number]) => [name.slice('SIG'.length), number]),
);

/** `TERM`, `sigterm`, `15`, `RTMIN+3` to its number. Throws `invalid-argument` (`invalid signal: FOO`). */
export function parseSignal(text: string): number {
  if (/^\d+$/.test(text)) {
    const number = Number(text);
    if (number === 0) throw new EngineError('invalid-argument', `invalid signal: ${text}`);
    if (number > HIGHEST)
      throw new EngineError('invalid-argument', `the linux daemon does not support signal ${number}`);
    return number;
  }
  const name = text.toUpperCase().replace(/^SIG/, '');
  const number = NUMBERS.get(name) ?? realTime(name);
  if (number === undefined) throw new EngineError('invalid-argument', `invalid signal: ${text}`);
  return number;
}

function realTime(name: string): number | undefined {
  const match = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name);
  if (!match) return undefined;
  const offset = Number(match[3] ?? 0) * (match[2] === '-' ? -1 : 1);
  const number = (match[1] === 'MIN' ? 34 : HIGHEST) + offset;
  return number >= 34 && number <= HIGHEST ? number : undefined;
}
