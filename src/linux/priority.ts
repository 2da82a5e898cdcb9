import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { constants, getPriority } from 'node:os';
import { bind, check } from './libc.ts';

/**
 * Lets this thread and Node's pool go before others where processors are short, and what they start not: programs and
 * threads that they start have the ordinary priority. For a thread that answers everybody and hands all long work out.
 * The pool is with it as it holds locks that this thread waits for: one of its threads that is put aside for others, in
 * the moment in which it has woken this one, would keep it waiting as long. Where somebody has chosen a priority for this
 * process, it is left as it is. Returns whether it was done; it needs CAP_SYS_NICE.
 */
export async function goFirst(): Promise<boolean> {
  try {
    if (getPriority() !== constants.priority.PRIORITY_NORMAL) return false;
    prefer(0);
    await stat('/'); // the first that it is asked for makes all of its threads
    for (const thread of poolThreads()) prefer(thread);
    return true;
  } catch {
    // Nothing depends on it but how soon a busy machine is answered.
    return false;
  }
}

/**
 * The same for this process beside those of other sessions, which is for the kernel to divide first where it groups
 * processes by session (autogroup): a priority counts among those of one session only. Programs that are started in
 * sessions of their own do not have it. Does nothing where this process is not the leader of its session, which is then
 * somebody else's, or where there is no such grouping. Returns whether it was done.
 */
export function goFirstOfSessions(): boolean {
  try {
    if (getPriority() !== constants.priority.PRIORITY_NORMAL || !leadsSession()) return false;
    writeFileSync('/proc/self/autogroup', String(SESSION_PRIORITY));
    return true;
  } catch {
    return false; // as above
  }
}

/** Of sessions: worth nine ordinary ones, as its threads that hash and copy have it, too. */
const SESSION_PRIORITY = -10;

function leadsSession(): boolean {
  const text = readFileSync('/proc/self/stat', 'latin1');
  // after the name in parentheses: state, parent, process group, session
  return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[3]) === process.pid;
}

function poolThreads(): number[] {
  return readdirSync('/proc/self/task')
    .filter((id) => readFileSync(`/proc/self/task/${id}/comm`, 'latin1').startsWith('libuv-worker'))
    .map(Number);
}

/** A thread of this process, 0 for the one that calls. */
function prefer(thread: number): void {
  const attributes = Buffer.alloc(SCHED_ATTR_SIZE);
  attributes.writeUInt32LE(SCHED_ATTR_SIZE, 0);
  attributes.writeUInt32LE(SCHED_OTHER, 4);
  attributes.writeBigUInt64LE(SCHED_FLAG_RESET_ON_FORK, 8);
  attributes.writeInt32LE(constants.priority.PRIORITY_HIGH, 16);
  check(Number(syscall(setAttributes(), thread, attributes, 0)), 'sched_setattr');
}

function setAttributes(): number {
  const number = { x64: 314, arm64: 274 }[process.arch as string];
  if (number === undefined) throw new Error(`sched_setattr is not known for ${process.arch}`);
  return number;
}

const SCHED_OTHER = 0;
const SCHED_FLAG_RESET_ON_FORK = 1n;
/** `struct sched_attr` in its first version: size, policy, flags, nice, priority, and three times of a deadline. */
const SCHED_ATTR_SIZE = 48;
const syscall = bind<(number: number, thread: number, attributes: Buffer, flags: number) => number | bigint>(
  'long syscall(long number, int thread, void *attributes, unsigned int flags)',
);
