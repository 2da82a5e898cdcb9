/** The order of bytes, as Go sorts strings. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The order of bytes, but numbers within by their value: `net2` before `net10`. */
export function compareNatural(a: string, b: string): number {
  const [one, other] = [a, b].map((text) => text.split(/(\d+)/));
  for (let i = 0; i < Math.min(one!.length, other!.length); i++) {
    const order = i % 2 === 1 ? Number(one![i]) - Number(other![i]) : compareText(one![i]!, other![i]!);
    if (order !== 0) return order;
  }
  return one!.length - other!.length || compareText(a, b);
}
