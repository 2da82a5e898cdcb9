import { compareDigits } from './deb.ts';

/** https://semver.org section 11; a leading `v` and missing parts are let pass, as Go and npm do. */
export function compareSemver(a: string, b: string): number {
  const [left, right] = [split(a), split(b)];
  for (let index = 0; index < 3; index++) {
    const difference = compareDigits(left.numbers[index] ?? '0', right.numbers[index] ?? '0');
    if (difference !== 0) return difference;
  }
  if (left.pre.length === 0 || right.pre.length === 0) return right.pre.length - left.pre.length;
  for (let index = 0; index < Math.max(left.pre.length, right.pre.length); index++) {
    const [one, other] = [left.pre[index], right.pre[index]];
    if (one === undefined || other === undefined) return one === undefined ? -1 : 1;
    const [oneNumber, otherNumber] = [/^\d+$/.test(one), /^\d+$/.test(other)];
    if (oneNumber !== otherNumber) return oneNumber ? -1 : 1;
    const difference = oneNumber ? compareDigits(one, other) : one < other ? -1 : one > other ? 1 : 0;
    if (difference !== 0) return difference;
  }
  return 0;
}

function split(version: string): { numbers: string[]; pre: string[] } {
  const match = /^v?([\d.]*)(?:-?([0-9A-Za-z.-]+))?(?:\+.*)?$/.exec(version.trim());
  return { numbers: (match?.[1] ?? '').split('.'), pre: match?.[2]?.split('.') ?? [] };
}

/** Whether a version is in a range of npm's: comparators with spaces between, `||` between sets. */
export function inNpmRange(version: string, range: string): boolean {
  return range.split('||').some((set) =>
    [...set.matchAll(/(>=|<=|>|<|=)?\s*v?([\dx*][^\s,]*)/g)].every(([, operator = '=', bound]) => {
      if (bound === '*' || bound === 'x') return true;
      const order = compareSemver(version, bound!);
      return { '>=': order >= 0, '<=': order <= 0, '>': order > 0, '<': order < 0, '=': order === 0 }[operator]!;
    }),
  );
}
