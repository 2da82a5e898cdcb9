import type { Monitor } from './conmon-monitor.ts';

/** What this engine knows of a task that it started or adopted, and need not read again. */
export interface KnownTask {
  readonly monitor: Monitor;
  readonly cgroupPath: string | undefined;
  /** Whether the runtime has hooks to run when it deletes the container. */
  readonly poststop: boolean;
}
