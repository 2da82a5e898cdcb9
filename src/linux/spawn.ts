import { closeSync } from 'node:fs';
import { childExit, type ProcessExit } from './children.ts';
import { duplicate } from './descriptor.ts';
import { bind, bindAside, SystemCallError } from './libc.ts';

export interface SpawnRequest {
  readonly path: string;
  /** With the program's name first. */
  readonly argv: readonly string[];
  /** `NAME=value`; nothing is inherited. */
  readonly env: readonly string[];
  /** Descriptors that become 0, 1, 2, …; every other one is closed. They stay the caller's to close. */
  readonly fds: readonly number[];
  readonly cwd?: string;
  /** A session of its own: signals of our terminal or process group do not reach it. */
  readonly newSession?: boolean;
}

export interface SpawnedProcess {
  readonly pid: number;
  readonly exited: Promise<ProcessExit>;
}

/**
 * Starts a program by `posix_spawn`: 0.3 ms whatever our size, where a fork of this process takes 4 ms. A thread of the
 * pool makes the call, which lasts until the child has a processor and runs the program: on a busy machine long. All
 * signals have their defaults and none is blocked. The descriptors must stay open until it resolves. Throws
 * SystemCallError (ENOENT, EACCES, …) when the program cannot be executed.
 */
export async function spawnProcess(request: SpawnRequest): Promise<SpawnedProcess> {
  if (moved) return spawnHere(request);
  using call = new SpawnCall(request);
  return call.started(await posixSpawnAside(...call.arguments));
}

let moved = false;

/** This thread moved into other namespaces for good: programs start where it is, not where the pool's threads are. */
export function spawnOnlyHere(): void {
  moved = true;
}

/** The same by this thread, which waits: for a program that is to be in the namespaces where this thread is for a moment. */
export function spawnHere(request: SpawnRequest): SpawnedProcess {
  using call = new SpawnCall(request);
  return call.started(posixSpawn(...call.arguments));
}

/** As `spawnHere`, but the caller sees to it that somebody waits for the child: `childExit` of the main thread. */
export function spawnPid(request: SpawnRequest): number {
  using call = new SpawnCall(request);
  return call.pid(posixSpawn(...call.arguments));
}

/** What posix_spawn is given, for as long as the call lasts. */
class SpawnCall implements Disposable {
  readonly #request: SpawnRequest;
  readonly #actions = Buffer.alloc(FILE_ACTIONS_SIZE);
  readonly #attributes = Buffer.alloc(ATTRIBUTES_SIZE);
  readonly #pid = new Int32Array(1);
  readonly #lifted: number[] = [];

  constructor(request: SpawnRequest) {
    this.#request = request;
    must(actionsInit(this.#actions), 'posix_spawn_file_actions_init');
    must(attributesInit(this.#attributes), 'posix_spawnattr_init');
    try {
      this.#fill();
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  #fill(): void {
    const { fds, newSession, cwd } = this.#request;
    // The flags make use of the attributes' initial signal mask, which is empty.
    must(setFlags(this.#attributes, SETSIGDEF | SETSIGMASK | (newSession ? SETSID : 0)), 'posix_spawnattr_setflags');
    must(setDefaultSignals(this.#attributes, Buffer.alloc(SIGNAL_SET_SIZE, 0xff)), 'posix_spawnattr_setsigdefault');
    fds.forEach((fd, target) => {
      let source = fd;
      // A descriptor below the number of targets could be overwritten before it is copied.
      if (fd < fds.length && fd !== target) {
        source = duplicate(fd);
        this.#lifted.push(source);
      }
      must(actionsDup2(this.#actions, source, target), 'posix_spawn_file_actions_adddup2');
    });
    closeFrom(this.#actions, fds.length);
    if (cwd !== undefined) must(actionsChdir(this.#actions, cwd), 'posix_spawn_file_actions_addchdir_np');
  }

  get arguments(): SpawnArguments {
    const { path, argv, env } = this.#request;
    return [this.#pid, path, this.#actions, this.#attributes, [...argv, null], [...env, null]];
  }

  pid(result: number): number {
    must(result, 'posix_spawn', this.#request.path);
    return this.#pid[0]!;
  }

  started(result: number): SpawnedProcess {
    const pid = this.pid(result);
    return { pid, exited: childExit(pid) };
  }

  [Symbol.dispose](): void {
    for (const fd of this.#lifted) closeSync(fd);
    actionsDestroy(this.#actions);
    attributesDestroy(this.#attributes);
  }
}

/** Ours are all close-on-exec; this is for what we inherited ourselves, and a monitor would hold open for years. */
function closeFrom(actions: Buffer, first: number): void {
  if (!canCloseFrom) return;
  try {
    must(actionsCloseFrom(actions, first), 'posix_spawn_file_actions_addclosefrom_np');
  } catch (error) {
    if (error instanceof SystemCallError) throw error;
    canCloseFrom = false; // glibc before 2.34
  }
}

let canCloseFrom = true;

/** These functions return the error's number themselves. */
function must(errno: number, call: string, what?: string): void {
  if (errno !== 0) throw new SystemCallError(call, errno, what);
}

const SETSIGDEF = 0x04;
const SETSIGMASK = 0x08;
const SETSID = 0x80;
// Larger than glibc's structures on every 64-bit architecture (80 and 336 bytes on x86-64), which are opaque to us.
const FILE_ACTIONS_SIZE = 256;
const ATTRIBUTES_SIZE = 1024;
const SIGNAL_SET_SIZE = 128;

const actionsInit = bind<(actions: Buffer) => number>('int posix_spawn_file_actions_init(void *actions)');
const actionsDestroy = bind<(actions: Buffer) => number>('int posix_spawn_file_actions_destroy(void *actions)');
const actionsDup2 = bind<(actions: Buffer, fd: number, target: number) => number>(
  'int posix_spawn_file_actions_adddup2(void *actions, int fd, int target)',
);
const actionsChdir = bind<(actions: Buffer, path: string) => number>(
  'int posix_spawn_file_actions_addchdir_np(void *actions, const char *path)',
);
const actionsCloseFrom = bind<(actions: Buffer, first: number) => number>(
  'int posix_spawn_file_actions_addclosefrom_np(void *actions, int first)',
);
const attributesInit = bind<(attributes: Buffer) => number>('int posix_spawnattr_init(void *attributes)');
const attributesDestroy = bind<(attributes: Buffer) => number>('int posix_spawnattr_destroy(void *attributes)');
const setFlags = bind<(attributes: Buffer, flags: number) => number>(
  'int posix_spawnattr_setflags(void *attributes, short flags)',
);
const setDefaultSignals = bind<(attributes: Buffer, set: Buffer) => number>(
  'int posix_spawnattr_setsigdefault(void *attributes, void *set)',
);
type SpawnArguments = [
  pid: Int32Array,
  path: string,
  actions: Buffer,
  attributes: Buffer,
  argv: readonly (string | null)[],
  env: readonly (string | null)[],
];
const POSIX_SPAWN =
  'int posix_spawn(void *pid, const char *path, void *actions, void *attributes, const char **argv, const char **env)';
const posixSpawn = bind<(...args: SpawnArguments) => number>(POSIX_SPAWN);
const posixSpawnAside = bindAside<SpawnArguments>(POSIX_SPAWN);
