import { closeSync, readdirSync, readlinkSync } from 'node:fs';
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
 * Sets the size of the terminal whose master end another process holds (a container's monitor). False when it holds none.
 * Throws SystemCallError when the process is gone.
 */
export function setTerminalSizeOf(owner: ProcessIdentity, size: TerminalSize): boolean {
  const directory = `/proc/${owner.pid}/fd`;
  for (const name of readdirSync(directory)) {
    let link: string;
    try {
      link = readlinkSync(`${directory}/${name}`);
    } catch {
      continue; // closed meanwhile
    }
    if (!/^\/(dev\/)?(pts\/)?ptmx$/.test(link)) continue;
    const master = takeDescriptor(owner, Number(name));
    try {
      setTerminalSize(master, size);
      return true;
    } finally {
      closeSync(master);
    }
  }
  return false;
}

const TIOCSWINSZ = 0x5414;
const ioctl = bind<(fd: number, request: number, argument: Buffer) => number>(
  'int ioctl(int fd, ulong request, void *argument)',
);
