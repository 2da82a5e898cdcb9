/**
 * Many of everything at once: containers that are created and that run, short runs, builds and pulls of shared layers,
 * listeners; a restart in the middle of it; and whether the engine is as small afterwards as it was. Used by the test
 * suite with small numbers and by `npm run test:crowds` with those of docs/reliability.md.
 *
 *     npm run test:crowds                                 the whole
 *     npm run test:crowds -- running=20 created=100       smaller
 *     npm run test:crowds -- host=unix:///run/docker.sock the same clients on another engine, which is not restarted
 *     npm run test:crowds -- stalls=/tmp/stalls           with what the engine did while it answered nobody
 */
import { execFileSync, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client, parseEndpoint } from '../../src/client/index.ts';
import { streamOf, tarOf } from '../images/archive.ts';
import { TestRegistry } from '../registry/test-registry.ts';
import { busyboxRoot } from '../support/busybox-root.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { leftBehind } from '../support/leak-check.ts';
import { PingWatch } from './ping-watch.ts';

export interface CrowdSizes {
  readonly created: number;
  readonly running: number;
  /** `run --rm` at once. */
  readonly runs: number;
  /** At once, each. */
  readonly builds: number;
  readonly pulls: number;
  readonly listeners: number;
  /** What comes and goes before the engine is weighed. */
  readonly operations: number;
}

export const WHOLE: CrowdSizes = {
  created: 1000,
  running: 200,
  runs: 100,
  builds: 50,
  pulls: 50,
  listeners: 200,
  operations: 3600,
};

export interface CrowdOptions {
  readonly sizes: CrowdSizes;
  /** Another engine's socket, instead of one of our own. */
  readonly host?: string;
  readonly report?: (line: string) => void;
  /** A file that gets the engine's stalls (`support/stall-finder.ts`), which costs it some time of its own. */
  readonly stalls?: string;
}

export interface CrowdReport {
  readonly sizes: CrowdSizes;
  /** By what was done: milliseconds, and what else was measured. */
  readonly figures: Readonly<Record<string, number | string>>;
  /** Empty when all held. */
  readonly failures: readonly string[];
}

export async function gatherCrowds(options: CrowdOptions): Promise<CrowdReport> {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-crowds-'));
  const daemon = options.host === undefined ? new DaemonProcess({ directory, within: within(options) }) : undefined;
  // what is gone after a reboot is in memory, as below /run
  const run = join(directory, 'run');
  if (daemon) execFileSync('sh', ['-c', 'mkdir "$1" && mount -t tmpfs -o mode=711 tmpfs "$1"', 'sh', run]);
  const crowd = new Crowd(options, directory, daemon);
  try {
    await crowd.all();
  } catch (error) {
    crowd.failures.push(`the test itself: ${(error as Error).stack}`);
  }
  try {
    await crowd.clear();
    await daemon?.stop();
  } catch (error) {
    crowd.failures.push(`at the end: ${(error as Error).stack}`);
    await daemon?.kill();
  }
  if (daemon) {
    execFileSync('umount', [run]);
    crowd.failures.push(...(await leftBehind(daemon)));
  }
  if (daemon && crowd.failures.length > 0) crowd.failures.push(daemon.log.slice(-2000));
  rmSync(directory, { recursive: true, force: true });
  return { sizes: options.sizes, figures: crowd.figures, failures: crowd.failures };
}

/** A session of its own, as a service has. */
function within({ stalls }: CrowdOptions): string[] {
  if (stalls === undefined) return ['setsid'];
  const finder = fileURLToPath(new URL('../support/stall-finder.ts', import.meta.url));
  return ['env', `GANTRY_STALLS=${stalls}`, `NODE_OPTIONS=--import ${finder}`, 'setsid'];
}

/** How many requests a client has under way that makes many things. */
const WIDE = 8;

class Crowd {
  readonly figures: Record<string, number | string> = {};
  readonly failures: string[] = [];
  readonly #sizes: CrowdSizes;
  readonly #daemon: DaemonProcess | undefined;
  readonly #host: string;
  readonly #directory: string;
  readonly #client: Client;
  readonly #report: (line: string) => void;

