/** The names that someone who typed `word` may have meant, nearest first: at most two edits away, or starting with it. */
export function nearest(word: string, names: Iterable<string>): string[] {
  const scored: { name: string; score: number }[] = [];
  for (const name of names) {
    const score = word.length > 1 && name.startsWith(word) ? 0.5 : distance(word, name);
    if (score <= (word.length > 3 ? 2 : 1)) scored.push({ name, score });
  }
  return scored.sort((a, b) => a.score - b.score || (a.name < b.name ? -1 : 1)).map(({ name }) => name);
}

/** Edits (insert, delete, replace, swap neighbours) from one to the other. */
function distance(one: string, other: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: other.length + 1 }, (_, i) => i);
  for (let i = 1; i <= one.length; i++) {
    const row = [i];
    for (let j = 1; j <= other.length; j++) {
      const same = one[i - 1] === other[j - 1] ? 0 : 1;
      let best = Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + same);
      if (i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1])
        best = Math.min(best, before[j - 2]! + 1);
      row.push(best);
    }
    before = previous;
    previous = row;
  }
  return previous[other.length]!;
}
