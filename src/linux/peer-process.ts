import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { bind } from './libc.ts';

/** The process that connected a unix socket (SO_PEERCRED); undefined when `fd` is no such socket. */
export function peerProcess(
  fd: number,
): { readonly pid: number; readonly uid: number; readonly command?: string } | undefined {
  const credentials = credentialsOf(fd);
  const pid = credentials?.readInt32LE(0) ?? 0;
  if (!credentials || pid <= 0) return undefined; // of another pid namespace
  const command = commandOf(pid);
  return { pid, uid: credentials.readUInt32LE(4), ...(command !== undefined && { command }) };
}

/** Its pid alone; undefined when it cannot be seen. */
export function peerPid(fd: number): number | undefined {
  const pid = credentialsOf(fd)?.readInt32LE(0) ?? 0;
  return pid > 0 ? pid : undefined;
}

function credentialsOf(fd: number): Buffer | undefined {
  // struct ucred: pid, uid, gid
  const credentials = Buffer.alloc(12);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(credentials.length);
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, length) === 0 ? credentials : undefined;
}

const SHOWN = 200;

function commandOf(pid: number): string | undefined {
  try {
    const [program = '', ...rest] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    const words = [basename(program), ...rest].join(' ').trim();
    return words.length > SHOWN ? `${words.slice(0, SHOWN)}…` : words || undefined;
  } catch {
    return undefined; // it has ended
  }
}

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const getsockopt = bind<(fd: number, level: number, option: number, value: Buffer, length: Buffer) => number>(
  'int getsockopt(int fd, int level, int option, void *value, void *length)',
);
