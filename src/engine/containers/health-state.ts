import type { Health, HealthConfig, HealthResult } from '../../api/container.ts';

const RESULTS_KEPT = 5;

export interface HealthTimings {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startPeriodMs: number;
  readonly startIntervalMs: number;
  readonly retries: number;
}

/** Docker's defaults for what the check leaves open. */
export function healthTimings(check: HealthConfig): HealthTimings {
  const ms = (nanos: number | undefined, otherwise: number): number => (nanos ? nanos / 1e6 : otherwise);
  return {
    intervalMs: ms(check.Interval, 30_000),
    timeoutMs: ms(check.Timeout, 30_000),
    startPeriodMs: ms(check.StartPeriod, 0),
    startIntervalMs: ms(check.StartInterval, 5_000),
    retries: check.Retries || 3,
  };
}

export type ProbeResult = HealthResult;

/**
 * What a run's probes say of its health. During the start period failures do not count, and probes come at the start
 * interval; the first success ends the period.
 */
export class HealthState {
  readonly #timings: HealthTimings;
  #document: Health;

  constructor(timings: HealthTimings, before?: Health) {
    this.#timings = timings;
    this.#document = before ?? { Status: 'starting', FailingStreak: 0, Log: [] };
  }

  get document(): Health {
    return this.#document;
  }

  /** Until the next probe of a run that has been going on for `ageMs`. */
  nextDelayMs(ageMs: number): number {
    return this.#starting(ageMs) ? this.#timings.startIntervalMs : this.#timings.intervalMs;
  }

  /** Whether the status changed. */
  add(result: ProbeResult, ageMs: number): boolean {
    const { Status, FailingStreak, Log } = this.#document;
    const log = [...(Log ?? []), result].slice(-RESULTS_KEPT);
    if (result.ExitCode === 0) {
      this.#document = { Status: 'healthy', FailingStreak: 0, Log: log };
      return Status !== 'healthy';
    }
    const counts = !this.#starting(ageMs);
    const streak = counts ? FailingStreak + 1 : FailingStreak;
    const failed = counts && streak >= this.#timings.retries;
    this.#document = { Status: failed ? 'unhealthy' : Status, FailingStreak: streak, Log: log };
    return failed && Status !== 'unhealthy';
  }

  #starting(ageMs: number): boolean {
    return this.#document.Status === 'starting' && ageMs < this.#timings.startPeriodMs;
  }
}
