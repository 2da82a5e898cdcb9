import { rm } from 'node:fs/promises';
import { EngineError } from '../../base/errors.ts';
import { newId } from '../../base/ids.ts';
import { KeyedMutex } from '../../base/mutex.ts';
import { now } from '../../base/time.ts';
import { sha256 } from '../../oci/digest.ts';
import type {
  AdoptRequest,
  ExecProcess,
  ExecRequest,
  Task,
  TaskExit,
  TaskRequest,
  TaskRunner,
} from '../../runtime/task.ts';
import type { Snapshotter } from '../../snapshot/snapshotter.ts';
import { ContainerStore } from '../../state/containers.ts';
import { Database } from '../../state/database.ts';
import { BackgroundWork } from '../background.ts';
import { engineConfig } from '../config.ts';
import { EventLog } from '../events.ts';
import type { Networking } from '../networks/networking.ts';
import type { ContainerContext } from './context.ts';
import { LiveContainers } from './live.ts';

/** For unit tests: everything around the containers' verbs, in memory; tasks end when the test says so. */
export function fakeContext(options: { dataRoot: string; tasks?: FakeTasks }): ContainerContext & {
  tasks: FakeTasks;
  events: EventLog;
  /** What was asked of the other parts, in order. */
  calls: string[];
  close(): Promise<void>;
} {
  const calls: string[] = [];
  const note =
    (what: string) =>
    async (first: unknown): Promise<void> => {
      calls.push(
        `${what} ${typeof first === 'string' ? first : (first as { id: string }).id}`.replace(/[0-9a-f]{52}$/, ''),
      );
    };
  const database = Database.open(':memory:');
  const reports: string[] = [];
  const tasks = options.tasks ?? new FakeTasks();
  const background = new BackgroundWork((message) => reports.push(message));
  const closing = new AbortController();
  const image = {
    id: sha256('image'),
    config: { architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [] } },
  };
  const context = {
    config: engineConfig({
      dataRoot: options.dataRoot,
      defaultRuntime: 'runc',
      report: (message) => void reports.push(message),
    }),
    store: new ContainerStore(database),
    live: new LiveContainers(),
    locks: new KeyedMutex(),
    background,
    events: new EventLog(),
    images: {
      resolve: async (reference: string) => {
        if (reference === 'missing') throw new EngineError('not-found', 'No such image: missing:latest');
        return { ...image, chain: undefined } as never;
      },
      descendants: async (reference: string) => new Set(reference === 'busybox' ? [image.id] : []),
    },
    snapshots: {
      name: 'fake',
      problem: undefined,
      prepare: note('snapshot'),
      remove: note('remove-snapshot'),
      mounts: async () => [],
      usage: async () => ({ bytes: 0, inodes: 0 }),
      list: () => [],
      stat: () => undefined,
      changesDir: () => '',
      rebase: async () => {},
      commit: async () => {},
      beginSync: () => {},
      sync: async () => {},
      lowerDirs: () => [],
      settled: async () => {},
      close: async () => {},
    } satisfies Snapshotter,
    roots: {
      hold: async (id: string) => (await note('hold')(id), '/nowhere'),
      release: note('release-root'),
      adopt: () => {},
      path: () => '/nowhere',
      clear: async (_id, ended) => void (await ended),
      sweep: async () => {},
    },
    volumes: {
      plan: async () => [],
      prepare: async () => ({ mounts: [] }),
      shifted: async (_record, mounts) => mounts,
      unmount: async () => {},
      release: note('release-volumes'),
    },
    secrets: {
      plan: (references) => [...references],
      prepare: () => [],
      forExec: () => ({ fds: [], env: [] }),
      runEnded: async () => {},
      committed: async () => {},
    },
    idsFor: () => undefined,
    trash: { ticket: () => undefined, put: () => {} },
    findNetwork: async () => undefined,
    networking: {
      check: () => [],
      checkMode: () => {},
      prepare: async () => ({
        namespace: 'new',
        files: { hosts: '', hostname: '', resolvConf: '' },
        attachment: { mode: 'none', endpoints: {}, interfaces: {}, ports: {}, sandboxId: newId() },
        keep: [],
        env: [],
        warnings: [],
        ready: Promise.resolve(),
      }),
      started: () => {},
      release: note('release-network'),
      adopt: async () => {},
      recovered: async () => {},
      settings: () => ({ Networks: {} }) as never,
      changePorts: async () => ({ mode: 'none', endpoints: {}, interfaces: {}, ports: {}, sandboxId: '' }),
      renamed: () => {},
    } satisfies Networking,
    specs: {
      check: () => [],
      cgroupNamespace: () => 'private',
      appArmorProfile: () => '',
      build: async () => ({}) as never,
      process: async (_record: unknown, _root: unknown, request: { args: readonly string[] }) =>
        ({ args: request.args }) as never,
      checkUser: () => {},
      resources: () => ({}),
      user: async () => ({ uid: 0, gid: 0 }),
    },
    tasks,
    logs: { end: () => ({}), async *read() {} },
    files: {} as never,
    committer: {} as never,
    execIds: () => [],
    isFrozen: async () => false,
    readStats: async () => ({}),
    closing: closing.signal,
  } satisfies ContainerContext;
  return Object.assign(context, {
    calls,
    async close() {
      closing.abort();
      context.live.rest();
      await background.settled();
      database.close();
      await rm(options.dataRoot, { recursive: true, force: true });
      if (reports.length > 0) throw new Error(`reported: ${reports.join('; ')}`);
    },
  });
}

