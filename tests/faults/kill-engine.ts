/**
 * Kills the engine with SIGKILL at random moments while clients work, starts it again, and checks that nothing was lost
 * and, at the end, that nothing is left. Used by the test suite with few kills and by `npm run test:faults` with many:
 *
 *     node tests/faults/kill-engine.ts [kills] [seed] [runtime]
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DaemonProcess } from '../support/daemon-process.ts';
import { leftBehind } from '../support/leak-check.ts';

export interface FaultReport {
  readonly kills: number;
  readonly seed: number;
  readonly operations: number;
  readonly longestStartMs: number;
  /** Empty when all held. */
  readonly failures: readonly string[];
}

export interface FaultOptions {
  readonly kills: number;
  readonly seed: number;
  readonly runtime?: string;
  readonly report?: (line: string) => void;
}

/** Containers that must outlive every kill. Their output is numbered, so that a lost, doubled or torn line shows. */
const FLOOD =
  'i=0; while :; do i=$((i+1)); echo "line $i of a flood that nobody may lose"; [ $((i % 2000)) = 0 ] && sleep 0.05; done';

export async function killEngine(options: FaultOptions): Promise<FaultReport> {
  const random = generator(options.seed);
  const failures: string[] = [];
  const say = options.report ?? (() => undefined);
  const directory = mkdtempSync(join(tmpdir(), 'gantry-faults-'));
  const daemon = new DaemonProcess({
    directory,
    ...(options.runtime && { args: ['--default-runtime', options.runtime] }),
  });
  let operations = 0;
  let longestStartMs = 0;
  try {
    await daemon.start();
    await daemon.importBusybox();
    const docker = (...args: string[]): { code: number; out: string } => {
      const result = spawnSync('docker', args, {
        env: daemon.clientEnv,
        encoding: 'utf8',
        timeout: 30_000,
        maxBuffer: 1 << 30,
      });
      return { code: result.status ?? 137, out: result.stdout };
    };
    docker(
      'run',
      '-d',
      '--name',
      'flood',
      '--network',
      'none',
      '--log-opt',
      'max-size=1g',
      'busybox',
      'sh',
      '-c',
      FLOOD,
    );
    docker('run', '-d', '--name', 'quiet', 'busybox', 'sleep', '100000');
    docker(
      'run',
      '-d',
      '-t',
      '--name',
      'terminal',
      '--network',
      'none',
      'busybox',
      'sh',
      '-c',
      'while :; do sleep 1; done',
    );
    docker('run', '-d', '--name', 'always', '--restart', 'always', '--network', 'none', 'busybox', 'sleep', '3');
    docker('save', '-o', join(directory, 'image.tar'), 'busybox');
    const pids = new Map(
      ['flood', 'quiet', 'terminal'].map((name) => [name, docker('inspect', '-f', '{{.State.Pid}}', name).out.trim()]),
    );

    for (let kill = 1; kill <= options.kills; kill++) {
      // Clients at work: they fail when the engine dies under them, and that is all they may do.
      const clients = WORK(kill, directory).map((script) => {
        operations++;
        return spawn('sh', ['-c', script], { env: daemon.clientEnv, stdio: 'ignore', detached: true });
      });
      // A container that ends while nobody watches: its code must be known afterwards.
      docker('rm', '-f', 'ending');
      const exitCode = 1 + Math.floor(random() * 100);
      const ending = docker(
        'run',
        '-d',
        '--name',
        'ending',
        '--network',
        'none',
        'busybox',
        'sh',
        '-c',
        `sleep 0.${1 + Math.floor(random() * 6)}; exit ${exitCode}`,
      );
      await sleep(random() * 400);
      await daemon.kill();
      if (random() < 0.5) await sleep(random() * 700);
      const start = performance.now();
      await daemon.start();
      longestStartMs = Math.max(longestStartMs, performance.now() - start);
      for (const client of clients) {
        try {
          process.kill(-client.pid!, 'SIGKILL');
        } catch {
          // it had ended
        }
      }
      for (const [name, pid] of pids) {
        const found = docker('inspect', '-f', '{{.State.Running}} {{.State.Pid}}', name).out.trim();
        if (found !== `true ${pid}`) failures.push(`kill ${kill}: ${name} was running with pid ${pid}, now: ${found}`);
      }
      if (ending.code === 0) {
        const waited = docker('wait', 'ending').out.trim();
        if (waited !== String(exitCode))
          failures.push(
            `kill ${kill}: exit code ${exitCode} became ${JSON.stringify(waited)}: ${docker('inspect', '-f', '{{.Id}} {{json .State}}', 'ending').out}`,
          );
      }
      for (const line of docker('ps', '-a', '--format', '{{.Names}} {{.State}}').out.trim().split('\n')) {
        if (/ (removing|dead)$/.test(line)) failures.push(`kill ${kill}: half-made: ${line}`);
      }
      if (kill % 10 === 0)
        say(`${kill} kills, ${failures.length} failures, longest start ${longestStartMs.toFixed(0)} ms`);
    }

    docker('stop', '-t', '0', 'flood');
    await checkFlood(daemon, failures);
    docker('rm', '-f', ...docker('ps', '-aq').out.trim().split('\n'));
    docker('network', 'prune', '-f');
    docker('volume', 'prune', '-af');
    docker('builder', 'prune', '-af');
    docker('image', 'prune', '-af');
    const containers = docker('ps', '-aq').out.trim();
    if (containers !== '') failures.push(`containers left: ${containers}`);
    await daemon.stop();
  } catch (error) {
    failures.push(`the test itself: ${(error as Error).stack}`);
    await daemon.kill().catch(() => undefined);
  }
  failures.push(...(await leftBehind(daemon)));
  // What the engine itself could not do, for those who look for the cause.
  if (failures.length > 0)
    failures.push(
      ...daemon.log
        .split('\n')
        .filter((line) => /container|task/.test(line))
        .slice(-10),
    );
  rmSync(directory, { recursive: true, force: true });
  return { kills: options.kills, seed: options.seed, operations, longestStartMs: Math.round(longestStartMs), failures };
}

