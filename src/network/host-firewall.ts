/** What a rule set of the host, as `nft list ruleset` prints it, does to containers' traffic. Pure; nothing is changed by it. */
export interface ForwardDrop {
  /** `ip filter`, `inet firewalld`, … */
  readonly table: string;
  readonly chain: string;
}

/**
 * Chains that drop forwarded packets by policy and say nothing of `bridge`. What another table accepts does not help
 * against them: each base chain of a hook has its own last word.
 */
export function forwardDrops(ruleset: string, bridge: string, ownTable: string): ForwardDrop[] {
  const drops: ForwardDrop[] = [];
  let table = '';
  let chain = '';
  let tableText = '';
  let pending: ForwardDrop[] = [];
  const finish = (): void => {
    if (!tableText.includes(`"${bridge}"`)) drops.push(...pending);
    pending = [];
    tableText = '';
  };
  for (const line of ruleset.split('\n')) {
    const opened = /^table (\S+ \S+) \{/.exec(line);
    if (opened) {
      finish();
      table = opened[1]!;
    }
    tableText += line;
    chain = /^\s+chain (\S+) \{/.exec(line)?.[1] ?? chain;
    if (/type filter hook forward .*policy drop;/.test(line) && table !== `inet ${ownTable}`)
      pending.push({ table, chain });
  }
  finish();
  return drops;
}

/** `filtersBridged`: the host's rules see what containers of one bridge say to each other, too. */
export function forwardAdvice(drops: readonly ForwardDrop[], bridge: string, filtersBridged: boolean): string {
  const chains = drops.map(({ table, chain }) => `${chain} of table ${table}`).join(', ');
  const each = filtersBridged ? ', nor do they reach each other (br_netfilter is on)' : '';
  return (
    `the host's firewall drops forwarded packets (${chains}): containers on ${bridge} cannot reach other hosts${each}, nor ` +
    `can their published ports be reached from there. To allow it: iptables -I FORWARD -i ${bridge} -j ACCEPT; ` +
    `iptables -I FORWARD -o ${bridge} -j ACCEPT (with ufw: ufw route allow in on ${bridge}; ufw route allow out on ` +
    `${bridge}). For published ports alone: start the engine with --respect-host-firewall and allow them as the host's own`
  );
}