  constructor({ sizes, host, report }: CrowdOptions, directory: string, daemon: DaemonProcess | undefined) {
    this.#sizes = sizes;
    this.#daemon = daemon;
    this.#directory = directory;
    this.#host = host ?? daemon!.host;
    this.#client = new Client({ endpoint: parseEndpoint(this.#host) });
    this.#report = report ?? (() => {});
  }

  async all(): Promise<void> {
    const { created, running, runs, builds, pulls, listeners, operations } = this.#sizes;
    await this.#daemon?.start();
    await this.#import();
    await this.#timed(`${created} created`, () => this.#create(created));
    await this.#timed(`${running} running`, () => this.#run(running));
    await this.#timed('ps -a of all', async () => {
      const listed = await this.#client.containers.list({ all: true });
      this.#expect('containers listed', listed.length, created + running);
    });
    if (this.#daemon) await this.#restart();
    await this.#timed(`${runs} run --rm at once`, () => this.#shortRuns(runs));
    await this.#timed(`${listeners} listeners`, () => this.#listen(listeners));
    await this.#timed(`${builds} builds at once`, () => this.#build(builds));
    if (this.#daemon) await this.#pull(pulls);
    if (this.#daemon) await this.#weigh(operations);
  }

  /** Removes everything, many at once. */
  async clear(): Promise<void> {
    const all = await this.#client.containers.list({ all: true });
    await this.#timed(`${all.length} removed`, () =>
      wide(all, (container) => this.#client.containers.remove(container.Id, { force: true, volumes: true })),
    );
    const images = await this.#client.images.list({ all: true });
    for (const { Id } of images) await this.#client.images.remove(Id, { force: true }).catch(() => {});
    this.#client.close();
  }

  async #import(): Promise<void> {
    const tar = spawn('tar', ['-C', await busyboxRoot(), '-c', '.'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const lines = this.#client.images.import({
      source: '-',
      body: tar.stdout,
      repository: 'busybox',
      tag: 'latest',
      changes: ['CMD ["sh"]'],
    });
    await succeeds(lines);
  }

  async #create(count: number): Promise<void> {
    await wide(numbers(count), (n) =>
      this.#client.containers.create({ Image: 'busybox', Cmd: ['true'] }, { name: `created-${n}` }),
    );
  }

  async #run(count: number): Promise<void> {
    await wide(numbers(count), async (n) => {
      const { Id } = await this.#client.containers.create(
        { Image: 'busybox', Cmd: ['sleep', '100000'] },
        { name: `running-${n}` },
      );
      await this.#client.containers.start(Id);
    });
  }

  /** All run on, and the engine answers soon. */
  async #restart(): Promise<void> {
    const daemon = this.#daemon!;
    const before = await this.#running();
    await this.#timed('stop of the engine', () => daemon.stop());
    await this.#timed('ready again', () => daemon.start());
    const listed = await this.#timed('first list', () => this.#running());
    for (const [id, pid] of before) {
      if (listed.get(id) !== pid) this.failures.push(`${id} ran as ${pid}, now ${listed.get(id)}`);
    }
  }

  /** Pids by id. */
  async #running(): Promise<Map<string, number>> {
    const pids = new Map<string, number>();
    await wide(await this.#client.containers.list(), async ({ Id }) => {
      pids.set(Id, (await this.#client.containers.inspect(Id)).State.Pid);
    });
    return pids;
  }

  async #shortRuns(count: number): Promise<void> {
    const env = { ...process.env, DOCKER_HOST: this.#host, HOME: this.#directory };
    const codes = await Promise.all(
      numbers(count).map(
        (n) =>
          new Promise<number | null>((resolve) => {
            const words = ['run', '--rm', '--name', `short-${n}`, 'busybox', 'true'];
            const child = spawn('docker', words, { env, stdio: ['ignore', 'ignore', 'pipe'] });
            let told = '';
            child.stderr.on('data', (data) => (told += String(data)));
            child.once('close', (code) => {
              if (code !== 0) this.failures.push(`run --rm ${n}: ${told}`);
              resolve(code);
            });
          }),
      ),
    );
    this.#expect('short runs that ended well', codes.filter((code) => code === 0).length, count);
    const left = await this.#client.containers.list({ all: true, filters: new Map([['name', ['short-']]]) });
    this.#expect('short runs left', left.length, 0);
  }

  /** Each hears of every one of some volumes. */
  async #listen(count: number): Promise<void> {
    const stop = new AbortController();
    const names = numbers(10).map((n) => `heard-${n}`);
    let ready = 0;
    const heard = numbers(count).map(async () => {
      const found: string[] = [];
      const since = String(Math.floor(Date.now() / 1000) - 1);
      ready++;
      for await (const event of this.#client.system.events({
        since,
        filters: new Map([
          ['type', ['volume']],
          ['event', ['create']],
        ]),
        signal: stop.signal,
      })) {
        found.push(event.Actor.ID);
        if (found.length === names.length) break;
      }
      return found.toSorted().join();
    });
    while (ready < count) await sleep(10);
    for (const name of names) await this.#client.volumes.create({ Name: name });
    const timer = setTimeout(() => stop.abort(), 60_000);
    const answers = await Promise.allSettled(heard);
    clearTimeout(timer);
    const right = answers.filter((each) => each.status === 'fulfilled' && each.value === names.toSorted().join());
    this.#expect('listeners that heard all', right.length, count);
    for (const name of names) await this.#client.volumes.remove(name);
  }

  /** They share their first steps, and differ in the last ones. */
  async #build(count: number): Promise<void> {
    await Promise.all(
      numbers(count).map(async (n) => {
        const dockerfile = `FROM busybox\nCOPY shared /shared\nRUN cat /shared >/copied\nRUN echo ${n % 10} >/ten\nRUN echo ${n} >/own\n`;
        const context = await tarOf({ Dockerfile: dockerfile, shared: 'shared '.repeat(10_000) });
        const query = { t: `crowd-${n}:1`, rm: true };
        await succeeds(this.#client.builder.build({ query, context: streamOf(context) }));
      }),
    );
    const built = await this.#client.images.list({ filters: new Map([['reference', ['crowd-*']]]) });
    this.#expect('images built', built.length, count);
    const tops = await Promise.all(
      numbers(count).map(async (n) => (await this.#client.images.inspect(`crowd-${n}:1`)).RootFS.Layers!),
    );
    const distinct = (layer: number): number => new Set(tops.map((layers) => layers[layer])).size;
    // the step that they share was made once
    this.#expect('layers of the shared step', distinct(2), 1);
    this.#expect('layers of the last step', distinct(4), count);
  }

  /** Of images that share layers, several of each at once. */
  async #pull(count: number): Promise<void> {
    await using registry = await TestRegistry.open();
    const images = Math.min(10, this.#sizes.builds);
    const name = `${registry.host}/crowd`;
    for (const n of numbers(images)) {
      await this.#client.images.tag(`crowd-${n}:1`, name, String(n));
      await succeeds(this.#client.images.push(name, { tag: String(n) }));
    }
    const before = await this.#client.images.list({ all: true });
    for (const { RepoTags } of before) {
      for (const tag of RepoTags ?? []) {
        if (/^crowd-|\/crowd:/.test(tag)) await this.#client.images.remove(tag, { force: true });
      }
    }
    await this.#client.builder.prune({ all: true });
    await this.#timed(`${count} pulls at once`, async () => {
      await Promise.all(
        numbers(count).map((n) => succeeds(this.#client.images.pull({ image: name, tag: String(n % images) }))),
      );
    });
    const pulled = await this.#client.images.list({ filters: new Map([['reference', [name]]]) });
    this.#expect('images pulled', pulled.length, Math.min(images, count));
    for (const n of numbers(Math.min(images, count))) {
      const { Id } = await this.#client.containers.create({
        Image: `${name}:${n}`,
        Cmd: ['grep', '-qx', String(n), '/own'],
        HostConfig: { NetworkMode: 'none' },
      });
      const { outcome } = await this.#client.containers.wait(Id, 'next-exit');
      await this.#client.containers.start(Id);
      this.#expect(`what is in the pulled image ${n}`, (await outcome).StatusCode, 0);
      await this.#client.containers.remove(Id);
    }
  }

  /** The engine before and after many things that came and went. */
  async #weigh(operations: number): Promise<void> {
    const round = Math.max(1, Math.floor(operations / 20));
    // caches, compiled code and pools are filled by the first ones
    await this.#comeAndGo(round, 0);
    const before = await this.#settled();
    await this.#timed(`${operations} operations`, () => this.#comeAndGo(operations, round));
    const after = await this.#settled();
    for (const [what, slack] of Object.entries(SLACK)) {
      const [first, last] = [before[what]!, after[what]!];
      this.figures[`${what}, before and after`] = `${first} → ${last}`;
      if (last > first + slack) this.failures.push(`leak: ${what}: ${first} before, ${last} after`);
    }
  }

  async #comeAndGo(count: number, from: number): Promise<void> {
    const client = this.#client;
    const kinds: ((n: number) => Promise<void>)[] = [
      async (n) => {
        const name = `passing-${n}`;
        await client.containers.create({ Image: 'busybox', Cmd: ['echo', name] }, { name });
        const { outcome } = await client.containers.wait(name, 'next-exit');
        await client.containers.start(name);
        await outcome;
        for await (const part of await client.containers.logs(name, {}, false)) void part;
        await client.containers.remove(name, { force: true, volumes: true });
      },
      async (n) => {
        await client.volumes.create({ Name: `passing-${n}` });
        await client.volumes.remove(`passing-${n}`);
      },
      async (n) => {
        const { Id } = await client.execs.create('running-0', { Cmd: ['echo', String(n)], AttachStdout: true });
        const stream = await client.execs.start(Id, { Tty: false });
        for await (const part of stream.output) void part;
        stream.close();
      },
      async (n) => {
        await client.images.tag('busybox', `passing-${n}`, '1');
        await client.images.remove(`passing-${n}:1`);
      },
      async () => {
        await client.containers.inspect('running-0');
        await client.containers.list({ all: true });
        await client.images.list();
      },
      async () => {
        const stop = new AbortController();
        const events = client.system.events({ signal: stop.signal });
        const next = events.next().catch(() => {});
        await sleep(5);
        stop.abort();
        await next;
      },
      async () => {
        const { tar } = await client.containers.archiveGet('running-0', '/etc');
        for await (const part of tar) void part;
      },
      async (n) => {
        const { Id } = await client.networks.create({
          Name: `passing-${n}`,
          IPAM: { Config: [{ Subnet: subnetOf(n) }] },
        });
        await client.networks.remove(Id);
      },
    ];
    await wide(numbers(count), (n) => kinds[n % kinds.length]!(from + n), 4);
  }

  /** What the engine has, when it is at rest: memory is given back some time after the work. */
  async #settled(): Promise<Record<string, number>> {
    let last = weight(this.#daemon!);
    for (let quiet = 0; quiet < 5;) {
      await sleep(700);
      const next = weight(this.#daemon!);
      const same =
        ['descriptors', 'threads', 'cgroups', 'mounts', 'processes'].every((key) => next[key] === last[key]) &&
        next['MiB of memory']! >= last['MiB of memory']!;
      quiet = same ? quiet + 1 : 0;
      last = next;
    }
    return last;
  }

  async #timed<T>(what: string, work: () => Promise<T>): Promise<T> {
    // the engine that is not there yet, or no more, is not asked
    const watched = !/engine|ready/.test(what);
    const pings = watched ? await PingWatch.start(this.#host.replace('unix://', ''), this.#daemon?.pid) : undefined;
    const before = this.#daemon?.pid === undefined || !watched ? undefined : processorTimes(this.#daemon.pid);
    const from = performance.now();
    try {
      return await work();
    } finally {
      this.figures[what] = Math.round(performance.now() - from);
      const times = await pings?.end();
      if (before) {
        const after = processorTimes(this.#daemon!.pid!);
        const [used, ran, waited] = [after.used - before.used, after.ran - before.ran, after.waited - before.waited];
        this.figures[`${what}: of a processor: all threads, the main one, which waited for it`] =
          `${used} ${ran} ${waited}`;
      }
      if (times && times.asked > 20)
        this.figures[`${what}: ping p50, p99, longest`] = `${times.p50} ${times.p99} ${times.longest}`;
      if (times && times.asked > 20 && this.#daemon) {
        this.figures[`${what}: the same without the wait for a processor: p99, longest`] =
          `${times.p99Own} ${times.longestOwn}`;
        this.figures[`${what}: of the longest: of a processor`] = times.longestRan;
      }
      if (times && times.failed > 0) this.failures.push(`${what}: ${times.failed} pings failed`);
      this.#report(
        `${what}: ${this.figures[what]} ms${times ? `, ping p99 ${times.p99} ms, ${times.p99Own} without waits for a processor` : ''}`,
      );
    }
  }

  #expect(what: string, found: unknown, expected: unknown): void {
    if (found !== expected) this.failures.push(`${what}: ${String(found)} instead of ${String(expected)}`);
  }
}

