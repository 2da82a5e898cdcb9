/**
 * `npm run bench`: every figure against the peers in one run on this machine. Starts our engine and two releases of
 * Docker privately, runs the parts one after another and writes bench/results: rows.jsonl, README.md, ratios.svg.
 *
 *     npm run bench                 everything; allow for half an hour
 *     npm run bench -- run volume   these parts
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadavg } from 'node:os';
import { type StartedPeer, startDocker, startGantry } from './peers.ts';
import { writeReport } from './report.ts';

/** Parts and whether the engines are named to them; a registry's peers are registries, which its part starts itself. */
const PARTS: Readonly<Record<string, { engines: boolean }>> = {
  start: { engines: false },
  run: { engines: true },
  volume: { engines: true },
  network: { engines: true },
  registry: { engines: false },
  transfer: { engines: true },
  build: { engines: true },
  'build-buildx': { engines: true },
  compose: { engines: true },
};

const here = import.meta.dirname;
const results = join(here, 'results');
const asked = process.argv.slice(2);
const unknown = asked.find((part) => !(part in PARTS));
if (unknown !== undefined) throw new Error(`no part ${unknown}: there are ${Object.keys(PARTS).join(', ')}`);
const parts = asked.length > 0 ? asked : Object.keys(PARTS);

/** The engines, started when a part first needs them. */
class Engines implements AsyncDisposable {
  readonly #directory: string;
  readonly #execRoot: string;
  readonly #started: StartedPeer[] = [];

  constructor(directory: string, execRoot: string) {
    this.#directory = directory;
    this.#execRoot = execRoot;
  }

  /** `name=host@pidfile` words, as the parts take them. */
  async words(): Promise<string[]> {
    if (this.#started.length === 0) await this.#start();
    return this.#started.map(({ name, host, pidFile }) => `${name}=${host}${pidFile ? `@${pidFile}` : ''}`);
  }

  async #start(): Promise<void> {
    const roots = { directory: this.#directory, execRoot: this.#execRoot };
    this.#started.push(await startGantry(roots));
    for (const [name, suite] of [
      ['docker28', 'new'],
      ['docker20', 'old'],
    ] as const) {
      const peer = await startDocker(name, suite, roots);
      if (peer) this.#started.push(peer);
    }
    const [ours, ...others] = this.#started;
    const image = join(this.#directory, 'busybox.tar');
    docker(ours!, 'run', '--rm', 'busybox', 'true'); // it is built in
    docker(ours!, 'save', '-o', image, 'busybox');
    for (const peer of others) docker(peer, 'load', '-i', image);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.#started) await peer[Symbol.asyncDispose]();
  }
}

/** Where the parts find buildx and Compose, as tools/bench-peers.sh unpacked them. */
function clients(part: string): NodeJS.ProcessEnv {
  const plugins = join(here, '../.gantry/peers/new/root/usr/libexec/docker/cli-plugins');
  if (part === 'compose') {
    const old = spawnSync('sh', ['-c', 'command -v docker-compose'], { encoding: 'utf8' }).stdout.trim();
    return { DOCKER_COMPOSE: [old, join(plugins, 'docker-compose')].filter((path) => path !== '').join(',') };
  }
  if (!part.startsWith('build')) return {};
  const config = join(directory, 'docker-config');
  mkdirSync(config, { recursive: true });
  writeFileSync(join(config, 'config.json'), JSON.stringify({ cliPluginsExtraDirs: [plugins] }));
  return { DOCKER_CONFIG: config };
}

/** dockerd leaves the mount of its namespace behind. */
function unmountBelow(path: string): void {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  for (const target of mounts.map((line) => line.split(' ')[1] ?? '').reverse()) {
    if (target.startsWith(`${path}/`)) spawnSync('umount', [target], { stdio: 'ignore' });
  }
}

function docker({ host }: StartedPeer, ...words: string[]): void {
  const { status } = spawnSync('docker', ['-H', host, ...words], { stdio: ['ignore', 'ignore', 'inherit'] });
  if (status !== 0) throw new Error(`docker ${words.join(' ')} failed`);
}

mkdirSync(results, { recursive: true });
const directory = mkdtempSync('/var/tmp/gantry-bench-');
const execRoot = mkdtempSync('/dev/shm/gantry-bench-');
const rows = join(results, 'rows.jsonl');
rmSync(rows, { force: true });
const failed: string[] = [];
try {
  await using engines = new Engines(directory, execRoot);
  for (const part of parts) {
    const { engines: named } = PARTS[part]!;
    const words = named ? await engines.words() : [];
    console.log(`\n== ${part} (load average ${loadavg()[0]!.toFixed(1)})`);
    const { status } = spawnSync(process.execPath, [join(here, `${part}.ts`), ...words], {
      stdio: 'inherit',
      env: {
        ...process.env,
        ...clients(part),
        BENCH_RESULTS: rows,
        BENCH_ENGINE_PID: join(execRoot, 'gantry/engine.pid'),
      },
    });
    if (status !== 0) failed.push(part);
  }
} finally {
  for (const left of [directory, execRoot]) {
    unmountBelow(left);
    rmSync(left, { recursive: true, force: true });
  }
}
writeReport(rows, results);
console.log(`\nwritten: ${results}/README.md and ratios.svg`);
if (failed.length > 0) console.log(`failed: ${failed.join(', ')}`);
process.exitCode = failed.length > 0 ? 1 : 0;
