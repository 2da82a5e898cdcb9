import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorMessage } from '../base/errors.ts';
import { now } from '../base/time.ts';
import type { Task } from '../runtime/task.ts';
import type { ContainerRecord } from '../state/containers.ts';
import type { ContainerContext } from './containers/context.ts';
import { bootOrder } from './boot-order.ts';
import { byEngine, withFact } from './containers/facts.ts';
import { networkedContainer } from './containers/networked.ts';
import { LogShipping } from './containers/log-shipping.ts';
import { dropContainer } from './containers/remove.ts';
import { shouldStartWithEngine } from './containers/restart-policy.ts';
import { awaitRestart, beginRun, endFact, followTask } from './containers/run.ts';
import { taskLog } from './containers/set-up.ts';
import { ended, hasProcess, paused, resumed } from './containers/state.ts';

/**
 * Makes host and database agree after a start, whatever the engine before was doing when it ended:
 * runs that go on are taken over, those that ended get their code and time, and what nobody knows is swept.
 * The files of those in the trash stay. Nothing is started yet: `startByPolicy` does that once every part has recovered.
 */
export async function reconcile(context: ContainerContext, inTrash: readonly string[] = []): Promise<void> {
  const known = new Set([...context.store.list().map((record) => record.id), ...inTrash]);
  await sweepTasks(context);
  await Promise.all(context.store.list().map((record) => recoverOrEnd(context, record)));
  await context.networking.recovered();
  await sweepFiles(context, known);
}

/** Tasks of containers that do not run, as far as the database knows: starts that were cut off, clean-ups that were not finished. */
async function sweepTasks(context: ContainerContext): Promise<void> {
  const running = context.store.list().filter((record) => hasProcess(record.state));
  const runs = new Set(running.map((record) => record.id));
  const left = (await context.tasks.list()).filter((id) => !runs.has(id));
  await Promise.all(
    left.map((id) => orReport(context, `what is left of container ${id}`, () => context.tasks.forget(id))),
  );
  // the kernel may take as long as the disk does: whoever wants one of them waits for it
  void context.background.run('roots of containers that do not run', () => context.roots.sweep(runs));
}

/** One container that cannot be recovered must not keep the engine from starting. */
async function recoverOrEnd(context: ContainerContext, record: ContainerRecord): Promise<void> {
  try {
    const { id } = record;
    const shipping = LogShipping.of(context, record);
    context.live.of(id).shipping = shipping;
    shipping?.follow(record); // what the engine before had not sent
    await recoverContainer(context, record);
  } catch (error) {
    context.config.report(`container ${record.name}: it cannot be taken over: ${errorMessage(error)}`);
    const lost = { exitCode: 137, oomKilled: false, exitedAt: now(), lost: 'its run could not be taken over' };
    await orReport(context, `container ${record.name}`, () => endedUnseen(context, record, lost));
  }
}

async function orReport(context: ContainerContext, what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    context.config.report(`${what}: ${errorMessage(error)}`);
  }
}

async function recoverContainer(context: ContainerContext, record: ContainerRecord): Promise<void> {
  const { id, state } = record;
  if (!hasProcess(state)) {
    // its end was recorded, its removal was not
    if (state.status === 'exited' && record.hostConfig.AutoRemove) await autoRemove(context, record);
    return;
  }
  const task = await adopt(context, record);
  if (!task) {
    await endedUnseen(context, record, {
      exitCode: 255,
      oomKilled: false,
      exitedAt: now(),
      lost: 'the host was restarted',
    });
    return;
  }
  const exit = await endOf(task);
  if (exit) {
    await endedUnseen(context, record, exit);
    return;
  }
  context.roots.adopt(id);
  const { attachment } = record;
  if (attachment) {
    // a container without its network is worth more than none
    await orReport(context, `container ${record.name}: its network`, () =>
      context.networking.adopt(networkedContainer(context, record), task.pid, attachment, (name) => task.held(name)),
    );
  }
  // one that ends while it is taken over is not frozen, and its end is told as any other
  const frozen = await context.isFrozen(task.pid, task.id).catch(() => state.status === 'paused');
  const current =
    frozen === (state.status === 'paused') ? record : { ...record, state: frozen ? paused(state) : resumed(state) };
  if (current !== record) context.store.update(current);
  followTask(context, current, task);
}

async function adopt(context: ContainerContext, record: ContainerRecord): Promise<Task | undefined> {
  const { id, state, config, hostConfig } = record;
  try {
    return await context.tasks.adopt({
      id,
      pid: state.pid,
      pidStartTime: state.pidStartTime,
      terminal: config.Tty === true,
      stdinOnce: config.StdinOnce === true,
      runtime: hostConfig.Runtime!,
      log: taskLog(context, record),
    });
  } catch (error) {
    context.config.report(`container ${record.name}: its run cannot be taken over: ${errorMessage(error)}`);
    return undefined;
  }
}

