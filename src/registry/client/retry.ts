import { setTimeout as sleep } from 'node:timers/promises';
import { EngineError } from '../../base/errors.ts';
import { TooSlowError } from './pace.ts';
import { RegistryError } from '../registry-error.ts';

/** A registry that was too slow so often will be so again. */
const MAX_SLOW_ATTEMPTS = 3;

export interface RetryOptions {
  readonly signal?: AbortSignal | undefined;
  /** Default 5. */
  readonly attempts?: number;
  /** Which errors to try again after; default `isTransient`. */
  readonly retries?: (error: unknown) => boolean;
  /** Before the second attempt; doubled for each further one. Default 500 ms. */
  readonly firstDelayMs?: number | undefined;
}

/** Tries again what may go better the next time: broken connections, busy and limited registries. */
export async function withRetry<T>(work: () => Promise<T>, options: RetryOptions = {}): Promise<T> {
  const { attempts = 5, retries = isTransient } = options;
  let slow = 0;
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (error instanceof TooSlowError) slow++;
      const isLast = attempt >= attempts || slow >= MAX_SLOW_ATTEMPTS;
      if (isLast || !retries(error) || options.signal?.aborted) throw error;
      await pause(attempt, error, options);
    }
  }
}

/** Waits before attempt `attempt + 1`: what the registry asked for, or longer each time and never the same for all. */
export async function pause(attempt: number, error: unknown, options: RetryOptions): Promise<void> {
  const asked = error instanceof RegistryError ? error.retryAfterMs : undefined;
  const delay = (options.firstDelayMs ?? 500) * 2 ** (attempt - 1);
  await sleep(asked ?? delay * (0.75 + Math.random() / 2), undefined, options.signal ? { signal: options.signal } : {});
}

/** There is a registry, and it asks for patience. */
export function isBusy(error: unknown): boolean {
  return error instanceof RegistryError && error.code === 'unavailable';
}

export function isTransient(error: unknown): boolean {
  return error instanceof EngineError && error.code === 'unavailable' && !isRefused(error);
}

/** Nobody is there, or nobody we trust: that does not change within seconds. */
function isRefused(error: EngineError): boolean {
  const code = (error.cause as NodeJS.ErrnoException | undefined)?.code ?? '';
  return /^(?:ECONNREFUSED|ENOTFOUND|EPROTO|ERR_SSL|ENETUNREACH|EHOSTUNREACH)|CERT|SELF_SIGNED/.test(code);
}
