import { enterEngineMountNamespace } from '../linux/mount-namespace.ts';
import { recordedMonitors } from '../runtime/conmon-monitor.ts';

/**
 * Moves this process into the mount namespace of the engine with these roots: a new one, or that of containers which an
 * earlier engine left running. Replaces the process, so it is the first thing a daemon does after reading its settings;
 * returns inside, or where there is nothing to enter, with the reason.
 */
export function enterOwnNamespace(options: {
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}): string {
  return enterEngineMountNamespace({ ...options, monitors: recordedMonitors(options.execRoot) }).reason;
}