/** A runner of tasks that run nothing. */
export class FakeTasks implements TaskRunner {
  readonly running = new Map<string, FakeTask>();
  /** Thrown by the next start. */
  failNextStart: EngineError | undefined;
  starts = 0;

  async start(request: TaskRequest): Promise<Task> {
    this.starts++;
    const failure = this.failNextStart;
    this.failNextStart = undefined;
    if (failure) throw failure;
    const task = new FakeTask(request.id, 1000 + this.starts);
    this.running.set(request.id, task);
    return task;
  }

  async adopt(request: AdoptRequest): Promise<Task | undefined> {
    return this.running.get(request.id);
  }

  async forget(id: string): Promise<void> {
    this.running.delete(id);
  }

  async list(): Promise<readonly string[]> {
    return [...this.running.keys()];
  }

  close(): void {}
}

/** Obeys the signals KILL and TERM, unless told to ignore TERM. */
export class FakeTask implements Task {
  readonly id: string;
  readonly pid: number;
  readonly pidStartTime = 1;
  readonly exited: Promise<TaskExit>;
  readonly signals: number[] = [];
  ignoresTerm = false;
  /** Exit codes of the next execs; 0 when there are none left. */
  readonly execCodes: number[] = [];
  readonly #exit = Promise.withResolvers<TaskExit>();

  constructor(id: string, pid: number) {
    this.id = id;
    this.pid = pid;
    this.exited = this.#exit.promise;
  }

  held(): undefined {
    return undefined;
  }

  watchMemory(): undefined {
    return undefined;
  }

  end(exitCode: number): void {
    this.#exit.resolve({ exitCode, oomKilled: false, exitedAt: now() });
  }

  async kill(signal: number): Promise<void> {
    this.signals.push(signal);
    if (signal === 9 || (signal === 15 && !this.ignoresTerm)) this.end(128 + signal);
  }

  async exec(request: ExecRequest): Promise<ExecProcess> {
    const exitCode = this.execCodes.shift() ?? 0;
    return {
      pid: 1,
      exited: Promise.resolve({ exitCode }),
      output: (async function* () {
        yield { stream: 1 as const, data: Buffer.from(request.process.args.join(' ')) };
      })(),
      write: async () => {},
      closeStdin: async () => {},
      resize: async () => {},
      kill: async () => {},
    };
  }

  async write(): Promise<void> {}
  async closeStdin(): Promise<void> {}
  async resize(): Promise<void> {}
  async pause(): Promise<void> {}
  async resume(): Promise<void> {}
  async update(): Promise<void> {}
  async processes(): Promise<readonly number[]> {
    return [this.pid];
  }
}
