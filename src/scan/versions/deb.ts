/** deb-version(7): epoch, upstream version, revision; runs of non-digits and of digits in turn. */
export function compareDeb(a: string, b: string): number {
  const [left, right] = [split(a), split(b)];
  return (
    left.epoch - right.epoch || compareRuns(left.upstream, right.upstream) || compareRuns(left.revision, right.revision)
  );
}

function split(version: string): { epoch: number; upstream: string; revision: string } {
  const colon = version.indexOf(':');
  const rest = colon < 0 ? version : version.slice(colon + 1);
  const dash = rest.lastIndexOf('-');
  return {
    epoch: colon < 0 ? 0 : Number(version.slice(0, colon)) || 0,
    upstream: dash < 0 ? rest : rest.slice(0, dash),
    revision: dash < 0 ? '0' : rest.slice(dash + 1),
  };
}

function compareRuns(a: string, b: string): number {
  let [left, right] = [a, b];
  while (left !== '' || right !== '') {
    const [leftWord, rightWord] = [/^\D*/.exec(left)![0], /^\D*/.exec(right)![0]];
    const words = compareWords(leftWord, rightWord);
    if (words !== 0) return words;
    [left, right] = [left.slice(leftWord.length), right.slice(rightWord.length)];
    const [leftNumber, rightNumber] = [/^\d*/.exec(left)![0], /^\d*/.exec(right)![0]];
    const numbers = compareDigits(leftNumber, rightNumber);
    if (numbers !== 0) return numbers;
    [left, right] = [left.slice(leftNumber.length), right.slice(rightNumber.length)];
  }
  return 0;
}

/** `~` before everything, also the end; then letters; then the rest. */
function compareWords(a: string, b: string): number {
  const order = (character: string | undefined): number => {
    if (character === undefined) return 0;
    if (character === '~') return -1;
    return /[a-z]/i.test(character) ? character.charCodeAt(0) : character.charCodeAt(0) + 256;
  };
  for (let index = 0; index < Math.max(a.length, b.length); index++) {
    const difference = order(a[index]) - order(b[index]);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Numbers of any length, written in digits. */
export function compareDigits(a: string, b: string): number {
  const [left, right] = [a.replace(/^0+/, ''), b.replace(/^0+/, '')];
  if (left.length !== right.length) return left.length - right.length;
  return left < right ? -1 : left > right ? 1 : 0;
}
