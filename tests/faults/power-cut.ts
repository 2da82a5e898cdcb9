/**
 * Cuts the power under the engine: its data root is an ext4 with a journal on a loop device, which the filesystem's shutdown
 * ioctl stops at once, so that what was not written by then never is. The engine is killed with it, the filesystem mounted
 * again, and the next engine must have everything that was acknowledged and nothing that was taken away; what was under
 * way may be there or not, but never half.
 */
import { spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { bind, check } from '../../src/linux/libc.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { leftBehind } from '../support/leak-check.ts';
import { generator } from './random.ts';

export interface PowerCutReport {
  readonly cuts: number;
  readonly seed: number;
  /** Operations whose success a client was told. */
  readonly acknowledged: number;
  /** Empty when all held. */
  readonly failures: readonly string[];
}

export interface PowerCutOptions {
  readonly cuts: number;
  readonly seed: number;
  readonly report?: (line: string) => void;
}

const KINDS = ['container', 'volume', 'filled', 'network', 'tag', 'image'] as const;
type Kind = (typeof KINDS)[number];

/** How a thing of each kind is made, taken away and listed. */
const VERBS: Readonly<
  Record<Kind, { make: (name: string) => string; remove: (name: string) => string; list: string }>
> = {
  container: {
    make: (name) => `docker create --name ${name} --network none busybox true`,
    remove: (name) => `docker rm ${name}`,
    list: "docker ps -a --format '{{.Names}}'",
  },
  volume: {
    make: (name) => `docker volume create ${name}`,
    remove: (name) => `docker volume rm ${name}`,
    list: 'docker volume ls -q',
  },
  filled: {
    make: (name) => `docker run --rm --network none -v ${name}:/etc busybox true`,
    remove: (name) => `docker volume rm ${name}`,
    list: 'docker volume ls -q',
  },
  network: {
    make: (name) => `docker network create ${name}`,
    remove: (name) => `docker network rm ${name}`,
    list: "docker network ls --format '{{.Name}}'",
  },
  tag: {
    make: (name) => `docker tag busybox ${name}`,
    remove: (name) => `docker rmi ${name}`,
    list: "docker images --format '{{.Repository}}'",
  },
  image: {
    make: (name) => `docker commit made ${name}`,
    remove: (name) => `docker rmi ${name}`,
    list: "docker images --format '{{.Repository}}'",
  },
};

/** Why there can be no such test here; undefined when there can. */
export function cannotCutPower(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  if (spawnSync('mkfs.ext4', ['-V']).status !== 0) return 'needs mkfs.ext4 (e2fsprogs)';
  return spawnSync('losetup', ['-f']).status === 0 ? undefined : 'needs a loop device';
}

/** In a mount namespace of its own: what else starts on this machine meanwhile would keep the disk busy in its own. */
export async function cutPower({ cuts, seed, report }: PowerCutOptions): Promise<PowerCutReport> {
  const words = ['--mount', process.execPath, import.meta.filename, String(cuts), String(seed)];
  const child = spawn('unshare', words, { stdio: ['ignore', 'pipe', 'inherit'] });
  let last = '';
  for await (const line of createInterface({ input: child.stdout })) {
    if (last !== '') report?.(last);
    last = line;
  }
  return JSON.parse(last) as PowerCutReport;
}

async function cutPowerHere(options: PowerCutOptions): Promise<PowerCutReport> {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-power-'));
  const disk = new Disk(join(directory, 'disk'), join(directory, 'data'));
  const daemon = new DaemonProcess({ directory });
  const run = new Run(daemon, disk, options);
  try {
    disk.make();
    await daemon.start();
    await daemon.importBusybox();
    await run.all();
    await daemon.start();
    await run.verify('at the end');
    await run.clear();
    await daemon.stop();
  } catch (error) {
    run.failures.push(`the test itself: ${(error as Error).stack}`);
    await daemon.kill().catch(() => undefined);
  }
  run.failures.push(...(await leftBehind(daemon)).filter((line) => !line.startsWith(`mount: `)));
  await disk.unmount();
  rmSync(directory, { recursive: true, force: true });
  const { cuts, seed } = options;
  return { cuts, seed, acknowledged: run.acknowledged, failures: run.failures };
}

class Run {
  readonly failures: string[] = [];
  acknowledged = 0;
  readonly #daemon: DaemonProcess;
  readonly #disk: Disk;
  readonly #options: PowerCutOptions;
  readonly #random: () => number;
  /** What is there, by name: clients were told. */
  readonly #there = new Map<string, Kind>();
  /** What is not there any more: clients were told. */
  readonly #gone = new Map<string, Kind>();
  #next = 0;

  constructor(daemon: DaemonProcess, disk: Disk, options: PowerCutOptions) {
    this.#daemon = daemon;
    this.#disk = disk;
    this.#options = options;
    this.#random = generator(options.seed);
  }

  /** Is lost with the first cut. */
  get #probe(): string {
    return join(this.#daemon.directory, 'data/probe');
  }

  async all(): Promise<void> {
    await this.#shell('docker create --name made --network none busybox true');
    for (let cut = 1; cut <= this.#options.cuts; cut++) {
      const changes = 1 + Math.floor(this.#random() * 3);
      for (let at = 0; at < changes; at++) await this.#change();
      // one more is under way: nobody is told how it ends
      const { name, script } = this.#choose();
      const pending = this.#random() < 0.7 ? this.#shell(script) : undefined;
      if (pending) await setTimeout(this.#random() * 200);
      if (cut === 1) writeFileSync(this.#probe, 'not synced');
      this.#disk.cut();
      await this.#daemon.kill();
      await pending;
      await this.#disk.remount();
      if (existsSync(this.#probe)) this.failures.push('a file that nobody synced is there: this cuts no power');
      // gone with the power
      rmSync(join(this.#daemon.directory, 'run'), { recursive: true, force: true });
      await removeCgroups(this.#daemon.cgroupParent);
      await this.#daemon.start();
      if (pending) {
        this.#there.delete(name);
        this.#gone.delete(name);
      }
      await this.verify(`cut ${cut}`);
      // whatever became of it, its name is as free or as taken as any other
      if (pending) for (const { remove } of Object.values(VERBS)) await this.#shell(`${remove(name)} 2>/dev/null`);
      if (cut % 10 === 0) this.#options.report?.(`${cut} cuts, ${this.failures.length} failures`);
    }
    await this.#daemon.stop();
  }

  /** Makes something, or takes something away, and remembers it when the engine says that it is done. */
  async #change(): Promise<void> {
    const { name, kind, script, makes } = this.#choose();
    const { code, output } = await this.#shell(script);
    if (code !== 0) {
      this.failures.push(`${script}: ${output}`);
      return;
    }
    this.acknowledged++;
    (makes ? this.#there : this.#gone).set(name, kind);
    (makes ? this.#gone : this.#there).delete(name);
  }

  #choose(): { name: string; kind: Kind; script: string; makes: boolean } {
    const names = [...this.#there.keys()];
    if (names.length > 0 && this.#random() < Math.min(0.7, names.length / 16)) {
      const name = names[Math.floor(this.#random() * names.length)]!;
      const kind = this.#there.get(name)!;
      return { name, kind, script: VERBS[kind].remove(name), makes: false };
    }
    const kind = KINDS[Math.floor(this.#random() * KINDS.length)]!;
    const name = `${kind}-${this.#next++}`;
    return { name, kind, script: VERBS[kind].make(name), makes: true };
  }

  async verify(when: string): Promise<void> {
    const lists = new Map<string, Set<string>>();
    for (const { list } of Object.values(VERBS)) {
      if (lists.has(list)) continue;
      const { code, output } = await this.#shell(list);
      if (code !== 0) this.failures.push(`${when}: ${list}: ${output}`);
      lists.set(list, new Set(output.trim().split('\n')));
    }
    for (const [name, kind] of this.#there) {
      if (!lists.get(VERBS[kind].list)!.has(name)) this.failures.push(`${when}: undone: ${name}`);
      else if (kind === 'filled') this.#checkFilled(when, name);
    }
    for (const [name, kind] of this.#gone) {
      if (lists.get(VERBS[kind].list)!.has(name)) this.failures.push(`${when}: resurrected: ${name}`);
    }
    const checked = await this.#shell(`${GANTRY} system fsck`);
    if (checked.code !== 0) this.failures.push(`${when}: damaged: ${checked.output}`);
  }

  /** A volume that was filled from the image has all of it. */
  #checkFilled(when: string, name: string): void {
    const file = join(this.#daemon.directory, 'data/volumes', name, '_data/passwd');
    if (!existsSync(file) || statSync(file).size === 0) this.failures.push(`${when}: half filled: ${name}`);
  }

  async clear(): Promise<void> {
    await this.#shell('docker ps -aq | xargs -r docker rm -f; docker network prune -f; docker volume prune -af');
  }

  async #shell(script: string): Promise<{ code: number; output: string }> {
    const child = spawn('sh', ['-c', script], { env: this.#daemon.clientEnv, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (data: string) => (output += data));
    }
    const code = await new Promise<number>((resolve) => child.once('close', (status) => resolve(status ?? 137)));
    return { code, output };
  }
}

/** With all that runs in them. */
async function removeCgroups(parent: string): Promise<void> {
  const groups = globSync(
    [`/sys/fs/cgroup/${parent}`, `/sys/fs/cgroup/*/${parent}`].flatMap((top) => [`${top}/*/`, top]),
  );
  for (let tries = 0; tries < 300; tries++) {
    const left = groups.filter((group) => existsSync(group));
    if (left.length === 0) return;
    for (const group of left) {
      try {
        for (const pid of readFileSync(join(group, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean))
          process.kill(Number(pid), 'SIGKILL');
        rmdirSync(group);
      } catch {
        // it has processes that are still ending, or groups below it
      }
    }
    await setTimeout(20);
  }
}

const GANTRY = new URL('../../gantry', import.meta.url).pathname;
const SIZE = 512 * 1024 * 1024;
const EXT4_IOC_SHUTDOWN = 0x8004587d;
/** Not even the journal is written any more. */
const NO_LOG_FLUSH = Uint32Array.of(2);
const ioctl = bind<(fd: number, request: number, argument: Uint32Array) => number>(
  'int ioctl(int fd, unsigned long request, void *argument)',
);

/** A filesystem in a file, mounted by a loop device. */
class Disk {
  readonly #file: string;
  readonly #target: string;

  constructor(file: string, target: string) {
    this.#file = file;
    this.#target = target;
  }

  make(): void {
    writeFileSync(this.#file, '');
    truncateSync(this.#file, SIZE);
    must('mkfs.ext4', '-q', '-F', this.#file);
    mkdirSync(this.#target);
    this.#mount();
  }

  #mount(): void {
    must('mount', '-o', 'loop', this.#file, this.#target);
  }

  cut(): void {
    const fd = openSync(this.#target, 'r');
    try {
      check(ioctl(fd, EXT4_IOC_SHUTDOWN, NO_LOG_FLUSH), 'ioctl', 'shutdown');
    } finally {
      closeSync(fd);
    }
  }

  async remount(): Promise<void> {
    await this.unmount();
    this.#mount();
  }

  /** The last process of the engine, in whose namespace it is mounted too, takes its time to end. Idempotent. */
  async unmount(): Promise<void> {
    for (const end = Date.now() + 60_000; Date.now() < end; await setTimeout(50)) {
      if (spawnSync('mountpoint', ['-q', this.#target]).status === 0) spawnSync('umount', [this.#target]);
      if (spawnSync('losetup', ['-j', this.#file], { encoding: 'utf8' }).stdout === '') return;
    }
    throw new Error(`${this.#target} is still in use`);
  }
}

function must(program: string, ...words: string[]): void {
  const { status, stderr } = spawnSync(program, words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${words.join(' ')}: ${stderr}`);
}

if (import.meta.main) {
  const [cuts, seed] = process.argv.slice(2).map(Number);
  const report = await cutPowerHere({ cuts: cuts!, seed: seed!, report: console.log });
  console.log(JSON.stringify(report));
}
