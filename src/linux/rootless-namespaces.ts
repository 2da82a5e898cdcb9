import { closeSync, openSync, readFileSync, readlinkSync } from 'node:fs';
import { EngineError } from '../base/errors.ts';
import { keepOpenAcrossExec } from './keep-open.ts';
import { pipe, readEnd, writeEnd } from './pipe.ts';
import { identify, type ProcessIdentity } from './process.ts';
import { spawnHere, type SpawnedProcess } from './spawn.ts';
import { runTool, TOOL_PATH } from './tool.ts';

/** Ids of the host for those from 1 on; 0 is the user's own. */
export interface SubordinateRange {
  readonly base: number;
  readonly size: number;
}

export interface HolderTools {
  readonly unshare: string;
  readonly newuidmap: string;
  readonly newgidmap: string;
  /** A command in front of `unshare`, which becomes it, and the variables that it needs. */
  readonly within?: { readonly command: readonly string[]; readonly env: readonly string[] };
}

/** Who becomes root inside. */
export interface HolderOwner {
  readonly uid: number;
  readonly gid: number;
  readonly uids: SubordinateRange;
  readonly gids: SubordinateRange;
}

/**
 * Starts a process that does nothing but hold a user namespace with these ids, and a network namespace of it: 0.2 MiB,
 * in a session of its own. Should we die before `keep` is called, it ends by itself. Throws `unavailable` where the host
 * does not allow it.
 */
export async function startHolder(
  owner: HolderOwner,
  tools: HolderTools,
): Promise<{ readonly identity: ProcessIdentity; keep(): void; drop(): void }> {
  const [input, output] = [pipe(), pipe()];
  const stdout = readEnd(output.read);
  const child = startShell(tools, [input.read, output.write]);
  const stdin = writeEnd(input.write);
  stdin.on('error', () => undefined); // it has ended: its words tell
  const drop = (): void => void stdin.end();
  try {
    let said = '';
    for await (const chunk of stdout as AsyncIterable<Buffer>) {
      said += chunk.toString('utf8');
      if (said.includes(READY)) break;
    }
    if (!said.includes(READY)) {
      await child.exited;
      throw new EngineError(
        'unavailable',
        `this host lets users make no namespaces (${said.trim() || 'unshare failed'})`,
      );
    }
    await mapIds(tools.newuidmap, child.pid, owner.uid, owner.uids);
    await mapIds(tools.newgidmap, child.pid, owner.gid, owner.gids);
    const identity = identify(child.pid);
    if (!identity) throw new EngineError('internal', 'the holder of the namespaces is gone');
    const keep = (): void => void stdin.end('keep\n');
    return { identity, keep, drop };
  } catch (error) {
    drop();
    throw error;
  } finally {
    stdout.destroy();
  }
}

const READY = 'ready';

function startShell({ unshare, within }: HolderTools, fds: readonly [number, number]): SpawnedProcess {
  const own = [unshare, '--user', '--net', 'sh', '-c', HOLDER];
  try {
    return spawnHere({
      path: within?.command[0] ?? unshare,
      argv: [...(within?.command ?? []), ...own],
      env: [TOOL_PATH, ...(within?.env ?? [])],
      fds: [fds[0], fds[1], fds[1]],
      cwd: '/',
      newSession: true,
    });
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}

const HOLDER = `echo ${READY}; read word && [ "$word" = keep ] && exec sleep infinity </dev/null >/dev/null 2>&1`;

/** `newuidmap` and `newgidmap` are set-user-id: they write what /etc/subuid and /etc/subgid allow. */
async function mapIds(tool: string, pid: number, own: number, range: SubordinateRange): Promise<void> {
  const numbers = [pid, 0, own, 1, 1, range.base, range.size];
  const name = tool.slice(tool.lastIndexOf('/') + 1);
  try {
    await runTool(tool, numbers.map(String));
  } catch (error) {
    throw new EngineError(
      'unavailable',
      `${name} did not give this user its subordinate ids: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
}

/** Set in the environment of the process that `enterUserNamespace` makes: its user namespace, and the descriptor of the network namespace. */
const MARKER = 'GANTRY_ROOTLESS';

/** What `enterUserNamespace` left for us, when this process came out of it. */
export function enteredUserNamespace(
  env: Readonly<Record<string, string | undefined>>,
): { readonly network: number } | undefined {
  const [namespace, fd] = (env[MARKER] ?? '').split(' ');
  if (!namespace || namespace !== readlinkSync('/proc/self/ns/user')) return undefined;
  return { network: Number(fd) };
}

/**
 * Replaces this process (same pid, same arguments) by one that is root in the user namespace of `holder`, which must be
 * this user's. The network namespace comes along as a descriptor. Throws when the holder is gone.
 */
export function enterUserNamespace(
  nsenter: string,
  holder: ProcessIdentity,
  env: Readonly<Record<string, string | undefined>>,
): never {
  const execve = process.execve?.bind(process);
  if (!execve) throw new EngineError('unavailable', `Node ${process.version} has no process.execve: use Node 24`);
  const network = openSync(`/proc/${holder.pid}/ns/net`, 'r');
  keepOpenAcrossExec(network);
  const namespace = readlinkSync(`/proc/${holder.pid}/ns/user`);
  const next: Record<string, string> = { [MARKER]: `${namespace} ${network}` };
  for (const [name, value] of Object.entries(env)) if (value !== undefined && name !== MARKER) next[name] = value;
  const own = readFileSync('/proc/self/cmdline', 'utf8').split('\0').slice(1, -1);
  // with the user's groups, which still open what they opened
  const how = ['nsenter', `--user=/proc/${holder.pid}/ns/user`, '--preserve-credentials', '--'];
  return execve(nsenter, [...how, process.execPath, ...own], next);
}
