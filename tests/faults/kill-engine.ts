/**
 * Kills the engine with SIGKILL at random moments while clients work, starts it again, and checks that nothing was lost
 * and, at the end, that nothing is left. Used by the test suite with few kills and by `npm run test:faults` with many.
 */
import { spawn } from 'node:child_process';
import { createHash, randomInt } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { listNftables } from '../../src/linux/nft.ts';
import { TestRegistry } from '../registry/test-registry.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { leftBehind } from '../support/leak-check.ts';
import { generator } from './random.ts';

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
  /** No more kills once it is aborted: what there is is looked at and removed as at the end. */
  readonly signal?: AbortSignal;
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
  let killed = 0;
  let longestStartMs = 0;
  // not ours to be killed: what is pushed to it and pulled from it
  await using registry = await TestRegistry.open();
  try {
    await daemon.start();
    await daemon.importBusybox();
    const docker = async (...args: string[]): Promise<{ code: number; out: string }> =>
      await run(daemon, 'docker', args);
    prepare(directory);
    await docker(
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
    await docker('run', '-d', '--name', 'quiet', 'busybox', 'sleep', '100000');
    await docker(
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
    await docker('run', '-d', '--name', 'always', '--restart', 'always', '--network', 'none', 'busybox', 'sleep', '3');
    await docker('save', '-o', join(directory, 'image.tar'), 'busybox');
    const pids = new Map<string, string>();
    for (const name of ['flood', 'quiet', 'terminal']) {
      pids.set(name, (await docker('inspect', '-f', '{{.State.Pid}}', name)).out.trim());
    }

    for (let kill = 1; kill <= options.kills && options.signal?.aborted !== true; kill++) {
      // Clients at work: they fail when the engine dies under them, and that is all they may do.
      const work = [...WORK(kill, directory, registry.host)];
      const chosen = Array.from({ length: CLIENTS }, () => work.splice(Math.floor(random() * work.length), 1)[0]!);
      const clients = chosen.map((script) => {
        operations++;
        return spawn('sh', ['-c', script], { env: daemon.clientEnv, stdio: 'ignore', detached: true });
      });
      // A container that ends while nobody watches: its code must be known afterwards.
      await docker('rm', '-f', 'ending');
      const exitCode = 1 + Math.floor(random() * 100);
      const ending = await docker(
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
      killed++;
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
        const found = (await docker('inspect', '-f', '{{.State.Running}} {{.State.Pid}}', name)).out.trim();
        if (found !== `true ${pid}`) failures.push(`kill ${kill}: ${name} was running with pid ${pid}, now: ${found}`);
      }
      if (ending.code === 0) {
        const waited = (await docker('wait', 'ending')).out.trim();
        if (waited !== String(exitCode))
          failures.push(
            `kill ${kill}: exit code ${exitCode} became ${JSON.stringify(waited)}: ${(await docker('inspect', '-f', '{{.Id}} {{json .State}}', 'ending')).out}`,
          );
      }
      const listed = await docker('ps', '-a', '--format', '{{.Names}} {{.State}}');
      for (const line of listed.out.trim().split('\n')) {
        if (/ (removing|dead)$/.test(line)) failures.push(`kill ${kill}: half-made: ${line}`);
      }
      // what dead clients left
      if (kill % 5 === 0) for (const kind of ['network', 'container']) await docker(kind, 'prune', '-f');
      if (kill % 4 === 0) failures.push(...(await killMonitor(daemon, `kill ${kill}`)));
      if (kill % 10 === 0)
        say(`${kill} kills, ${failures.length} failures, longest start ${longestStartMs.toFixed(0)} ms`);
    }

    await docker('stop', '-t', '0', 'flood');
    await checkFlood(daemon, failures);
    await run(daemon, 'sh', ['-c', 'docker ps -aq | xargs docker rm -f']);
    for (const words of [
      ['network', 'prune', '-f'],
      ['volume', 'prune', '-af'],
      ['builder', 'prune', '-af'],
    ]) {
      await docker(...words);
    }
    await run(daemon, 'sh', ['-c', 'docker images -q | sort -u | xargs docker rmi -f']);
    await docker('image', 'prune', '-af');
    for (const [what, words] of [
      ['containers', ['ps', '-aq']],
      ['networks', ['network', 'ls', '-q', '--filter', 'type=custom']],
      ['volumes', ['volume', 'ls', '-q']],
    ] as const) {
      const left = (await docker(...words)).out.trim();
      if (left !== '') failures.push(`${what} left: ${left}`);
    }
    await trashEmptied(daemon);
    await daemon.stop();
  } catch (error) {
    failures.push(`the test itself: ${(error as Error).stack}`);
    await daemon.kill().catch(() => undefined);
  }
  failures.push(...(await leftBehind(daemon)), ...(await leftOnDisk(daemon)));
  // What the engine itself could not do, for those who look for the cause.
  if (failures.length > 0)
    failures.push(
      ...daemon.log
        .split('\n')
        .filter((line) => /container|task/.test(line))
        .slice(-10),
    );
  rmSync(directory, { recursive: true, force: true });
  return { kills: killed, seed: options.seed, operations, longestStartMs: Math.round(longestStartMs), failures };
}

const BASE = randomInt(20);

/** Networks that dead clients leave are not to take up the host's pools, which are for everybody on it. */
function subnet(from: number, kill: number): string {
  return `10.${from + BASE}.${kill % 256}.0/24`;
}

/** How many of them work at a time. */
const CLIENTS = 6;
const GANTRY = new URL('../../gantry', import.meta.url).pathname;

/** What clients do around kill number `kill`, each a script of its own. */
const WORK = (kill: number, directory: string, registry: string): string[] => [
  `for i in 1 2 3 4; do docker run --rm --name work-${kill}-$i busybox sh -c "echo x; exit 0"; done`,
  `docker create --name made-${kill} busybox true && docker start made-${kill}; docker rm -f made-${kill}`,
  `for i in 1 2 3 4 5; do docker exec quiet sh -c "echo $i >/tmp/f"; done`,
  `docker logs -f --tail 10 flood >/dev/null`,
  `docker load -i ${directory}/image.tar; docker tag busybox tag-${kill}:x; docker rmi tag-${kill}:x`,
  `docker commit quiet commit-${kill}:x; docker rmi commit-${kill}:x`,
  `docker build -t built-${kill}:x --build-arg n=${kill} ${directory}/context; docker rmi built-${kill}:x`,
  `docker tag busybox ${registry}/app:${kill}; docker push ${registry}/app:${kill}; docker rmi ${registry}/app:${kill}; docker pull ${registry}/app:${kill}`,
  `docker cp ${directory}/context quiet:/tmp/copied-${kill}; docker cp quiet:/tmp/copied-${kill} - >/dev/null`,
  `docker network create --subnet ${subnet(60, kill)} net-${kill} && docker run --rm --network net-${kill} -p 80 busybox true; docker network connect net-${kill} quiet; docker network disconnect net-${kill} quiet; docker network rm net-${kill}`,
  `docker volume create vol-${kill} && docker run --rm -v vol-${kill}:/v -v vol-${kill}-etc:/etc busybox sh -c "echo x >/v/f"; docker volume rm vol-${kill} vol-${kill}-etc`,
  `export SUBNET=${subnet(80, kill)}; ${GANTRY} compose -p project-${kill} -f ${directory}/compose.yaml up -d; ${GANTRY} compose -p project-${kill} -f ${directory}/compose.yaml down -v`,
];

/** Files that clients use. */
function prepare(directory: string): void {
  mkdirSync(join(directory, 'context'));
  writeFileSync(join(directory, 'context/file'), 'x'.repeat(200_000));
  const lines = ['FROM busybox', 'ARG n', 'COPY file /file', 'RUN echo $n >/n && sleep 0.2', 'CMD ["cat", "/n"]'];
  writeFileSync(join(directory, 'context/Dockerfile'), `${lines.join('\n')}\n`);
  const service = (name: string, more: string): string =>
    `  ${name}:\n    image: busybox\n    command: sleep 1000\n    stop_grace_period: 0s\n${more}`;
  writeFileSync(
    join(directory, 'compose.yaml'),
    `services:\n${service('web', '    depends_on: [db]\n    ports: ["80"]\n')}${service('db', '    volumes: ["data:/data"]\n')}volumes:\n  data: {}\nnetworks:\n  default: {ipam: {config: [{subnet: "\${SUBNET}"}]}}\n`,
  );
}

/** A program as a client of the engine. Never rejects. */
async function run(
  daemon: DaemonProcess,
  program: string,
  args: readonly string[],
): Promise<{ code: number; out: string }> {
  const child = spawn(program, args, { env: daemon.clientEnv, stdio: ['ignore', 'pipe', 'ignore'] });
  const timer = setTimeout(() => child.kill('SIGKILL'), 60_000);
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (data: string) => (out += data));
  const code = await new Promise<number>((resolve) => child.once('close', (status) => resolve(status ?? 137)));
  clearTimeout(timer);
  return { code, out };
}

