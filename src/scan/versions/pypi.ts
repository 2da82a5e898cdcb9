import { compareDigits } from './deb.ts';

/** PEP 440: epoch, release, then dev < a < b < rc < final < post; local versions after the public one. */
export function comparePypi(a: string, b: string): number {
  const [left, right] = [split(a), split(b)];
  const epoch = compareDigits(left.epoch, right.epoch);
  if (epoch !== 0) return epoch;
  for (let index = 0; index < Math.max(left.release.length, right.release.length); index++) {
    const difference = compareDigits(left.release[index] ?? '0', right.release[index] ?? '0');
    if (difference !== 0) return difference;
  }
  for (const [index, one] of left.rank.entries()) {
    const difference = one - right.rank[index]!;
    if (difference !== 0) return difference;
  }
  return left.local < right.local ? -1 : left.local > right.local ? 1 : 0;
}

const PATTERN =
  /^v?(?:(\d+)!)?(\d+(?:\.\d+)*)(?:[-_.]?(a|alpha|b|beta|c|rc|pre|preview)[-_.]?(\d*))?(?:-(\d+)|[-_.]?(?:post|rev|r)[-_.]?(\d*))?(?:([-_.]?dev)[-_.]?(\d*))?(?:\+(.*))?$/i;

function split(version: string): { epoch: string; release: string[]; rank: number[]; local: string } {
  const match = PATTERN.exec(version.trim().toLowerCase());
  if (!match) return { epoch: '0', release: version.split('.'), rank: [0, 0, 0, 0, 0], local: '' };
  const [, epoch, release, pre, preNumber, dash, post, dev, devNumber, local] = match;
  const isPost =
    dash !== undefined || /[-_.]?(post|rev|r)[-_.]?\d*/.test(version.toLowerCase().replace(/rc|preview|pre/g, ''));
  const preRank =
    pre === undefined ? (dev !== undefined && !isPost ? -1 : 3) : { a: 0, b: 1, c: 2, r: 2, p: 2 }[pre[0]!]!;
  return {
    epoch: epoch ?? '0',
    release: release!.split('.'),
    rank: [
      preRank,
      Number(preNumber || 0),
      isPost ? 1 : 0,
      Number(dash ?? (post || 0)),
      dev === undefined ? Number.MAX_SAFE_INTEGER : Number(devNumber || 0),
    ],
    local: local ?? '',
  };
}