/** The exit when it is known already, without waiting. */
async function endOf(task: Task): Promise<Awaited<Task['exited']> | undefined> {
  const pending = Symbol('pending');
  // adopt has settled `exited` of a task that ended; one turn of the loop lets it be seen
  const first = await Promise.race([
    task.exited,
    new Promise<typeof pending>((resolve) => setImmediate(resolve, pending)),
  ]);
  return typeof first === 'symbol' ? undefined : first;
}

/**
 * The run ended while no engine looked. What is known of it is on the disk before anything is cleaned up, as a clean-up can
 * fail, and before the engine tells it. The clean-up itself waits for the disk, and nobody for it but who wants this container.
 */
async function endedUnseen(
  context: ContainerContext,
  record: ContainerRecord,
  exit: Awaited<Task['exited']>,
): Promise<void> {
  const { id, name } = record;
  const live = context.live.of(id);
  const after = withFact(
    { ...record, attachment: undefined, state: ended(record.state, exit, 'exited') },
    { ...endFact(exit), Unseen: true },
  );
  if (after.hostConfig.AutoRemove) context.store.updateInMemory(after);
  else context.store.updateSoon(after);
  await context.store.written(after);
  live.cleanup = context.background
    .run(`container ${name}: clean-up after its run`, () => context.roots.clear(id, context.tasks.forget(id)))
    .finally(() => {
      live.cleanup = undefined;
    });
  if (!after.hostConfig.AutoRemove) return;
  // its volumes go after its clean-up
  if (after.mounts.length === 0) await autoRemove(context, after);
  else {
    void context.background.run(`container ${name}: removal after its run`, () =>
      context.locks.run(id, () => autoRemove(context, after)),
    );
  }
}

async function autoRemove(context: ContainerContext, record: ContainerRecord): Promise<void> {
  await dropContainer(context, record, { volumes: true, by: byEngine('--rm') }, { exitCode: record.state.exitCode });
}

/** Directories and snapshots of containers that are gone. */
async function sweepFiles(context: ContainerContext, known: ReadonlySet<string>): Promise<void> {
  const containers = join(context.config.dataRoot, 'containers');
  for (const name of await readdir(containers).catch(() => [])) {
    if (!known.has(name)) await rm(join(containers, name), { recursive: true, force: true });
  }
  for (const { name, kind } of context.snapshots.list()) {
    // build steps and other users have keys of other forms
    if (kind === 'active' && /^[0-9a-f]{64}$/.test(name) && !known.has(name)) await context.snapshots.remove(name);
  }
}

/** What restart policies ask for: at once for those that ran, with its back-off for one that was about to be restarted. */
export function startByPolicy(context: ContainerContext): void {
  const chosen: ContainerRecord[] = [];
  for (const record of context.store.list()) {
    const { state, hostConfig, stoppedByHand, restartCount } = record;
    if (hasProcess(state)) continue;
    if (state.status === 'restarting') {
      awaitRestart(context, record, context.live.of(record.id).backoff.next(0));
      continue;
    }
    const start = shouldStartWithEngine(hostConfig.RestartPolicy, {
      everStarted: state.startedAt !== '0001-01-01T00:00:00Z',
      stoppedByHand,
      exitCode: state.exitCode,
      restartCount,
    });
    if (start) chosen.push(record);
  }
  const starts = new Map<string, Promise<void>>();
  for (const { record, after } of bootOrder(chosen, context.store.list())) {
    const { id } = record;
    const start = context.background.run(`container ${record.name}: start by its restart policy`, async () => {
      await Promise.all(
        after.map(async (needed) => {
          await starts.get(needed.id);
          if (needed.healthy) await settledHealth(context, needed.id);
        }),
      );
      if (context.closing.aborted) return;
      await context.locks.run(id, async () => {
        const current = context.store.get(id);
        if (current && !hasProcess(current.state) && !context.live.of(id).removing) {
          await beginRun(context, current, byEngine('engine start'));
        }
      });
    });
    starts.set(id, start);
  }
}

/** Longest that one container's start waits for the health of another: what never becomes well must not keep all down. */
const HEALTH_PATIENCE_MS = 120_000;

/** Until a container is healthy, or it is clear that it will not be soon. */
async function settledHealth(context: ContainerContext, id: string): Promise<void> {
  const end = performance.now() + HEALTH_PATIENCE_MS;
  while (!context.closing.aborted && performance.now() < end) {
    const state = context.store.get(id)?.state;
    if (!state || !hasProcess(state) || state.health?.Status !== 'starting') return;
    await sleep(100, undefined, { signal: context.closing }).catch(() => {});
  }
}
