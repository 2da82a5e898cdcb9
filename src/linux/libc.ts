import koffi, { type LibraryHandle } from 'koffi';
import { constants } from 'node:os';
import { EngineError } from '../base/errors.ts';

/**
 * The one door to libc. Other files of `linux/` bind the calls they need with `bind` and report failures with `check`,
 * so that koffi can be exchanged in one place. Bindings are made on first use: loading the library costs 7 ms.
 */
let library: LibraryHandle | undefined;

/** Binds `prototype` (C syntax; `ssize_t` is written `long`) on first call. */
export function bind<F extends (...args: never[]) => unknown>(prototype: string): F {
  let bound: F | undefined;
  const call = (...args: never[]): unknown => {
    bound ??= (library ??= koffi.load('libc.so.6')).func(prototype) as unknown as F;
    return bound(...args);
  };
  return call as F;
}

/**
 * As `bind`, but the call is made by a thread of Node's pool: for those that take milliseconds and nobody waits for. The
 * result is all there is; errno stays with that thread.
 */
export function bindAside<A extends unknown[]>(prototype: string): (...args: A) => Promise<number> {
  let bound: ReturnType<LibraryHandle['func']> | undefined;
  return (...args) => {
    const call = (bound ??= (library ??= koffi.load('libc.so.6')).func(prototype));
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    call.async(...args, (error: unknown, result: number) =>
      error === null || error === undefined ? resolve(result) : reject(error as Error),
    );
    return promise;
  };
}

/** An errno of libc as Node's own errors carry it: `code` is `ENOENT` and so on. */
export class SystemCallError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;

  constructor(syscall: string, errno: number, what?: string) {
    const code = errnoName(errno);
    super(`${syscall}${what === undefined ? '' : ` ${what}`}: ${code}`);
    this.name = 'SystemCallError';
    this.code = code;
    this.errno = errno;
    this.syscall = syscall;
  }
}

/** Returns `result`, or throws the errno of the call just made when it is negative. Call it with nothing in between. */
export function check(result: number, syscall: string, what?: string): number {
  if (result >= 0) return result;
  throw new SystemCallError(syscall, koffi.errno(), what);
}

/** errno of the call just made. */
export function lastErrno(): number {
  return koffi.errno();
}

/** Where a buffer's bytes are, for structures that hold pointers. Keep the buffer referenced until the call returned. */
export function addressOf(buffer: Uint8Array): bigint {
  return koffi.address(buffer);
}

const NAMES = new Map(Object.entries(constants.errno).map(([name, value]) => [value, name]));

export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? `errno ${errno}`;
}

/** `internal` with the call's words, unless the code says something a user should know. */
export function hostError(error: unknown, doing: string): EngineError {
  const code = (error as { code?: unknown }).code;
  const message = `${doing}: ${(error as Error).message}`;
  if (code === 'ENOSPC' || code === 'EDQUOT') return new EngineError('no-space', message, { cause: error });
  return new EngineError('internal', message, { cause: error });
}