/** Milliseconds: what the engine has had of processors, its main thread of those, and how long that one waited for one. */
function processorTimes(pid: number): { used: number; ran: number; waited: number } {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [ran, waited] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'latin1').split(' ').map(Number);
  return {
    used: (Number(fields[11]) + Number(fields[12])) * 10, // of USER_HZ, which is 100 everywhere
    ran: Math.round(ran! / 1e6),
    waited: Math.round(waited! / 1e6),
  };
}

/** How much more of each there may be afterwards: pools and caches that come and go. */
const SLACK: Readonly<Record<string, number>> = {
  descriptors: 16,
  threads: 4,
  cgroups: 0,
  mounts: 0,
  processes: 2,
  'MiB of memory': 48,
};

function weight(daemon: DaemonProcess): Record<string, number> {
  const proc = `/proc/${daemon.pid}`;
  const status = readFileSync(`${proc}/status`, 'utf8');
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)![1]);
  const children = readdirSync(`${proc}/task`).flatMap((task) =>
    readFileSync(`${proc}/task/${task}/children`, 'utf8').split(' ').filter(Boolean),
  );
  return {
    descriptors: readdirSync(`${proc}/fd`).length,
    threads: field('Threads'),
    cgroups: cgroupsOf(daemon.cgroupParent),
    // those of others on this host are to be seen there, too
    mounts: readFileSync(`${proc}/mountinfo`, 'utf8')
      .split('\n')
      .filter((line) => line.includes(` ${daemon.directory}/`)).length,
    processes: children.length,
    'MiB of memory': Math.round(field('RssAnon') / 1024),
  };
}

