import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { bind } from './libc.ts';

/** The process that connected a unix socket (SO_PEERCRED); undefined when `fd` is no such socket. */
export function peerProcess(
  fd: number,
): { readonly pid: number; readonly uid: number; readonly command?: string } | undefined {
  // struct ucred: pid, uid, gid
  const credentials = Buffer.alloc(12);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(credentials.length);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, length) !== 0) return undefined;
  const pid = credentials.readInt32LE(0);
  if (pid <= 0) return undefined; // of another pid namespace
  const command = commandOf(pid);
  return { pid, uid: credentials.readUInt32LE(4), ...(command !== undefined && { command }) };
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
