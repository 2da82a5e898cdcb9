/**
 * The state on disk at every prefix of its writes. Everything that the kernel writes to the disk of the data root is
 * recorded while clients work; then the disk is made as it was, or could have been, at many a moment of that: between any
 * two writes, and with some of those missing that nobody had asked to be on the disk yet. On each of these disks an engine
 * opens, has what was acknowledged by then, and finds nothing damaged.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DaemonProcess } from '../support/daemon-process.ts';
import { leftBehind } from '../support/leak-check.ts';
import { type DiskRecord, readRecords, RECORD } from '../support/recorded-disk.ts';
import { LoopDisk, makeFilesystem, must } from './loop-disk.ts';
import { type Kind, KINDS, missing, shell, VERBS } from './operations.ts';
import { generator } from './random.ts';

export interface PrefixReport {
  readonly prefixes: number;
  readonly seed: number;
  /** Writes and flushes of the disk that were recorded. */
  readonly writes: number;
  readonly flushes: number;
  readonly acknowledged: number;
  /** Empty when all held. */
  readonly failures: readonly string[];
}

export interface PrefixOptions {
  readonly prefixes: number;
  /** What clients do while the disk is recorded. */
  readonly operations: number;
  readonly seed: number;
  readonly report?: (line: string) => void;
}

const DISK_BYTES = 128 << 20;

/** In a mount namespace of its own: what else starts on this machine meanwhile would keep the disk busy in its own. */
export async function replayPrefixes({ prefixes, operations, seed, report }: PrefixOptions): Promise<PrefixReport> {
  const words = ['--mount', process.execPath, import.meta.filename, String(prefixes), String(operations), String(seed)];
  const child = spawn('unshare', words, { stdio: ['ignore', 'pipe', 'inherit'] });
  let last = '';
  for await (const line of createInterface({ input: child.stdout })) {
    if (last !== '') report?.(last);
    last = line;
  }
  return JSON.parse(last) as PrefixReport;
}

/** One change that a client asked for: where the record was when it did, and when it was told that it is done. */
interface Change {
  readonly name: string;
  readonly kind: Kind;
  readonly makes: boolean;
  readonly from: number;
  readonly done: number;
}

class Recording {
  readonly failures: string[] = [];
  readonly changes: Change[] = [];
  readonly #directory: string;
  readonly #daemon: DaemonProcess;
  readonly #random: () => number;
  #server: ChildProcess | undefined;

  constructor(directory: string, daemon: DaemonProcess, random: () => number) {
    this.#directory = directory;
    this.#daemon = daemon;
    this.#random = random;
  }

