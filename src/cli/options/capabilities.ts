/** Capabilities in one form (`net_admin` → `CAP_NET_ADMIN`), each once; what is both dropped and added is added. */
export function effectiveCapabilities(
  added: readonly string[],
  dropped: readonly string[],
): { add: string[]; drop: string[] } {
  const add = normalize(added);
  const drop = normalize(dropped).filter((name) => !add.includes(name));
  return { add, drop: drop.includes('ALL') ? ['ALL'] : drop };
}

function normalize(names: readonly string[]): string[] {
  const known = names.map((name) => {
    const upper = name.trim().toUpperCase();
    return upper === 'ALL' || upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
  });
  return [...new Set(known)].sort();
}
