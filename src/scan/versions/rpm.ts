import { compareDigits } from './deb.ts';

/** rpm-version(7): epoch, version and release, each by its runs of digits and letters. */
export function compareRpm(a: string, b: string): number {
  const [left, right] = [split(a), split(b)];
  return (
    left.epoch - right.epoch || compareParts(left.version, right.version) || compareParts(left.release, right.release)
  );
}

function split(text: string): { epoch: number; version: string; release: string } {
  const match = /^(?:(\d+):)?([^-]*)(?:-(.*))?$/.exec(text);
  return { epoch: Number(match?.[1] ?? 0), version: match?.[2] ?? text, release: match?.[3] ?? '' };
}

function compareParts(a: string, b: string): number {
  const parts = (text: string): string[] => text.match(/\d+|[a-z]+|~|\^/gi) ?? [];
  const [left, right] = [parts(a), parts(b)];
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const difference = comparePart(left[index], right[index]);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** `~` sorts before the end, `^` after the end and before anything else; a number is newer than a word. */
function comparePart(a: string | undefined, b: string | undefined): number {
  if (a === b) return 0;
  if (a === '~' || b === '~') return a === '~' ? -1 : 1;
  if (a === undefined || b === undefined) return a === undefined ? -1 : 1;
  if (a === '^' || b === '^') return a === '^' ? -1 : 1;
  const [leftNumber, rightNumber] = [/^\d/.test(a), /^\d/.test(b)];
  if (leftNumber !== rightNumber) return leftNumber ? 1 : -1;
  return leftNumber ? compareDigits(a, b) : a < b ? -1 : 1;
}
