/** What a program without a capability says, and which one that is: the first that fits. Linux, capabilities(7). */
const NEEDS: readonly (readonly [RegExp, readonly string[]])[] = [
  [/\bl?f?chown|change (?:the )?owner|changing ownership/i, ['CHOWN']],
  [/\bf?chmod|changing permissions|setting (?:the )?times|utime/i, ['FOWNER']],
  [
    /set(?:res|re|e)?gid|set(?:res|re|e)?uid|setgroups|initgroups|switch(?:ing)? (?:to )?(?:user|group)|\bsu-exec\b|\bgosu\b|\bsetpriv\b|\bsu:/i,
    ['SETUID', 'SETGID'],
  ],
  [/\bbind\b|listen(?:ing)?\b.*:\d{1,3}\b/i, ['NET_BIND_SERVICE']],
  [/raw socket|SOCK_RAW|\bping\b|icmp/i, ['NET_RAW']],
  [/\bmknod\b/i, ['MKNOD']],
  [/\bchroot\b/i, ['SYS_CHROOT']],
  [/iptables|nftables|netlink|\bip (?:link|addr|route)\b|\bifconfig\b|ioctl.*(?:SIOC|ifr)/i, ['NET_ADMIN']],
  [/\bu?mount\b/i, ['SYS_ADMIN']],
  [/\bkill(?:ing|:)|can't kill/i, ['KILL']],
  [/setpriority|\bnice\b|sched_set/i, ['SYS_NICE']],
  [/setrlimit|ulimit/i, ['SYS_RESOURCE']],
  [/settime|\bdate: can/i, ['SYS_TIME']],
  [/\bcapset\b|\bprctl\b|setcap/i, ['SETPCAP', 'SETFCAP']],
  [/ptrace|\bstrace\b|\bgdb\b/i, ['SYS_PTRACE']],
];

/** Capabilities that a denied operation would have needed, as `--cap-add` takes them; empty when it cannot be told. */
export function neededCapabilities(line: string, has: ReadonlySet<string>): readonly string[] {
  if (!/not permitted|permission denied|EPERM|EACCES/i.test(line)) return [];
  const need = NEEDS.find(([words]) => words.test(line))?.[1] ?? [];
  return need.filter((name) => !has.has(name));
}
