import { compareDigits } from './deb.ts';

const BEFORE = ['alpha', 'beta', 'pre', 'rc'];
const AFTER = ['cvs', 'svn', 'git', 'hg', 'p'];

/** apk's versions: numbers with dots, a letter, `_suffix` words, `-r` the build. */
export function compareApk(a: string, b: string): number {
  const [left, right] = [split(a), split(b)];
  for (let index = 0; index < Math.max(left.numbers.length, right.numbers.length); index++) {
    const [one, other] = [left.numbers[index], right.numbers[index]];
    if (one === undefined || other === undefined) return one === undefined ? -1 : 1;
    const difference = compareDigits(one, other);
    if (difference !== 0) return difference;
  }
  if (left.letter !== right.letter) return left.letter < right.letter ? -1 : 1;
  for (let index = 0; index < Math.max(left.suffixes.length, right.suffixes.length); index++) {
    const difference = weight(left.suffixes[index]) - weight(right.suffixes[index]);
    if (difference !== 0) return difference;
    const numbers = compareDigits(left.suffixes[index]?.[1] ?? '', right.suffixes[index]?.[1] ?? '');
    if (numbers !== 0) return numbers;
  }
  return compareDigits(left.build, right.build);
}

type Suffix = readonly [word: string, number: string];

function split(version: string): { numbers: string[]; letter: string; suffixes: Suffix[]; build: string } {
  const match = /^(\d+(?:\.\d+)*)([a-z]?)((?:_[a-z]+\d*)*)(?:~[0-9a-f]+)?(?:-r(\d+))?/.exec(version);
  return {
    numbers: (match?.[1] ?? '').split('.'),
    letter: match?.[2] ?? '',
    suffixes: [...(match?.[3] ?? '').matchAll(/_([a-z]+)(\d*)/g)].map(([, word, number]) => [word!, number!]),
    build: match?.[4] ?? '0',
  };
}

function weight(suffix: Suffix | undefined): number {
  if (suffix === undefined) return 0;
  const before = BEFORE.indexOf(suffix[0]);
  return before >= 0 ? before - BEFORE.length : AFTER.indexOf(suffix[0]) + 1;
}
