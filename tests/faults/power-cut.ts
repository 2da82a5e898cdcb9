/**
 * Cuts the power under the engine: its data root is an ext4 with a journal on a loop device, which the filesystem's shutdown
 * ioctl stops at once, so that what was not written by then never is. The engine is killed with it, the filesystem mounted
 * again, and the next engine must have everything that was acknowledged and nothing that was taken away; what was under
 * way may be there or not, but never half.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { DaemonProcess } from '../support/daemon-process.ts';
import { leftBehind } from '../support/leak-check.ts';
import { LoopDisk } from './loop-disk.ts';
import { type Kind, KINDS, missing, shell, VERBS } from './operations.ts';
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
  const disk = new LoopDisk(join(directory, 'disk'), join(directory, 'data'));
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
  readonly #disk: LoopDisk;
  readonly #options: PowerCutOptions;
  readonly #random: () => number;
  /** What is there, by name: clients were told. */
  readonly #there = new Map<string, Kind>();
  /** What is not there any more: clients were told. */
  readonly #gone = new Map<string, Kind>();
  #next = 0;

  constructor(daemon: DaemonProcess, disk: LoopDisk, options: PowerCutOptions) {
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
    this.failures.push(...(await missing(this.#daemon, when, this.#there, this.#gone)));
  }

  async clear(): Promise<void> {
    await this.#shell('docker ps -aq | xargs -r docker rm -f; docker network prune -f; docker volume prune -af');
  }

  #shell(script: string): Promise<{ code: number; output: string }> {
    return shell(this.#daemon, script);
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

if (import.meta.main) {
  const [cuts, seed] = process.argv.slice(2).map(Number);
  const report = await cutPowerHere({ cuts: cuts!, seed: seed!, report: console.log });
  console.log(JSON.stringify(report));
}
