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
    return shownCommand(readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0'));
  } catch {
    return undefined; // it has ended
  }
}

/**
 * `gantry run …`: a command line as it was typed, without where its program lies. Our own is a file that Node runs, or a
 * snapshot that it starts from.
 */
export function shownCommand(words: readonly string[]): string | undefined {
  const [program = '', ...rest] = words;
  const own = rest.findIndex((word) =>
    /(?:\/cli\/main\.c?[jt]s|\/cli\/(?:command|compose)\.blob|\/bin\/gantry\.mjs)$/.test(word),
  );
  const isOwn = basename(program) === 'node' && own >= 0 && rest.slice(0, own).every((word) => word.startsWith('-'));
  const separated = isOwn && rest[own]!.endsWith('.blob') && rest[own + 1] === '--';
  const typed = isOwn ? ['gantry', ...rest.slice(own + (separated ? 2 : 1))] : [basename(program), ...rest];
  const text = typed.join(' ').trim();
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text || undefined;
}

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const getsockopt = bind<(fd: number, level: number, option: number, value: Buffer, length: Buffer) => number>(
  'int getsockopt(int fd, int level, int option, void *value, void *length)',
);
