/**
 * `npm run bench`: every figure against the peers in one run on this machine. Starts our engine and two releases of
 * Docker privately, runs the parts one after another and writes bench/results: rows.jsonl, README.md, ratios.svg.
 *
 *     npm run bench                         everything; allow for half an hour
 *     npm run bench -- --merge run volume   these parts; all other figures stay as they were measured before
 *
 * `--results DIR` writes elsewhere. A signal ends the part that runs, the engines and all that they made; with --merge
 * what was measured until then is kept.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { constants, loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Engines } from './engines.ts';
import { writeReport } from './report.ts';
import { mergeRows, readRows, writeRows } from './rows.ts';

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
  scan: { engines: true },
};

const here = import.meta.dirname;
const { values: flags, positionals: asked } = parseArgs({
  options: { merge: { type: 'boolean' }, results: { type: 'string', default: join(here, 'results') } },
  allowPositionals: true,
});
const unknown = asked.find((part) => !Object.hasOwn(PARTS, part));
if (unknown !== undefined) {
  console.error(`no part ${unknown}: there are ${Object.keys(PARTS).join(', ')}`);
  process.exit(2);
}
const parts = asked.length > 0 ? asked : Object.keys(PARTS);

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

/** Runs a part in a process group of its own, so that all of it can be ended. */
async function run(part: string, words: readonly string[]): Promise<boolean> {
  running = spawn(process.execPath, [join(here, `${part}.ts`), ...words], {
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true,
    env: {
      ...process.env,
      ...clients(part),
      // Whatever a part leaves when it is ended goes with the rest.
      TMPDIR: temporary,
      BENCH_PART: part,
      BENCH_RESULTS: measured,
      BENCH_ENGINE_PID: join(execRoot, 'gantry/engine.pid'),
    },
  });
  const child = running;
  const code = await new Promise((resolve) => child.once('exit', resolve));
  running = undefined;
  return code === 0;
}

let running: ChildProcess | undefined;
let ended: NodeJS.Signals | undefined;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => {
    if (!ended) console.log(`\n${signal}: removing what was made for this run`);
    ended ??= signal;
    if (running?.pid !== undefined) process.kill(-running.pid, 'SIGKILL');
  });

mkdirSync(flags.results, { recursive: true });
const rows = join(flags.results, 'rows.jsonl');
const directory = mkdtempSync('/var/tmp/gantry-bench-');
const execRoot = mkdtempSync('/dev/shm/gantry-bench-');
console.log(`data: ${directory} ${execRoot}`);
const temporary = join(directory, 'tmp');
mkdirSync(temporary);
const measured = join(directory, 'rows.jsonl');
const failed: string[] = [];
try {
  await using engines = new Engines({ directory, execRoot });
  for (const part of parts) {
    if (ended) break;
    const words = PARTS[part]!.engines ? await engines.words() : [];
    if (ended) break;
    console.log(`\n== ${part} (load average ${loadavg()[0]!.toFixed(1)})`);
    if (!(await run(part, words))) failed.push(part);
    if (flags.merge) writeRows(rows, mergeRows(readRows(rows), readRows(measured)));
  }
  if (!flags.merge && !ended) writeRows(rows, readRows(measured));
} finally {
  for (const left of [directory, execRoot]) rmSync(left, { recursive: true, force: true });
}
if (flags.merge || !ended) {
  writeReport(rows, flags.results);
  console.log(`\nwritten: ${flags.results}/README.md and ratios.svg`);
}
if (failed.length > 0 && !ended) console.log(`failed: ${failed.join(', ')}`);
process.exitCode = ended ? 128 + constants.signals[ended] : failed.length > 0 ? 1 : 0;
