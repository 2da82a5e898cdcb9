import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/**
 * The process that has a port of this host, for a message: `nginx (pid 12)`; undefined when it cannot be found. It reads the
 * descriptors of every process, some ten milliseconds: only for errors.
 */
export function portOwner(protocol: 'tcp' | 'udp' | 'sctp', port: number): string | undefined {
  if (protocol === 'sctp') return undefined;
  const inodes = new Set([...socketInodes(protocol, port), ...socketInodes(`${protocol}6`, port)]);
  if (inodes.size === 0) return undefined;
  for (const pid of list('/proc').filter((name) => /^\d+$/.test(name))) {
    for (const fd of list(`/proc/${pid}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(link(`/proc/${pid}/fd/${fd}`))?.[1];
      if (inode !== undefined && inodes.has(inode)) return `${read(`/proc/${pid}/comm`).trim()} (pid ${pid})`;
    }
  }
  return undefined;
}

/** proc_pid_net(5): local address in hex, remote address, state (0A is listening), …, the socket's inode. */
function socketInodes(table: string, port: number): string[] {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const inodes: string[] = [];
  for (const line of read(`/proc/self/net/${table}`).split('\n').slice(1)) {
    const fields = line.trim().split(/\s+/);
    if (!fields[1]?.endsWith(`:${hex}`)) continue;
    if (table.startsWith('tcp') && fields[3] !== '0A') continue;
    if (fields[9] !== undefined) inodes.push(fields[9]);
  }
  return inodes;
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
