import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';

/**
 * Control groups of a user: systemd's manager of each user may give a part of its own to a program, a *scope* with
 * `Delegate=yes` (cgroup v2). Processes of ours are in `<scope>/engine`, for a group with others below it may have no
 * processes of its own; containers are beside that.
 */
const CGROUP_ROOT = '/sys/fs/cgroup';
const OWN = 'engine';

/** Set in the environment of a process that `userScopeCommand` started, so that it tries no second time. */
export const SCOPE_MARKER = 'GANTRY_USER_SCOPE';

/** Whether a manager of this user runs that could give us a scope. */
export function hasUserManager(env: Readonly<Record<string, string | undefined>>): boolean {
  const directory = env['XDG_RUNTIME_DIR'];
  return (
    existsSync(`${CGROUP_ROOT}/cgroup.controllers`) &&
    directory !== undefined &&
    existsSync(`${directory}/systemd/private`)
  );
}

/** The command in front of one that is to have a scope of its own: it becomes that command, with the same pid. */
export function userScopeCommand(systemdRun: string, name: string): readonly string[] {
  const properties = ['--property=Delegate=yes', '--property=TasksMax=infinity'];
  return [systemdRun, '--user', '--scope', '--quiet', '--collect', `--unit=gantry-${name}.scope`, ...properties, '--'];
}

/** Whether processes of ours can be moved to a scope: to a group that has, with this one, a directory of the user's above it. */
export function isBelowUserManager(uid: number, pid: number | 'self' = 'self'): boolean {
  return unifiedGroup(pid)?.includes(`/user@${uid}.service/`) === true;
}

/** The scope of a process that `settleInScope` moved; undefined when it has none. */
export function scopeOf(pid: number | 'self'): string | undefined {
  return /^(\/.*\/gantry-[^/]+\.scope)\/engine$/.exec(unifiedGroup(pid) ?? '')?.[1];
}

/** Makes the scope that `pid` is in ours: moves it to its place, and lets groups below have the scope's controllers. Throws where it is not the user's. */
export function settleInScope(pid: number): void {
  const scope = unifiedGroup(pid);
  if (scope === undefined || !/\/gantry-[^/]+\.scope$/.test(scope))
    throw new Error(`process ${pid} is in no scope of ours`);
  const directory = `${CGROUP_ROOT}${scope}`;
  mkdirSync(`${directory}/${OWN}`, { recursive: true });
  writeFileSync(`${directory}/${OWN}/cgroup.procs`, String(pid));
  for (const controller of readFileSync(`${directory}/cgroup.controllers`, 'utf8').trim().split(' ')) {
    try {
      writeFileSync(`${directory}/cgroup.subtree_control`, `+${controller}`);
    } catch {
      // what cannot be passed on, containers do not have: the host's facts are read from the group itself
    }
  }
}

/** Moves `pid` to the others of a scope. Throws where the kernel does not allow it. */
export function joinScope(scope: string, pid: number): void {
  writeFileSync(`${CGROUP_ROOT}${scope}/${OWN}/cgroup.procs`, String(pid));
}

/** Its path in the hierarchy of version 2. */
function unifiedGroup(pid: number | 'self'): string | undefined {
  try {
    return /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1];
  } catch {
    return undefined;
  }
}
