import { bind } from './libc.ts';

/** How a process ended. */
export interface ProcessExit {
  /** Set when it called exit. */
  readonly code?: number;
  /** Set when a signal ended it. */
  readonly signal?: number;
}

/**
 * Reaps the processes that `spawnProcess` started. Children and SIGCHLD belong to the whole process, so this is the one
 * place of the project with state of its own. Each pid is waited for by itself: children that Node's own `child_process`
 * started are left to Node.
 *
 * A child keeps the event loop alive until it ends or `releaseChild` was called.
 */
export function childExit(pid: number): Promise<ProcessExit> {
  const { promise, resolve } = Promise.withResolvers<ProcessExit>();
  if (children.size === 0) process.on('SIGCHLD', reap);
  children.set(pid, { resolve, hold: true });
  // A child that ended before it was registered sent its signal to nobody.
  queueMicrotask(reap);
  return promise;
}

/** Its end does not matter so much that this process should stay for it. */
export function releaseChild(pid: number): void {
  const child = children.get(pid);
  if (child) child.hold = false;
  reap();
}

/** The exit status as a shell shows it: 128 + n when signal n ended the process. */
export function exitStatus(exit: ProcessExit): number {
  return exit.code ?? 128 + (exit.signal ?? 0);
}

const WNOHANG = 1;
const waitpid = bind<(pid: number, status: Int32Array, options: number) => number>(
  'int waitpid(int pid, void *status, int options)',
);

const children = new Map<number, { resolve: (exit: ProcessExit) => void; hold: boolean }>();
const status = new Int32Array(1);
let heartbeat: NodeJS.Timeout | undefined;

function reap(): void {
  let held = false;
  for (const [pid, child] of children) {
    const result = waitpid(pid, status, WNOHANG);
    if (result === 0) {
      held ||= child.hold;
      continue;
    }
    children.delete(pid);
    child.resolve(result === pid ? decode(status[0]!) : { code: 255 }); // someone else reaped it: its status is lost
  }
  if (children.size === 0) process.off('SIGCHLD', reap);
  // The timer holds the loop alive, and finds what a lost signal (another listener that removed ours) would hide.
  if (held && !heartbeat) heartbeat = setInterval(reap, 1000);
  if (!held && heartbeat) {
    clearInterval(heartbeat);
    heartbeat = undefined;
  }
}

function decode(word: number): ProcessExit {
  const signal = word & 0x7f;
  return signal === 0 ? { code: (word >> 8) & 0xff } : { signal };
}
