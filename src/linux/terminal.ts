import { closeSync, constants, openSync } from 'node:fs';
import { bind, check } from './libc.ts';
import { takeDescriptor, type ProcessIdentity } from './process.ts';

export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

/** Sets the window size of the terminal behind `fd` (either end of it); its foreground processes get SIGWINCH. */
export function setTerminalSize(fd: number, size: TerminalSize): void {
  const window = Buffer.alloc(8);
  window.writeUInt16LE(size.rows, 0);
  window.writeUInt16LE(size.columns, 2);
  check(ioctl(fd, TIOCSWINSZ, window), 'ioctl', 'TIOCSWINSZ');
}

/**
 * A copy of the master end of the terminal that another process holds (a container's monitor), the caller's to close;
 * undefined when it holds none. Throws SystemCallError when the process is gone.
 */
export function takeTerminal(owner: ProcessIdentity): number | undefined {
  return takeDescriptor(owner, (name) => /^\/(dev\/)?(pts\/)?ptmx$/.test(name));
}

/** Sets the size of the terminal that another process holds. False when it holds none. Throws like `takeTerminal`. */
export function setTerminalSizeOf(owner: ProcessIdentity, size: TerminalSize): boolean {
  const master = takeTerminal(owner);
  if (master === undefined) return false;
  try {
    setTerminalSize(master, size);
    return true;
  } finally {
    closeSync(master);
  }
}

/** A new pseudo-terminal that passes bytes as they are, echoing nothing. Both descriptors are close-on-exec and the caller's to close. */
export function openTerminal(): { readonly master: number; readonly slave: number } {
  const master = openSync('/dev/ptmx', constants.O_RDWR | constants.O_NOCTTY);
  try {
    check(ioctl(master, TIOCSPTLCK, Buffer.alloc(4)), 'ioctl', 'TIOCSPTLCK');
    const number = Buffer.alloc(4);
    check(ioctl(master, TIOCGPTN, number), 'ioctl', 'TIOCGPTN');
    const slave = openSync(`/dev/pts/${number.readInt32LE(0)}`, constants.O_RDWR | constants.O_NOCTTY);
    const settings = Buffer.alloc(TERMIOS_SIZE);
    check(tcgetattr(slave, settings), 'tcgetattr');
    cfmakeraw(settings);
    check(tcsetattr(slave, 0, settings), 'tcsetattr');
    return { master, slave };
  } catch (error) {
    closeSync(master);
    throw error;
  }
}

const TIOCSWINSZ = 0x5414;
const TIOCGPTN = 0x80045430;
const TIOCSPTLCK = 0x40045431;
/** Larger than any architecture's `struct termios`. */
const TERMIOS_SIZE = 128;
const tcgetattr = bind<(fd: number, settings: Buffer) => number>('int tcgetattr(int fd, void *settings)');
const tcsetattr = bind<(fd: number, actions: number, settings: Buffer) => number>(
  'int tcsetattr(int fd, int actions, void *settings)',
);
const cfmakeraw = bind<(settings: Buffer) => void>('void cfmakeraw(void *settings)');
const ioctl = bind<(fd: number, request: number, argument: Buffer) => number>(
  'int ioctl(int fd, ulong request, void *argument)',
);
