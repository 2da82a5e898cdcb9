import type { RestartPolicy } from '../../api/container.ts';
import { EngineError } from '../../base/errors.ts';

const FIRST_DELAY_MS = 100;
const LAST_DELAY_MS = 60_000;
/** A run that lasted this long starts the back-off anew. */
const STEADY_RUN_MS = 10_000;

/** Throws `invalid-argument` in Docker's words. */
export function checkRestartPolicy(policy: RestartPolicy): void {
  const name = policy.Name ?? '';
  const retries = policy.MaximumRetryCount ?? 0;
  if (!['', 'no', 'always', 'on-failure', 'unless-stopped'].includes(name)) {
    throw new EngineError(
      'invalid-argument',
      `invalid restart policy: unknown policy '${name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`,
    );
  }
  if (retries < 0)
    throw new EngineError('invalid-argument', 'invalid restart policy: maximum retry count cannot be negative');
  if (retries > 0 && name !== 'on-failure') {
    throw new EngineError(
      'invalid-argument',
      `invalid restart policy: maximum retry count can only be used with 'on-failure'`,
    );
  }
}

/** Whether a container that just ended starts again. `restartCount` counts the automatic restarts since a person started it. */
export function shouldRestart(
  policy: RestartPolicy | undefined,
  run: { exitCode: number; restartCount: number; stoppedByHand: boolean },
): boolean {
  if (run.stoppedByHand) return false;
  switch (policy?.Name) {
    case 'always':
    case 'unless-stopped':
      return true;
    case 'on-failure': {
      const limit = policy.MaximumRetryCount ?? 0;
      return run.exitCode !== 0 && (limit === 0 || run.restartCount < limit);
    }
    default:
      return false;
  }
}

/** Whether a container that is not running is started when the engine (or the host) starts. */
export function shouldStartWithEngine(
  policy: RestartPolicy | undefined,
  container: { everStarted: boolean; stoppedByHand: boolean; exitCode: number; restartCount: number },
): boolean {
  if (!container.everStarted) return false;
  switch (policy?.Name) {
    case 'always':
      return true;
    case 'unless-stopped':
      return !container.stoppedByHand;
    case 'on-failure':
      return shouldRestart(policy, container);
    default:
      return false;
  }
}

/** The pause before the next automatic start: 100 ms, doubled after each run shorter than 10 s, at most a minute. */
export class RestartBackoff {
  #nextMs = FIRST_DELAY_MS;

  /** Milliseconds to wait after a run of `ranMs`. */
  next(ranMs: number): number {
    if (ranMs >= STEADY_RUN_MS) this.#nextMs = FIRST_DELAY_MS;
    const delay = this.#nextMs;
    this.#nextMs = Math.min(delay * 2, LAST_DELAY_MS);
    return delay;
  }

  reset(): void {
    this.#nextMs = FIRST_DELAY_MS;
  }
}
