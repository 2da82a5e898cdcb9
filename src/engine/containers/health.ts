import type { HealthConfig, HealthResult } from '../../api/container.ts';
import { errorMessage } from '../../base/errors.ts';
import { newId } from '../../base/ids.ts';
import { now, timerMs } from '../../base/time.ts';
import type { Task } from '../../runtime/task.ts';
import type { ContainerRecord } from '../../state/containers.ts';
import { type ContainerContext, publishContainerEvent } from './context.ts';
import { byEngine, withFact } from './facts.ts';
import { HealthState, type HealthTimings, healthTimings, type ProbeResult } from './health-state.ts';

const OUTPUT_LIMIT = 4096;
const SIGKILL = 9;

/** Probes one run of a container by its health check, until stopped. */
export interface HealthMonitor {
  stop(): void;
}

/** Undefined when the container has no health check, or `NONE`. The status of an adopted run goes on from the record. */
export function startHealthMonitor(
  context: ContainerContext,
  record: ContainerRecord,
  task: Task,
  onUnhealthy: () => void,
): HealthMonitor | undefined {
  const command = probeCommand(record.config.Healthcheck, record.config.Shell);
  if (!command) return undefined;
  return new TaskHealthMonitor(context, record, task, command, onUnhealthy);
}

/** Throws nothing: an unknown kind of test counts as none, as in Docker. */
export function probeCommand(check: HealthConfig | undefined, shell: string[] | undefined): string[] | undefined {
  const [kind, ...rest] = check?.Test ?? [];
  if (kind === 'CMD' && rest.length > 0) return rest;
  if (kind === 'CMD-SHELL' && rest.length > 0) return [...(shell ?? ['/bin/sh', '-c']), rest.join(' ')];
  return undefined;
}

class TaskHealthMonitor implements HealthMonitor {
  readonly #context: ContainerContext;
  readonly #id: string;
  readonly #task: Task;
  readonly #command: string[];
  readonly #timings: HealthTimings;
  readonly #state: HealthState;
  /** Of the run, by the clock that only counts on. */
  readonly #startedAt: number;
  readonly #onUnhealthy: () => void;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(
    context: ContainerContext,
    record: ContainerRecord,
    task: Task,
    command: string[],
    onUnhealthy: () => void,
  ) {
    this.#context = context;
    this.#onUnhealthy = onUnhealthy;
    this.#id = record.id;
    this.#task = task;
    this.#command = command;
    this.#timings = healthTimings(record.config.Healthcheck!);
    this.#state = new HealthState(this.#timings, record.state.health);
    const age = Math.max(0, Date.now() - Date.parse(record.state.startedAt));
    this.#startedAt = performance.now() - age;
    this.#remember();
    this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => void this.#probe(), timerMs(this.#state.nextDelayMs(this.#ageMs())));
  }

  /** How long the run has been going on, whatever becomes of the clock on the wall. */
  #ageMs(): number {
    return performance.now() - this.#startedAt;
  }

  async #probe(): Promise<void> {
    const record = this.#context.store.get(this.#id);
    if (!record) return this.stop();
    // a frozen container cannot answer: that is no failure of its own
    if (record.state.status !== 'paused') {
      const result = await this.#run(record);
      if (this.#stopped || this.#context.closing.aborted) return;
      const changed = this.#state.add(result, this.#ageMs());
      this.#remember(changed);
      if (changed) {
        const current = this.#context.store.get(this.#id);
        if (current) publishContainerEvent(this.#context, current, `health_status: ${this.#state.document.Status}`);
        if (this.#state.document.Status === 'unhealthy') this.#onUnhealthy();
      }
    }
    this.#schedule();
  }

  /** In memory, and written when the status has changed: the log of probes is worth no disk write each. */
  #remember(durably = false): void {
    const record = this.#context.store.get(this.#id);
    if (!record) return;
    const changed = { ...record, state: { ...record.state, health: this.#state.document } };
    if (!durably) this.#context.store.updateInMemory(changed);
    else {
      const { Status, Log } = this.#state.document;
      const said = Status === 'unhealthy' ? Log?.at(-1)?.Output.slice(0, 200) : undefined;
      this.#context.store.update(
        withFact(changed, {
          Kind: 'health',
          What: Status,
          By: byEngine('health check'),
          ...(said !== undefined && { Error: said }),
        }),
      );
    }
  }

  async #run(record: ContainerRecord): Promise<ProbeResult> {
    const { context, args } = { context: this.#context, args: this.#command };
    const execID = newId();
    const line = args.join(' ');
    const start = now();
    const end = (ExitCode: number, Output: string): HealthResult => ({ Start: start, End: now(), ExitCode, Output });
    publishContainerEvent(context, record, `exec_create: ${line}`, { execID });
    publishContainerEvent(context, record, `exec_start: ${line}`, { execID });
    try {
      const process = await context.specs.process(record, `/proc/${this.#task.pid}/root`, {
        args,
        env: [],
        user: record.config.User ?? '',
        workingDir: record.config.WorkingDir ?? '',
        tty: false,
        privileged: false,
      });
      const probe = await this.#task.exec({ id: execID, process, stdin: false, stdout: true, stderr: true });
      let timedOut = false;
      const timer = setTimeout(() => {
        timedOut = true;
        void probe.kill(SIGKILL).catch(() => {});
      }, timerMs(this.#timings.timeoutMs));
      try {
        const output = await boundedOutput(probe.output);
        const { exitCode } = await probe.exited;
        publishContainerEvent(context, record, 'exec_die', { execID, exitCode: String(exitCode) });
        if (timedOut) {
          const words = `Health check exceeded timeout (${goDuration(this.#timings.timeoutMs)})`;
          return end(-1, output === '' ? words : `${words}: ${output}`);
        }
        return end(exitCode, output);
      } finally {
        clearTimeout(timer);
      }
    } catch (error) {
      return end(-1, errorMessage(error));
    }
  }
}

async function boundedOutput(output: AsyncIterable<{ data: Uint8Array }>): Promise<string> {
  const kept: Uint8Array[] = [];
  let length = 0;
  for await (const { data } of output) {
    if (length <= OUTPUT_LIMIT) kept.push(data);
    length += data.length;
  }
  const text = Buffer.concat(kept).subarray(0, OUTPUT_LIMIT).toString('utf8');
  return length > OUTPUT_LIMIT ? `${text}...` : text;
}

function goDuration(ms: number): string {
  if (ms < 1000) return `${ms}ms`;
  const seconds = ms / 1000;
  const minutes = Math.trunc(seconds / 60);
  return minutes === 0 ? `${seconds}s` : `${minutes}m${seconds % 60}s`;
}