/** A monitor's death may cost its own container, and nobody else anything: that one can be removed, and its name be used again. */
async function killMonitor(daemon: DaemonProcess, when: string): Promise<string[]> {
  const { code, out } = await run(daemon, 'docker', ['run', '-d', '--name', 'victim', 'busybox', 'sleep', '1000']);
  if (code !== 0) return [`${when}: the container for a monitor's death did not start`];
  const monitor = readdirSync('/proc').find((pid) => {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
      return words[0] === 'conmon' && words.includes(`--cid=${out.trim()}`);
    } catch {
      return false;
    }
  });
  if (monitor === undefined) return [`${when}: no monitor of ${out.trim()}`];
  process.kill(Number(monitor), 'SIGKILL');
  const removed = await run(daemon, 'docker', ['rm', '-f', 'victim']);
  return removed.code === 0 ? [] : [`${when}: a container whose monitor was killed cannot be removed`];
}

/** Layers are taken apart in the background; an engine that is stopped leaves the rest to the next one. */
async function trashEmptied({ directory }: DaemonProcess): Promise<void> {
  const trash = join(directory, 'data/snapshots/trash');
  for (let tries = 0; tries < 600 && existsSync(trash) && readdirSync(trash).length > 0; tries++) await sleep(100);
}

/** What the data root and the host's rules have of things that are all removed. */
async function leftOnDisk({ directory }: DaemonProcess): Promise<string[]> {
  const data = join(directory, 'data');
  const found = ['volumes', 'snapshots', 'snapshots/trash', 'blobs/sha256'].flatMap((name) => {
    const path = join(data, name);
    const entries = existsSync(path) ? readdirSync(path) : [];
    // what snapshots are kept in, and the mount points that every container has
    return entries
      .filter((entry) => !['trash', 'scaffolds'].includes(entry))
      .map((entry) => `left in ${path}: ${entry}`);
  });
  const table = `gantry_${createHash('sha256').update(data).digest('hex').slice(0, 8)}`;
  if ((await listNftables()).includes(`table inet ${table} `)) found.push(`the table ${table}`);
  return found;
}