/** What clients do around kill number `kill`, each a script of its own. */
const WORK = (kill: number, directory: string): string[] => [
  `for i in 1 2 3 4; do docker run --rm --name work-${kill}-$i busybox sh -c "echo x; exit 0"; done`,
  `docker create --name made-${kill} busybox true && docker start made-${kill}; docker rm -f made-${kill}`,
  `for i in 1 2 3 4 5; do docker exec quiet sh -c "echo $i >/tmp/f"; done`,
  `docker logs -f --tail 10 flood >/dev/null`,
  `docker load -i ${directory}/image.tar; docker tag busybox tag-${kill}:x; docker rmi tag-${kill}:x`,
  `docker commit quiet commit-${kill}:x; docker rmi commit-${kill}:x`,
];

async function checkFlood(daemon: DaemonProcess, failures: string[]): Promise<void> {
  const child = spawn('docker', ['logs', 'flood'], { env: daemon.clientEnv, stdio: ['ignore', 'pipe', 'ignore'] });
  let expected = 1;
  let rest = '';
  let wrong = 0;
  for await (const chunk of child.stdout) {
    const lines = (rest + String(chunk)).split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      if (line !== `line ${expected} of a flood that nobody may lose`) {
        if (wrong++ < 3) failures.push(`log: expected line ${expected}, got ${JSON.stringify(line.slice(0, 80))}`);
        expected = Number(/^line (\d+) /.exec(line)?.[1] ?? expected);
      }
      expected++;
    }
  }
  // The last line may be cut by the kill of its writer, not by us.
  if (expected < 1000) failures.push(`log: only ${expected} lines of the flood`);
}

/** Numbers in [0, 1) from a seed (mulberry32), so that a failing run can be run again. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 4294967296;
  };
}

if (import.meta.main) {
  const [kills = '200', seed = String(Date.now() % 1_000_000), runtime] = process.argv.slice(2);
  const report = await killEngine({
    kills: Number(kills),
    seed: Number(seed),
    ...(runtime && { runtime }),
    report: console.log,
  });
  console.log(JSON.stringify(report, null, 2));
  process.exitCode = report.failures.length > 0 ? 1 : 0;
}
