import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** The process that has the unix socket at `path` open as a listener; undefined when that cannot be seen. */
export function socketOwner(path: string): { readonly pid: number; readonly command: string } | undefined {
  const inodes = listenerInodes(path);
  if (inodes.size === 0) return undefined;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    if (!holds(pid, inodes)) continue;
    return { pid: Number(pid), command: commandLine(pid) };
  }
  return undefined;
}

function commandLine(pid: string): string {
  const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  return words.join(' ').trim().slice(0, 120) || readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
}

function listenerInodes(path: string): Set<string> {
  const lines = readFileSync('/proc/net/unix', 'utf8').split('\n');
  const inodes = new Set<string>();
  for (const line of lines) {
    const [, , , flags, , , inode, name] = line.trim().split(/\s+/);
    // __SO_ACCEPTCON: connections accepted from it carry its name too.
    if (name === path && inode && (parseInt(flags ?? '0', 16) & 0x10000) !== 0) inodes.add(inode);
  }
  return inodes;
}

function holds(pid: string, inodes: ReadonlySet<string>): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      try {
        const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
        return inode !== undefined && inodes.has(inode);
      } catch {
        return false;
      }
    });
  } catch {
    // It ended meanwhile, or is another user's.
    return false;
  }
}