/** Bytes of output that are kept at least once the oldest of three files of a GiB is dropped: records are larger than their lines. */
const KEPT_OUTPUT = 2 ** 30;

async function checkFlood(daemon: DaemonProcess, failures: string[]): Promise<void> {
  const child = spawn('docker', ['logs', 'flood'], { env: daemon.clientEnv, stdio: ['ignore', 'pipe', 'ignore'] });
  let first: number | undefined;
  let expected = 1;
  let bytes = 0;
  let rest = '';
  let wrong = 0;
  for await (const chunk of child.stdout) {
    const lines = (rest + String(chunk)).split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      bytes += line.length + 1;
      first ??= expected = Number(/^line (\d+) /.exec(line)?.[1] ?? 1);
      if (line !== `line ${expected} of a flood that nobody may lose`) {
        if (wrong++ < 3) failures.push(`log: expected line ${expected}, got ${JSON.stringify(line.slice(0, 80))}`);
        expected = Number(/^line (\d+) /.exec(line)?.[1] ?? expected);
      }
      expected++;
    }
  }
  // The oldest of very many were rotated away.
  if (first !== undefined && first > 1 && bytes < KEPT_OUTPUT) failures.push(`log: it begins with line ${first}`);
  // The last line may be cut by the kill of its writer, not by us.
  if (expected < 1000) failures.push(`log: only ${expected} lines of the flood`);
}
