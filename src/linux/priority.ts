import { constants, getPriority } from 'node:os';
import { bind, check } from './libc.ts';

/**
 * Lets this thread go before others where processors are short, and what it starts not: programs and threads that it
 * starts have the ordinary priority. For a thread that answers everybody and hands all long work out. Where somebody has
 * chosen a priority for this process, it is left as it is. Returns whether it was done; it needs CAP_SYS_NICE.
 */
export function goFirst(): boolean {
  try {
    if (getPriority() !== constants.priority.PRIORITY_NORMAL) return false;
    const attributes = Buffer.alloc(SCHED_ATTR_SIZE);
    attributes.writeUInt32LE(SCHED_ATTR_SIZE, 0);
    attributes.writeUInt32LE(SCHED_OTHER, 4);
    attributes.writeBigUInt64LE(SCHED_FLAG_RESET_ON_FORK, 8);
    attributes.writeInt32LE(constants.priority.PRIORITY_HIGH, 16);
    check(Number(syscall(setAttributes(), 0, attributes, 0)), 'sched_setattr');
    return true;
  } catch {
    // Nothing depends on it but how soon a busy machine is answered.
    return false;
  }
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
const syscall = bind<(number: number, pid: number, attributes: Buffer, flags: number) => number | bigint>(
  'long syscall(long number, int pid, void *attributes, unsigned int flags)',
);
