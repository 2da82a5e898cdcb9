import { closeSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { bind, check, lastErrno, SystemCallError } from './libc.ts';

/** A process, beyond doubt: pids are given again, a pid with its start time is not. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/<pid>/stat, in clock ticks since boot. */
  readonly startTime: number;
}

/** The identity of the process that has this pid now; undefined when there is none, or only its zombie. */
export function identify(pid: number): ProcessIdentity | undefined {
  const stat = readStat(pid);
  return stat === undefined || stat.state === 'Z' || stat.state === 'X'
    ? undefined
    : { pid, startTime: stat.startTime };
}

/** Whether it still runs; a zombie does not. */
export function isAlive(identity: ProcessIdentity): boolean {
  return identify(identity.pid)?.startTime === identity.startTime;
}

/** Sends a signal to exactly this process; false when it is gone. Throws SystemCallError (EPERM, EINVAL for a signal that does not exist). */
export function signalProcess(identity: ProcessIdentity, signal: number): boolean {
  const pidfd = Number(syscall(PIDFD_OPEN, identity.pid, 0, 0, 0));
  if (pidfd < 0) {
    if (lastErrno() === ESRCH) return false;
    check(pidfd, 'pidfd_open');
  }
  try {
    // The pidfd is of whoever had the pid when it was opened: only now does the start time prove that it is ours.
    if (readStat(identity.pid)?.startTime !== identity.startTime) return false;
    const result = Number(syscall(PIDFD_SEND_SIGNAL, pidfd, signal, 0, 0));
    if (result < 0 && lastErrno() === ESRCH) return false;
    check(result, 'pidfd_send_signal');
    return true;
  } finally {
    closeSync(pidfd);
  }
}

/**
 * A copy, close-on-exec, of the first descriptor of another process whose name in /proc (`pipe:[123]`, `/dev/ptmx`) is
 * wanted; undefined when it has none. Throws SystemCallError when the process is gone or may not be looked into.
 */
export function takeDescriptor(owner: ProcessIdentity, wanted: (name: string) => boolean): number | undefined {
  const directory = `/proc/${owner.pid}/fd`;
  const pidfd = check(Number(syscall(PIDFD_OPEN, owner.pid, 0, 0, 0)), 'pidfd_open');
  try {
    if (!isAlive(owner)) throw new SystemCallError('pidfd_open', ESRCH);
    for (const number of readdirSync(directory)) {
      let name: string;
      try {
        name = readlinkSync(`${directory}/${number}`);
      } catch {
        continue; // closed meanwhile
      }
      if (wanted(name)) return check(Number(syscall(PIDFD_GETFD, pidfd, Number(number), 0, 0)), 'pidfd_getfd');
    }
    return undefined;
  } finally {
    closeSync(pidfd);
  }
}

/** Children of the process, theirs, and so on, as they are now. */
export function descendants(pid: number): ProcessIdentity[] {
  const found: ProcessIdentity[] = [];
  let threads: string[];
  try {
    threads = readdirSync(`/proc/${pid}/task`);
  } catch {
    return found;
  }
  for (const thread of threads) {
    for (const child of readChildren(`/proc/${pid}/task/${thread}/children`)) {
      const identity = identify(child);
      if (identity) found.push(identity, ...descendants(child));
    }
  }
  return found;
}

/** The process, and those in its pid namespace; in ours, those that descend from it. */
export function processesBeside(pid: number): number[] {
  const namespace = (of: number | 'self'): string => {
    try {
      return readlinkSync(`/proc/${of}/ns/pid`);
    } catch {
      return ''; // gone
    }
  };
  const wanted = namespace(pid);
  if (wanted === '') return [];
  if (wanted === namespace('self')) return [pid, ...descendants(pid).map((descendant) => descendant.pid)];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((other) => namespace(other) === wanted);
}

function readChildren(path: string): number[] {
  try {
    return readFileSync(path, 'latin1').split(' ').filter(Boolean).map(Number);
  } catch {
    return []; // gone meanwhile
  }
}

function readStat(pid: number): { state: string; startTime: number } | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  // The second field is the program's name in parentheses, and may itself hold spaces and parentheses.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0]!, startTime: Number(fields[19]) };
}

// The same on every architecture since Linux 5.1.
const PIDFD_SEND_SIGNAL = 424;
const PIDFD_OPEN = 434;
const PIDFD_GETFD = 438;
const ESRCH = 3;
const syscall = bind<(number: number, a: number, b: number, c: number, d: number) => number | bigint>(
  'long syscall(long number, long a, long b, long c, long d)',
);
