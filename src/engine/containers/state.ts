import type { ContainerState } from '../../api/container.ts';
import { ZERO_TIME } from '../../base/time.ts';
import type { Task, TaskExit } from '../../runtime/task.ts';
import type { RunState } from '../../state/containers.ts';

/**
 * The life of a container, as pure functions from state to state:
 *
 *     created ──► running ⇄ paused
 *        ▲           │ exit
 *        │           ├──► exited ──► running (start)
 *     start failed   └──► restarting ──► running (after the back-off) or exited (stop)
 */
export function running(before: RunState, task: Pick<Task, 'pid' | 'pidStartTime'>, at: string): RunState {
  const { health: _health, ...rest } = before;
  return {
    ...rest,
    status: 'running',
    pid: task.pid,
    pidStartTime: task.pidStartTime,
    exitCode: 0,
    error: '',
    oomKilled: false,
    startedAt: at,
  };
}

/** The task never ran: the state stays what it was, with the reason and the code that a shell would give. */
export function startFailed(before: RunState, error: string, exitCode: number): RunState {
  const { health: _health, ...rest } = before;
  return {
    ...rest,
    status: before.status === 'created' ? 'created' : 'exited',
    pid: 0,
    pidStartTime: 0,
    exitCode,
    error,
  };
}

export function paused(before: RunState): RunState {
  return { ...before, status: 'paused' };
}

export function resumed(before: RunState): RunState {
  return { ...before, status: 'running' };
}

/** `restarting` when the restart policy will start it again. */
export function ended(before: RunState, exit: TaskExit, next: 'exited' | 'restarting'): RunState {
  return {
    ...before,
    status: next,
    pid: 0,
    pidStartTime: 0,
    exitCode: exit.exitCode,
    error: exit.lost ?? '',
    oomKilled: exit.oomKilled,
    finishedAt: exit.exitedAt,
  };
}

/** The back-off of a restarting container was ended by a person. */
export function restartCancelled(before: RunState): RunState {
  return { ...before, status: 'exited' };
}

/** Whether there is a process, running or frozen. */
export function hasProcess(state: RunState): boolean {
  return state.status === 'running' || state.status === 'paused';
}

/** Docker's `Running`, which is also true while a restart is awaited. */
export function countsAsRunning(state: RunState): boolean {
  return hasProcess(state) || state.status === 'restarting';
}

/** As inspect shows it. */
export function stateDocument(state: RunState): ContainerState {
  return {
    Status: state.status,
    Running: countsAsRunning(state),
    Paused: state.status === 'paused',
    Restarting: state.status === 'restarting',
    OOMKilled: state.oomKilled,
    Dead: state.status === 'dead',
    Pid: state.pid,
    ExitCode: state.exitCode,
    Error: state.error,
    StartedAt: state.startedAt,
    FinishedAt: state.finishedAt || ZERO_TIME,
    ...(state.health && { Health: state.health }),
  };
}
