import { type EngineError, errorMessage } from '../../base/errors.ts';
import { now, parseTime } from '../../base/time.ts';
import type { Task, TaskExit } from '../../runtime/task.ts';
import type { ContainerRecord, RunState } from '../../state/containers.ts';
import { type ContainerContext, publishContainerEvent } from './context.ts';
import type { ContainerFact, FactAuthor } from '../../api/why.ts';
import { byEngine, withFact } from './facts.ts';
import { startHealthMonitor } from './health.ts';
import type { Outcome } from './live.ts';
import { LogShipping } from './log-shipping.ts';
import { dropContainer } from './remove.ts';
import { shouldRestart } from './restart-policy.ts';
import { setUpRun, startExitCode, tearDown } from './set-up.ts';
import { ended, hasProcess, running, startFailed } from './state.ts';
import { runIsUnhealthy } from './unwell.ts';
import { lastOutput } from './why/last-output.ts';
import { outputFindings } from './why/output.ts';
import { publishVolumesMounted, publishVolumesUnmounted } from './volume-events.ts';

/**
 * Brings up everything a run needs, and the run; inside the lock. `record` has no process. When it fails nothing is
 * left on the host, the reason is in the record, and it is thrown. `by` is who wants it.
 */
export async function beginRun(context: ContainerContext, record: ContainerRecord, by: FactAuthor): Promise<void> {
  const { id } = record;
  const live = context.live.of(id);
  await live.cleanup;
  live.stopRequested = false;
  live.unwell = false;
  live.stopEventOwed = false;
  let started: ContainerRecord;
  let task: Task;
  try {
    live.shipping ??= LogShipping.of(context, record);
    await live.shipping?.connect(record);
    const run = await setUpRun(context, record);
    task = run.task;
    started = withFact(
      { ...record, attachment: run.network.attachment, state: running(record.state, task, now()) },
      { Kind: 'started', By: by },
    );
    await recordRun(context, started);
  } catch (error) {
    live.shipping?.release();
    await startHasFailed(context, record, error as EngineError, by);
    throw error;
  }
  publishVolumesMounted(context, started);
  publishContainerEvent(context, started, 'start');
  followTask(context, started, task);
}

/** A run that cannot be recorded (a full disk) must not be: nobody would know of it. */
async function recordRun(context: ContainerContext, started: ContainerRecord): Promise<void> {
  try {
    context.store.updateRun(started);
  } catch (error) {
    await tearDown(context, started);
    throw error;
  }
}

async function startHasFailed(
  context: ContainerContext,
  record: ContainerRecord,
  error: EngineError,
  by: FactAuthor,
): Promise<void> {
  const exitCode = startExitCode(error);
  const failed = withFact(
    { ...record, state: startFailed(record.state, error.message, exitCode) },
    { Kind: 'start-failed', By: by, Error: error.message, ExitCode: exitCode },
  );
  if (record.hostConfig.AutoRemove) {
    await dropContainer(context, failed, { volumes: true, by: byEngine('--rm') }, { exitCode });
  } else await keep(context, failed);
}

/** Takes the task as the container's present run, and sees to the container when it ends: record, events, those who wait, what it held, and the restart policy. */
export function followTask(context: ContainerContext, record: ContainerRecord, task: Task): void {
  const { id } = record;
  const live = context.live.of(id);
  live.task = task;
  live.health = startHealthMonitor(context, record, task, () => runIsUnhealthy(context, id, task));
  live.oomTold = false;
  // told while it runs, as Docker does: it may be one process of many, and the container goes on
  if (record.hostConfig.Memory)
    live.memory = task.watchMemory(() => {
      live.oomTold = true;
      publishContainerEvent(context, context.store.get(id) ?? record, 'oom');
    });
  live.shipping?.follow(record, task.exited);
  live.nextStart.tell(task);
  void task.exited.then((exit) => {
    if (context.closing.aborted) return; // the next engine finds the exit file
    return context.background.run(`container ${id}: exit`, () =>
      context.locks.run(id, () => taskEnded(context, id, task, exit)),
    );
  });
}

/** How long those who read a container's output may take for its last bytes before its end is told. */
const READERS_MS = 300;

