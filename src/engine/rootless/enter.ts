import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EngineError, errorMessage } from '../../base/errors.ts';
import { FileLock } from '../../linux/file-lock.ts';
import { isAlive, type ProcessIdentity } from '../../linux/process.ts';
import { enterUserNamespace, type HolderTools, startHolder } from '../../linux/rootless-namespaces.ts';
import {
  hasUserManager,
  isBelowUserManager,
  joinScope,
  SCOPE_MARKER,
  scopeOf,
  settleInScope,
  userScopeCommand,
} from '../../linux/user-scope.ts';
import { recordedMonitors } from '../../runtime/conmon-monitor.ts';
import { findProgram } from '../programs.ts';
import { subordinateIds, unprivilegedUser } from './user-ids.ts';

export interface EnterRequest {
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Replaces this process, a user's, by one that is root in a user namespace with that user's subordinate ids
 * (docs/decisions/0019): a new one, or that of an earlier engine with this exec root as long as its holder, or a container of
 * it, lives. Throws `unavailable` where the host or the user's set-up does not allow it, saying what to do; `conflict` when
 * another engine has the exec root.
 */
export async function enterRootless({ dataRoot, execRoot, env }: EnterRequest): Promise<never> {
  const nsenter = tool('nsenter', 'util-linux');
  // who cannot have an engine is told before anything is made
  if (!existsSync(execRoot)) subordinateIds(unprivilegedUser());
  makeOwn(dataRoot);
  makeOwn(execRoot);
  const systemdRun = hasUserManager(env) ? findProgram('systemd-run') : undefined;
  if (systemdRun !== undefined) enterUserManager(systemdRun, env);
  // two engines that start at once make one holder
  const lock = FileLock.acquire(join(execRoot, 'namespaces.lock'));
  if (!(lock instanceof FileLock))
    throw new EngineError('conflict', `another engine (process ${lock.heldBy}) starts with the exec root ${execRoot}`);
  const there = [...recordedHolder(execRoot), ...recordedMonitors(execRoot)].find(isAlive);
  const holder = there ?? (await newHolder(execRoot, systemdRun, env));
  const scope = scopeOf(holder.pid);
  if (scope !== undefined) attempt('containers have no limits', () => joinScope(scope, process.pid));
  // the lock ends with what this process was
  enterUserNamespace(nsenter, holder, { ...env, [SCOPE_MARKER]: undefined });
}

/**
 * Replaces this process (same pid, same arguments) by itself below the user's systemd, where it is not there yet: what a
 * shell of a login starts is in a group of the system's, out of which no process may be moved to the user's own.
 */
function enterUserManager(systemdRun: string, env: EnterRequest['env']): void {
  if (env[SCOPE_MARKER] !== undefined || isBelowUserManager(process.getuid!())) return;
  const own = readFileSync('/proc/self/cmdline', 'utf8').split('\0').slice(1, -1);
  const next: Record<string, string> = { [SCOPE_MARKER]: 'tried' };
  for (const [name, value] of Object.entries(env)) if (value !== undefined) next[name] = value;
  const name = `engine-${process.pid}-${Date.now().toString(36)}`;
  process.execve?.(systemdRun, [...userScopeCommand('systemd-run', name), process.execPath, ...own], next);
}

async function newHolder(
  execRoot: string,
  systemdRun: string | undefined,
  env: EnterRequest['env'],
): Promise<ProcessIdentity> {
  const owner = subordinateIds(unprivilegedUser());
  const within = systemdRun === undefined ? undefined : scopeFor(systemdRun, env);
  const tools: HolderTools = {
    unshare: tool('unshare', 'util-linux'),
    newuidmap: tool('newuidmap', 'uidmap'),
    newgidmap: tool('newgidmap', 'uidmap'),
  };
  const holder = await startHolder(owner, { ...tools, ...(within && { within }) }).catch((error: unknown) => {
    if (!within) throw error;
    return startHolder(owner, tools); // containers without limits are better than none
  });
  try {
    if (within) attempt('containers have no limits', () => settleInScope(holder.identity.pid));
    recordHolder(execRoot, holder.identity);
  } catch (error) {
    holder.drop();
    throw error;
  }
  holder.keep();
  return holder.identity;
}

/** What the holder is started with, to have a part of the user's control groups. */
function scopeFor(systemdRun: string, env: EnterRequest['env']): NonNullable<HolderTools['within']> {
  const variables = ['XDG_RUNTIME_DIR', 'DBUS_SESSION_BUS_ADDRESS'] as const;
  return {
    command: userScopeCommand(systemdRun, `${process.pid}-${Date.now().toString(36)}`),
    env: variables.filter((name) => env[name] !== undefined).map((name) => `${name}=${env[name]}`),
  };
}

/** What an engine can do without; `docker info` tells, too. */
function attempt(consequence: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    process.stderr.write(`the user's systemd gave no control groups (${errorMessage(error)}): ${consequence}\n`);
  }
}

function tool(name: string, debianPackage: string): string {
  const path = findProgram(name);
  if (path !== undefined) return path;
  throw new EngineError(
    'unavailable',
    `${name} is not installed, and an engine without root needs it: install it (Debian: apt-get install ${debianPackage})`,
  );
}

/** A directory of this user; whoever else can write to it could become this user's root. */
function makeOwn(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o711 });
  const { uid, mode } = statSync(path);
  if (uid !== process.getuid?.())
    throw new EngineError(
      'forbidden',
      `${path} belongs to user ${uid}: choose another with --data-root and --exec-root`,
    );
  if ((mode & 0o022) !== 0) chmodSync(path, mode & 0o7755);
}

/** Where the process is named that holds the namespaces. */
function holderFile(execRoot: string): string {
  return join(execRoot, 'holder.json');
}

export function recordHolder(execRoot: string, { pid, startTime }: ProcessIdentity): void {
  const file = holderFile(execRoot);
  writeFileSync(`${file}.new`, JSON.stringify({ pid, startTime }), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/** At most one, which may be dead. */
export function recordedHolder(execRoot: string): readonly ProcessIdentity[] {
  try {
    const { pid, startTime } = JSON.parse(readFileSync(holderFile(execRoot), 'utf8')) as Partial<ProcessIdentity>;
    return Number.isInteger(pid) && Number.isInteger(startTime) ? [{ pid: pid!, startTime: startTime! }] : [];
  } catch {
    return [];
  }
}

export function forgetHolder(execRoot: string): void {
  rmSync(holderFile(execRoot), { force: true });
}
