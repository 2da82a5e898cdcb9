import { compareDigits } from './deb.ts';

const QUALIFIERS = ['alpha', 'beta', 'milestone', 'rc', 'snapshot', '', 'sp'];
const ALIASES: Readonly<Record<string, string>> = {
  a: 'alpha',
  b: 'beta',
  m: 'milestone',
  cr: 'rc',
  ga: '',
  final: '',
  release: '',
};

/** Maven's order: numbers and words in turn, known words before and after the release. */
export function compareMaven(a: string, b: string): number {
  const [left, right] = [tokens(a), tokens(b)];
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const difference = compareToken(left[index] ?? '', right[index] ?? '');
    if (difference !== 0) return difference;
  }
  return 0;
}

function tokens(version: string): string[] {
  const found = version.toLowerCase().match(/\d+|[a-z]+/g) ?? [];
  return found.map((token) => ALIASES[token] ?? token);
}

function compareToken(a: string, b: string): number {
  const [leftNumber, rightNumber] = [/^\d/.test(a), /^\d/.test(b)];
  if (leftNumber && rightNumber) return compareDigits(a, b);
  if (leftNumber) return b === '' ? compareDigits(a, '0') : 1;
  if (rightNumber) return a === '' ? -compareDigits(b, '0') : -1;
  const rank = (word: string): number => {
    const known = QUALIFIERS.indexOf(word);
    return known < 0 ? QUALIFIERS.length : known;
  };
  return rank(a) - rank(b) || (a < b ? -1 : a > b ? 1 : 0);
}
