import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { enterEngineMountNamespace } from '../../src/linux/mount-namespace.ts';
import { bindMount, unmount } from '../../src/linux/mount.ts';
import { ConmonTaskRunner, type ConmonTaskRunnerOptions } from '../../src/runtime/conmon-task-runner.ts';
import type { OciSpec, ProcessSpec } from '../../src/runtime/spec/oci-spec.ts';
import type { TaskRequest } from '../../src/runtime/task.ts';

/**
 * A private place to run tasks in: its roots, a busybox root filesystem, and this process in a mount namespace of its
 * own, as the daemon is. Call it first thing: it may replace the process.
 */
export class TaskHost implements Disposable {
  readonly root: string;
  readonly dataRoot: string;
  readonly execRoot: string;

  /** `root` joins the place that another process made. */
  constructor(root = process.env['TASK_HOST'] ?? mkdtempSync(join(tmpdir(), 'gantry-task-'))) {
    this.root = root;
    this.dataRoot = join(root, 'data');
    this.execRoot = join(root, 'exec');
    const env = { ...process.env, TASK_HOST: root };
    enterEngineMountNamespace({ dataRoot: this.dataRoot, execRoot: this.execRoot, monitors: [], env });
    delete process.env['TASK_HOST'];
    mkdirSync(join(root, 'logs'), { recursive: true });
    if (!existsSync(this.rootfs)) makeRootfs(this.rootfs);
  }

  get rootfs(): string {
    return join(this.root, 'rootfs');
  }

  runner(options: Pick<ConmonTaskRunnerOptions, 'startTimeoutMs'> = {}): ConmonTaskRunner {
    return new ConmonTaskRunner({
      ...options,
      execRoot: this.execRoot,
      dataRoot: this.dataRoot,
      runtimes: { crun: { path: '/usr/bin/crun', args: [] }, runc: { path: '/usr/sbin/runc', args: [] } },
      conmonPath: '/usr/bin/conmon',
    });
  }

  logPath(id: string): string {
    return join(this.root, 'logs', id);
  }

  /** A request to run `args`, with the root filesystem bound to where an engine would have mounted it. */
  request(
    id: string,
    args: readonly string[],
    change: Partial<TaskRequest> & { process?: Partial<ProcessSpec> } = {},
  ): TaskRequest {
    const bundle = join(this.execRoot, 'tasks', id);
    if (!existsSync(join(bundle, 'rootfs'))) {
      mkdirSync(join(bundle, 'rootfs'), { recursive: true });
      bindMount(this.rootfs, join(bundle, 'rootfs'));
    }
    const { process: processChange, ...rest } = change;
    const spec = busyboxSpec(args);
    spec.linux.cgroupsPath = `/gantry/${id}`;
    spec.process = { ...spec.process, terminal: change.terminal ?? false, ...processChange };
    return {
      id,
      name: id,
      spec,
      terminal: false,
      stdin: false,
      stdinOnce: false,
      runtime: 'crun',
      log: { path: this.logPath(id), maxBytes: 0, maxFiles: 1 },
      ...rest,
    };
  }

  [Symbol.dispose](): void {
    for (const root of [this.execRoot, this.dataRoot]) unmount(root, { detach: true });
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** What an id leaves below the exec root and in the cgroups; empty when all is gone. */
export function leftovers(host: TaskHost, id: string): string[] {
  const places = ['tasks', 'exits', 'execs', 'runtime/crun', 'runtime/runc'].map((name) => join(host.execRoot, name));
  const files = places.flatMap((place) =>
    existsSync(place)
      ? readdirSync(place)
          .filter((name) => name.includes(id))
          .map((name) => join(place, name))
      : [],
  );
  const cgroups = ['.', ...readdirSync('/sys/fs/cgroup')]
    .map((controller) => `/sys/fs/cgroup/${controller}/gantry/${id}`)
    .filter((path) => existsSync(path));
  return [...files, ...cgroups];
}

function makeRootfs(path: string): void {
  for (const directory of ['bin', 'dev', 'etc', 'proc', 'sys', 'tmp'])
    mkdirSync(join(path, directory), { recursive: true });
  copyFileSync(
    ['/bin/busybox', '/usr/bin/busybox'].find((file) => existsSync(file))!,
    join(path, 'bin/busybox'),
  );
  writeFileSync(join(path, 'etc/plain'), '');
  for (const applet of execFileSync(join(path, 'bin/busybox'), ['--list'], { encoding: 'utf8' }).trim().split('\n')) {
    if (applet !== 'busybox') symlinkSync('busybox', join(path, 'bin', applet));
  }
}

function busyboxSpec(args: readonly string[]): OciSpec {
  const capabilities = ['CAP_KILL', 'CAP_SETUID', 'CAP_SETGID', 'CAP_CHOWN', 'CAP_DAC_OVERRIDE'];
  return {
    ociVersion: '1.0.2',
    process: {
      cwd: '/',
      args: [...args],
      env: ['PATH=/bin', 'TERM=xterm'],
      user: { uid: 0, gid: 0 },
      capabilities: {
        bounding: capabilities,
        effective: capabilities,
        permitted: capabilities,
        inheritable: [],
        ambient: [],
      },
    },
    root: { path: 'rootfs' },
    hostname: 'task',
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755', 'size=65536k'] },
      {
        destination: '/dev/pts',
        type: 'devpts',
        source: 'devpts',
        options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
      },
      { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
    ],
    linux: {
      namespaces: [{ type: 'pid' }, { type: 'network' }, { type: 'ipc' }, { type: 'uts' }, { type: 'mount' }],
      resources: { devices: [{ allow: false, access: 'rwm' }] },
    },
  };
}
