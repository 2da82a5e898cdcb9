import { AsyncLocalStorage } from 'node:async_hooks';

/** Who asked for what is being done: one request of a client of the API. */
export interface Caller {
  /** `POST /containers/web/stop` */
  readonly request: string;
  /** The `User-Agent`. */
  readonly agent?: string;
  /** Of a TCP connection. */
  readonly address?: string;
  /** Of a connection by a unix socket: the process at its other end, while it could be seen. */
  readonly process?: { readonly pid: number; readonly uid: number; readonly command?: string };
  /** False: nothing that it removes goes into the trash. */
  readonly trash?: boolean;
}

const callers = new AsyncLocalStorage<() => Caller>();

/** Runs `work`, and all that it awaits, in the name of a caller. `describe` is asked when somebody wants to know, once. */
export function onBehalfOf<T>(describe: () => Caller, work: () => T): T {
  let known: Caller | undefined;
  return callers.run(() => (known ??= describe()), work);
}

/**
 * Who asked; undefined in a program that has the engine in it. To be asked at once by what was called: timers and what goes
 * on in the background are still in the name of whoever began it.
 */
export function presentCaller(): Caller | undefined {
  return callers.getStore()?.();
}