/** Inside the lock. */
export async function taskEnded(context: ContainerContext, id: string, task: Task, exit: TaskExit): Promise<void> {
  const { store } = context;
  const live = context.live.of(id);
  const before = store.get(id);
  if (!before || live.task !== task) return;
  live.task = undefined;
  live.health?.stop();
  live.health = undefined;
  live.memory?.close();
  live.memory = undefined;

  const restart =
    !live.stopRequested &&
    !live.removing &&
    (live.unwell || shouldRestart(before.hostConfig.RestartPolicy, { ...before, exitCode: exit.exitCode }));
  const state = ended(before.state, exit, restart ? 'restarting' : 'exited');
  const restartAfterMs = restart ? live.backoff.next(Math.max(0, ranMs(state))) : undefined;
  const removeNow = !restart && before.hostConfig.AutoRemove === true && !live.removing && !live.keep;
  // its output goes with it
  const hints = removeNow && exit.exitCode !== 0 ? outputFindings(await lastOutput(context, before), before) : [];
  const fact = { ...endFact(exit, restartAfterMs), ...(hints.length > 0 && { Hints: hints }) };
  const record = withFact({ ...before, attachment: undefined, state }, fact);
  const outcome: Outcome = { exitCode: exit.exitCode, ...(record.state.error && { error: record.state.error }) };
  // a container that goes at once is not written once more: the next start would find its exit file and remove it too
  if (removeNow) store.updateInMemory(record);
  else await keep(context, record);
  if (exit.oomKilled && !live.oomTold) publishContainerEvent(context, record, 'oom');
  publishVolumesUnmounted(context, record);
  // Clients that follow both, as Compose does, take the event for the end: what was printed goes out before it.
  await live.readers.empty(AbortSignal.timeout(READERS_MS)).catch(() => {});
  if (live.stopEventOwed) publishContainerEvent(context, record, 'stop');
  live.stopEventOwed = false;
  publishContainerEvent(context, record, 'die', {
    execDuration: String(Math.max(0, Math.trunc(ranMs(state) / 1000))),
    exitCode: String(exit.exitCode),
  });
  if (record.hostConfig.Secrets?.length) {
    const leave = live.readers.enter(); // the log stays until it has been searched
    void context.background
      .run(`container ${id}: search for its secrets in its log`, () => context.secrets.runEnded(record))
      .finally(leave);
  }
  live.cleanup = context.background
    .run(`container ${id}: clean-up after its run`, () => tearDown(context, record))
    .finally(() => {
      live.cleanup = undefined;
    });
  live.nextExit.tell(outcome);
  if (removeNow) await removeEnded(context, record, outcome);
  else if (restartAfterMs !== undefined) awaitRestart(context, record, restartAfterMs);
}

/** Inside the lock. When the disk is full those who wait are told all the same, and it is tried again later. */
async function removeEnded(context: ContainerContext, record: ContainerRecord, outcome: Outcome): Promise<void> {
  const { id } = record;
  try {
    await dropContainer(context, record, { volumes: true, by: byEngine('--rm') }, outcome);
  } catch (error) {
    context.config.report(`container ${record.name}: could not be removed after its run: ${errorMessage(error)}`);
    const live = context.live.of(id);
    live.removing = false;
    live.removed.tell(outcome);
    const again = async (): Promise<void> => {
      const present = context.store.get(id);
      if (present && !hasProcess(present.state)) await removeEnded(context, present, outcome);
    };
    setTimeout(() => {
      if (context.closing.aborted) return; // the next start removes it
      void context.background.run(`container ${id}: removal`, () => context.locks.run(id, again));
    }, 5000).unref();
  }
}

/** What has happened stays true when the disk is full: the next change of the record writes it too. */
async function keep(context: ContainerContext, record: ContainerRecord): Promise<void> {
  try {
    context.store.updateSoon(record);
    await context.store.written(record);
  } catch (error) {
    context.store.updateInMemory(record);
    context.config.report(`container ${record.name}: its state could not be written: ${errorMessage(error)}`);
  }
}

/** Starts it again after the delay, unless somebody stops, removes or starts it before. */
export function awaitRestart(context: ContainerContext, record: ContainerRecord, delayMs: number): void {
  const { id } = record;
  const live = context.live.of(id);
  clearTimeout(live.restartTimer);
  live.restartTimer = setTimeout(() => {
    live.restartTimer = undefined;
    if (context.closing.aborted) return;
    void context.background.run(`container ${record.name}: restart`, () =>
      context.locks.run(id, () => restartNow(context, id)),
    );
  }, delayMs);
}

async function restartNow(context: ContainerContext, id: string): Promise<void> {
  const record = context.store.get(id);
  if (!record || record.state.status !== 'restarting') return;
  const counted = { ...record, restartCount: record.restartCount + 1 };
  try {
    await beginRun(context, counted, byEngine('restart policy'));
  } catch (error) {
    // a command that is not there will not appear by waiting; a lack of the host's may pass
    const failed = context.store.get(id);
    if (!failed) return;
    const { exitCode } = failed.state;
    const again = exitCode === 128 && shouldRestart(failed.hostConfig.RestartPolicy, { ...failed, exitCode });
    context.config.report(`container ${record.name}: restart: ${errorMessage(error)}`);
    if (!again) {
      context.live.of(id).nextExit.tell({ exitCode, error: failed.state.error });
      return;
    }
    const waiting: ContainerRecord = { ...failed, state: { ...failed.state, status: 'restarting' } };
    context.store.update(waiting);
    awaitRestart(context, waiting, context.live.of(id).backoff.next(0));
  }
}

/** What is known of an end. */
export function endFact(exit: TaskExit, restartAfterMs?: number): Omit<ContainerFact, 'At'> {
  return {
    Kind: 'ended',
    ExitCode: exit.exitCode,
    ...(exit.oomKilled && { OOMKilled: true }),
    ...(exit.lost !== undefined && { Error: exit.lost }),
    ...(restartAfterMs !== undefined && { RestartAfterMs: restartAfterMs }),
  };
}

function ranMs({ startedAt, finishedAt }: RunState): number {
  const from = parseTime(startedAt);
  const to = parseTime(finishedAt);
  return from === undefined || to === undefined ? 0 : Number((to - from) / 1_000_000n);
}