function cgroupsOf(parent: string): number {
  const roots = ['/sys/fs/cgroup', ...readdirSync('/sys/fs/cgroup').map((name) => `/sys/fs/cgroup/${name}`)];
  let count = 0;
  for (const root of roots) {
    try {
      count += readdirSync(join(root, parent), { withFileTypes: true }).filter((entry) => entry.isDirectory()).length;
    } catch {
      // not in this hierarchy
    }
  }
  return count;
}

const BASE = randomInt(30, 50);

/** Not of the host's pools, which are for everybody on it. */
function subnetOf(n: number): string {
  return `10.${BASE}.${n % 256}.0/24`;
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n);
}

/** Works on all, some at a time. Throws the first error. */
async function wide<T>(items: readonly T[], work: (item: T) => Promise<unknown>, width = WIDE): Promise<void> {
  const rest = [...items].toReversed();
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let item = rest.pop(); item !== undefined; item = rest.pop()) await work(item);
    }),
  );
}

/** Reads an answer to its end; throws the error in it. */
async function succeeds(lines: AsyncIterable<{ readonly error?: string }>): Promise<void> {
  for await (const { error } of lines) if (error !== undefined) throw new Error(error);
}

if (import.meta.main) {
  const words = new Map(process.argv.slice(2).map((word) => word.split('=', 2) as [string, string]));
  for (const name of words.keys()) {
    if (!['host', 'stalls'].includes(name) && !(name in WHOLE))
      throw new Error(`no option ${name}: host, stalls, ${Object.keys(WHOLE).join(', ')}`);
  }
  const host = words.get('host');
  const sizes = Object.fromEntries(
    Object.entries(WHOLE).map(([name, size]) => [name, Number(words.get(name) ?? size)]),
  ) as unknown as CrowdSizes;
  const stalls = words.get('stalls');
  const report = await gatherCrowds({ sizes, report: console.log, ...(host && { host }), ...(stalls && { stalls }) });
  console.log(JSON.stringify(report, null, 2));
  process.exitCode = report.failures.length > 0 ? 1 : 0;
}