  get base(): string {
    return join(this.#directory, 'base');
  }

  get #record(): string {
    return join(this.#directory, 'record');
  }

  /** Records what `operations` do to a disk on which an engine has an image already. */
  async make(operations: number): Promise<DiskRecord[]> {
    makeFilesystem(this.base, DISK_BYTES);
    mkdirSync(join(this.#directory, 'data'));
    const before = new LoopDisk(this.base, join(this.#directory, 'data'));
    before.mount();
    await this.#daemon.start();
    await this.#daemon.importBusybox();
    await this.#must('docker create --name made --network none busybox true');
    await this.#daemon.stop();
    await before.unmount();

    const disk = await this.#serve();
    disk.mount();
    await this.#daemon.start();
    for (let at = 0; at < operations; at++) await this.#change();
    await this.#daemon.kill();
    await disk.unmount();
    must('umount', join(this.#directory, 'served'));
    await once(this.#server!, 'exit');
    return readRecords(readFileSync(this.#record));
  }

  async #serve(): Promise<LoopDisk> {
    const [served, copy] = [join(this.#directory, 'served'), join(this.#directory, 'copy')];
    mkdirSync(served);
    must('cp', '--sparse=always', this.base, copy);
    writeFileSync(this.#record, '');
    const program = new URL('../support/recorded-disk.ts', import.meta.url).pathname;
    this.#server = spawn(process.execPath, [program, copy, served, this.#record], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(this.#server.stdout!, 'data');
    return new LoopDisk(join(served, 'disk'), join(this.#directory, 'data'));
  }

  /** Everything ends, also after a failure. */
  abandon(): void {
    this.#server?.kill('SIGKILL');
  }

  async #change(): Promise<void> {
    const there = this.#names();
    const removes = there.length > 3 && this.#random() < 0.45;
    const [name, kind] = removes
      ? there[Math.floor(this.#random() * there.length)]!
      : ([
          `${KINDS[this.changes.length % KINDS.length]!}-${this.changes.length}`,
          KINDS[this.changes.length % KINDS.length]!,
        ] as const);
    const from = statSync(this.#record).size;
    await this.#must(removes ? VERBS[kind].remove(name) : VERBS[kind].make(name));
    this.changes.push({ name, kind, makes: !removes, from, done: statSync(this.#record).size });
  }

  #names(): [string, Kind][] {
    const names = new Map<string, Kind>();
    for (const { name, kind, makes } of this.changes) {
      if (makes) names.set(name, kind);
      else names.delete(name);
    }
    return [...names];
  }

  async #must(script: string): Promise<void> {
    const { code, output } = await shell(this.#daemon, script);
    if (code !== 0) throw new Error(`${script}: ${output}`);
  }
}

async function replayHere(options: PrefixOptions): Promise<PrefixReport> {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-prefix-'));
  const daemon = new DaemonProcess({ directory });
  const random = generator(options.seed);
  const recording = new Recording(directory, daemon, random);
  const { failures, changes } = recording;
  let records: DiskRecord[] = [];
  let checked = 0;
  const disk = new LoopDisk(join(directory, 'replayed'), join(directory, 'data'));
  try {
    records = await recording.make(options.operations);
    const rolling = join(directory, 'rolling');
    must('cp', '--sparse=always', recording.base, rolling);
    let applied = 0;
    for (const prefix of choose(records, options.prefixes, random)) {
      // what somebody waited for is on the disk; of what came later, any part may be
      const flushed = records.findLastIndex(({ kind }, at) => at < prefix && kind === RECORD.flush) + 1;
      write(rolling, records.slice(applied, flushed));
      applied = Math.max(applied, flushed);
      const whole = random() < 0.5;
      const rest = records.slice(flushed, prefix).filter(() => whole || random() < 0.5);
      must('cp', '--sparse=always', rolling, join(directory, 'replayed'));
      write(join(directory, 'replayed'), rest);
      // gone with the power
      rmSync(join(directory, 'run'), { recursive: true, force: true });
      disk.mount();
      await daemon.start();
      const end = prefix === 0 ? 0 : records[prefix - 1]!.end;
      const [there, gone] = expected(changes, end);
      const when = `after ${prefix} of ${records.length} writes (${whole ? 'all' : rest.length} of the last ${prefix - flushed})`;
      failures.push(...(await missing(daemon, when, there, gone)));
      // not only listed
      const started = await shell(daemon, 'docker start -a made');
      if (started.code !== 0) failures.push(`${when}: does not start: ${started.output}`);
      await daemon.stop();
      await disk.unmount();
      if (++checked % 10 === 0) options.report?.(`${checked} prefixes, ${failures.length} failures`);
    }
  } catch (error) {
    failures.push(`the test itself: ${(error as Error).stack}`);
    await daemon.kill();
    recording.abandon();
    for (const name of ['data', 'served']) spawnSync('umount', ['-l', join(directory, name)]);
  }
  failures.push(...(await leftBehind(daemon)).filter((line) => !line.startsWith('mount: ')));
  rmSync(directory, { recursive: true, force: true });
  const flushes = records.filter(({ kind }) => kind === RECORD.flush).length;
  return {
    prefixes: checked,
    seed: options.seed,
    writes: records.length - flushes,
    flushes,
    acknowledged: changes.length,
    failures,
  };
}

/** Numbers of writes, in order: half of them right where somebody was told that all is on the disk, the others anywhere. */
function choose(records: readonly DiskRecord[], count: number, random: () => number): number[] {
  const flushes = records.flatMap(({ kind }, at) => (kind === RECORD.flush ? [at + 1] : []));
  const chosen = new Set([0, records.length]);
  const most = Math.min(count, records.length + 1);
  while (chosen.size < most) {
    const at =
      chosen.size % 2 === 0 && flushes.length > 0
        ? flushes[Math.floor(random() * flushes.length)]!
        : Math.floor(random() * (records.length + 1));
    chosen.add(at);
    if (chosen.size > flushes.length * 2) chosen.add(Math.floor(random() * (records.length + 1)));
  }
  return [...chosen].toSorted((a, b) => a - b);
}

function write(file: string, records: readonly DiskRecord[]): void {
  const fd = openSync(file, 'r+');
  for (const { kind, data, offset } of records) if (kind === RECORD.write) writeSync(fd, data, 0, data.length, offset);
  closeSync(fd);
}

/** What must be there and what must not be when the record is `end` long. What was under way may be either. */
function expected(changes: readonly Change[], end: number): [there: Map<string, Kind>, gone: Map<string, Kind>] {
  const [there, gone] = [new Map<string, Kind>(), new Map<string, Kind>()];
  for (const { name, kind, makes, from, done } of changes) {
    if (from >= end) continue;
    there.delete(name);
    gone.delete(name);
    if (done <= end) (makes ? there : gone).set(name, kind);
  }
  return [there, gone];
}

if (import.meta.main) {
  const [prefixes, operations, seed] = process.argv.slice(2).map(Number);
  const report = await replayHere({ prefixes: prefixes!, operations: operations!, seed: seed!, report: console.log });
  console.log(JSON.stringify(report));
}
