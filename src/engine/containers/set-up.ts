import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Gate } from '../../base/gate.ts';
import { EngineError, errorCode, errorMessage } from '../../base/errors.ts';
import type { Task, TaskLog } from '../../runtime/task.ts';
import type { ContainerRecord } from '../../state/containers.ts';
import { logBounds } from '../config.ts';
import type { PreparedNetwork } from '../networks/networking.ts';
import { ownFiles } from '../userns/own-files.ts';
import { type ContainerContext, findContainer } from './context.ts';
import { containerDirectory, networkedContainer } from './networked.ts';
import { hasProcess } from './state.ts';

/**
 * Of a crowd that starts at once, so many networks are set up at a time: each keeps the one thread for some milliseconds,
 * and others are to be answered in between. Nothing in there waits for another container.
 */
const SET_UPS = new Gate(3);

/** Everything a run needs, in the order in which each needs the one before, and the run. A failure leaves nothing on the host. */
export async function setUpRun(
  context: ContainerContext,
  record: ContainerRecord,
): Promise<{ network: PreparedNetwork; task: Task }> {
  try {
    return await setUp(context, record);
  } catch (error) {
    await tearDown(context, record);
    throw startError(error);
  }
}

async function setUp(
  context: ContainerContext,
  record: ContainerRecord,
): Promise<{ network: PreparedNetwork; task: Task }> {
  const { id, config, hostConfig } = record;
  // both may fail: neither failure may go without an owner
  const [prepared, mounted] = await Promise.allSettled([prepareNetwork(context, record), context.roots.hold(id)]);
  if (mounted.status === 'rejected') throw mounted.reason;
  if (prepared.status === 'rejected') throw prepared.reason;
  const network = prepared.value;
  const rootfs = mounted.value;
  const volumes = await context.volumes.prepare(record, rootfs);
  const secrets = await context.volumes.shifted(record, context.secrets.prepare(record, volumes.mounts));
  const mounts = { ...volumes, mounts: [...volumes.mounts, ...secrets] };
  ownFiles(record, network);
  const spec = await context.specs.build({ record, rootfs, network, mounts, joins: joinedPids(context, record) });
  const [rows = 0, columns = 0] = hostConfig.ConsoleSize ?? [];
  // networking makes it for its files, but not for a container that uses another's
  mkdirSync(containerDirectory(context, id), { recursive: true });
  const task = await context.tasks.start({
    id,
    name: record.name,
    spec,
    terminal: config.Tty === true,
    stdin: config.OpenStdin === true,
    stdinOnce: config.StdinOnce === true,
    runtime: hostConfig.Runtime!,
    log: taskLog(context, record),
    keep: network.keep,
    ready: network.ready,
    consoleSize: rows > 0 && columns > 0 ? { rows, columns } : undefined,
  });
  context.networking.started(id, task.pid);
  return { network, task };
}

/** A port or address that only a run's unfinished clean-up still holds is waited for, not refused. */
async function prepareNetwork(context: ContainerContext, record: ContainerRecord): Promise<PreparedNetwork> {
  const networked = networkedContainer(context, record);
  const prepare = (): Promise<PreparedNetwork> => SET_UPS.run(() => context.networking.prepare(networked));
  try {
    return await prepare();
  } catch (error) {
    const cleanups = [...context.live.all()].map(([, live]) => live.cleanup).filter((cleanup) => cleanup !== undefined);
    if (cleanups.length === 0) throw error;
    await Promise.all(cleanups);
    return await prepare();
  }
}

/** Frees what a run held, or a failed start left, in the order in which each needs the next. Every part is idempotent. */
export async function tearDown(context: ContainerContext, record: ContainerRecord): Promise<void> {
  const { id } = record;
  const attempt = async (undo: () => Promise<void>): Promise<void> => {
    try {
      await undo();
    } catch (error) {
      context.config.report(`container ${id}: clean-up after its run: ${errorMessage(error)}`);
    }
  };
  // the kernel takes its time with rules: the rest goes meanwhile
  const network = attempt(() => context.networking.release(id));
  await attempt(() => context.volumes.unmount(record));
  await attempt(() => context.roots.release(id));
  await attempt(() => context.tasks.forget(id));
  await network;
}

/** Docker's words around the runtime's, which clients look into for the exit code. */
function startError(error: unknown): EngineError {
  const code = errorCode(error);
  const message = errorMessage(error);
  if (code === 'no-such-command' || code === 'not-executable') {
    const words = message.startsWith('failed to create task')
      ? message
      : `failed to create task for container: failed to create shim task: OCI runtime create failed: ${message}`;
    return new EngineError(code, words, { cause: error });
  }
  return error instanceof EngineError ? error : new EngineError(code, message, { cause: error });
}

/** The code that a shell gives for a command that could not be started; Docker's 128 for all else. */
export function startExitCode(error: EngineError): number {
  return error.code === 'no-such-command' ? 127 : error.code === 'not-executable' ? 126 : 128;
}

function joinedPids(context: ContainerContext, record: ContainerRecord): { ipc?: number; pid?: number } {
  const { IpcMode, PidMode } = record.hostConfig;
  return {
    ...(IpcMode?.startsWith('container:') && { ipc: joinedPid(context, IpcMode) }),
    ...(PidMode?.startsWith('container:') && { pid: joinedPid(context, PidMode) }),
  };
}

function joinedPid(context: ContainerContext, mode: string): number {
  const other = findContainer(context, mode.slice('container:'.length));
  if (!hasProcess(other.state)) {
    throw new EngineError(
      'conflict',
      `cannot join namespace of a non running container: container ${other.id} is ${other.state.status}`,
    );
  }
  return other.state.pid;
}

/** The record of output of a container's runs. */
export function taskLog(context: Pick<ContainerContext, 'config'>, record: ContainerRecord): TaskLog {
  return {
    path: join(containerDirectory(context, record.id), 'log'),
    ...logBounds(record.hostConfig.LogConfig ?? {}, context.config),
  };
}
