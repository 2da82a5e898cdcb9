/**
 * Push and pull against other engines, in one run on this machine, with a docker-registry between:
 *
 *     node bench/transfer.ts gantry=unix:///run/gantry/gantry.sock docker28=unix:///run/docker28.sock …
 *
 * Two images are made of this machine's own files on each engine: six layers of some 95 MB compressed, and one layer of
 * 1 GiB; anew for each round, so that nothing of an earlier push is kept. The docker CLI is the client for all; skopeo,
 * where it is there, copies the same image out of the registry and back into it. BENCH=part,part picks items by name;
 * `--skip-large` leaves the 1 GiB out. Where BENCH_ENGINE_PID names the file with the first engine's process id, or with
 * `--memory=PID`, that also pushes and pulls a layer of 4 GiB (or `--memory-gib=N`) that does not compress, and the most memory
 * that it had is recorded (all that is resident; how much of that are pages of node and of libraries, which processes
 * share, is printed). Each network namespace with an engine gets a registry of its own, at the same address.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compare, type Item, ownEnginePid, type Peer, readPeers, record, timed } from './measure.ts';

const words = process.argv.slice(2);
const peers = readPeers(words.filter((word) => !word.startsWith('--')));
if (peers.length === 0) throw new Error('usage: node bench/transfer.ts gantry=HOST [docker=HOST …]');
const PORT = 5990;
const REGISTRY = `127.0.0.1:${PORT}`;
const MIB = 1 << 20;
/** Uncompressed; some 95 MB of gzip together. */
const LAYERS = [150, 40, 8, 45, 1, 1].map((size) => size * MIB);
const ours = peers[0]!.name;

const root = mkdtempSync(join(tmpdir(), 'gantry-bench-transfer-'));
const registries: ReturnType<typeof spawn>[] = [];
let round = 0;

/** A context with a file of this machine's programs for each layer. */
function makeContext(name: string, sizes: readonly number[]): string {
  const context = join(root, name);
  mkdirSync(context);
  let skip = 0;
  for (const [index, size] of sizes.entries()) {
    execFileSync('sh', [
      '-c',
      `(cd / && tar -c usr/lib usr/share usr/bin usr/lib 2>/dev/null) | tail -c +${skip + 1} | head -c ${size} > ${context}/f${index}`,
    ]);
    if (statSync(join(context, `f${index}`)).size < size) throw new Error('this machine has too few files in /usr');
    skip += size;
  }
  const copies = sizes.map((_, index) => `COPY f${index} n /layer${index}/`).join('\n');
  writeFileSync(join(context, 'Dockerfile'), `FROM scratch\n${copies}\nCMD ["x"]\n`);
  return context;
}

async function build(peer: Peer, name: string): Promise<void> {
  writeFileSync(join(root, name, 'n'), `${peer.name} ${round++}`);
  await timed(peer, `DOCKER_BUILDKIT=0 docker build -q -t ${REGISTRY}/${peer.name}/${name} ${join(root, name)}`);
}

async function startRegistries(): Promise<void> {
  const places = new Map(peers.map(({ pidFile }) => [pidFile ?? '', pidFile]));
  for (const [index, pidFile] of [...places.values()].entries()) {
    const config = join(root, `registry-${index}.yml`);
    writeFileSync(
      config,
      `version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: ${root}/registry-${index}}, delete: {enabled: true}}\nhttp: {addr: ${REGISTRY}}\n`,
    );
    const inside = pidFile === undefined ? [] : ['nsenter', '-t', readFileSync(pidFile, 'utf8').trim(), '-n'];
    const serve = [...inside, 'docker-registry', 'serve', config];
    registries.push(spawn(serve[0]!, serve.slice(1), { stdio: 'ignore' }).once('error', () => {}));
    const ask = [...inside, 'curl', '-sf', `http://${REGISTRY}/v2/`];
    for (let tries = 0; spawnSync(ask[0]!, ask.slice(1)).status !== 0; tries++) {
      if (tries === 200) throw new Error('docker-registry does not start: is it installed?');
      await sleep(50);
    }
  }
}

/** Items for one image. */
function items(name: string, label: string, rounds: number): Item[] {
  const image = (peer: Peer): string => `${REGISTRY}/${peer.name}/${name}`;
  return [
    {
      name: `push ${label}, built here`,
      goal: 0.35,
      rounds,
      run: async (peer) => {
        await build(peer, name);
        return timed(peer, `docker push -q ${image(peer)}`);
      },
    },
    {
      name: `push ${label} again`,
      rounds,
      run: (peer) => timed(peer, `docker push -q ${image(peer)}`),
    },
    {
      name: `pull ${label}`,
      goal: 0.6,
      rounds,
      run: async (peer) => {
        await timed(peer, `docker rmi -f ${image(peer)}; docker builder prune -af`, { ignoreFailure: true });
        return timed(peer, `docker pull -q ${image(peer)}`);
      },
    },
    {
      name: `push ${label}, pulled before, to a new repository`,
      rounds,
      run: async (peer) => {
        const target = `${REGISTRY}/${peer.name}-${round++}/${name}`;
        await timed(peer, `docker tag ${image(peer)} ${target}`);
        const time = await timed(peer, `docker push -q ${target}`);
        await timed(peer, `docker rmi ${target}`);
        return time;
      },
      after: async (peer) => void (await timed(peer, `docker rmi -f ${image(peer)}`)),
    },
  ];
}

function skopeo(name: string): void {
  if (spawnSync('skopeo', ['--version']).status !== 0) return;
  const copy = (from: string, to: string): number => {
    const start = performance.now();
    execFileSync('skopeo', ['copy', '--src-tls-verify=false', '--dest-tls-verify=false', from, to], {
      stdio: 'ignore',
    });
    return performance.now() - start;
  };
  const pull = copy(`docker://${REGISTRY}/${ours}/${name}:latest`, `dir:${root}/${name}-copy`);
  const push = copy(`dir:${root}/${name}-copy`, `docker://${REGISTRY}/skopeo/${name}:latest`);
  console.log(`skopeo ${name}: to a directory, not unpacked, ${pull.toFixed(0)} ms; from there ${push.toFixed(0)} ms`);
}

/** Most that is aimed at, in MiB. */
const MEMORY_LIMIT = 150;

interface Memory {
  /** MiB, all that is resident. */
  readonly peak: number;
  /** MiB of it that are pages of files. */
  readonly files: number;
}

/** Most resident memory of a process since the last call. */
function peakMemory(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
  const [peak = NaN, files = NaN] = ['VmHWM', 'RssFile'].map(
    (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)![1]) / 1024,
  );
  return { peak, files };
}

async function measureMemory(peer: Peer, pid: number, gib: number): Promise<void> {
  const context = join(root, 'huge');
  mkdirSync(context);
  execFileSync('sh', [
    '-c',
    `head -c ${gib * 1024 * MIB} /dev/zero | openssl enc -aes-128-ctr -nosalt -K 00112233445566778899aabbccddeeff -iv 00 >${context}/f0 2>/dev/null`,
  ]);
  writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\nCOPY f0 n /\nCMD ["x"]\n');
  const image = `${REGISTRY}/${peer.name}/huge`;
  await build(peer, 'huge');
  rmSync(join(context, 'f0'));
  // Until threads that have nothing to do end, and what they took is given back.
  await sleep(15_000);
  peakMemory(pid);
  const idle = peakMemory(pid);
  await timed(peer, `docker push -q ${image}`);
  const push = peakMemory(pid);
  await timed(peer, `docker rmi -f ${image}; docker builder prune -af`);
  await sleep(15_000);
  peakMemory(pid);
  await timed(peer, `docker pull -q ${image}`);
  const pull = peakMemory(pid);
  await timed(peer, `docker rmi -f ${image}`);
  for (const [work, { peak, files }] of Object.entries({ push, pull })) {
    record({
      name: `most memory in a ${work} of a layer of ${gib} GiB`,
      unit: 'MiB',
      values: { [peer.name]: peak },
      ours: peer.name,
      limit: MEMORY_LIMIT,
    });
    console.log(`  ${files.toFixed(0)} MiB of it are files'; ${idle.peak.toFixed(0)} MiB before`);
  }
}

const value = (flag: string): string | undefined => words.find((word) => word.startsWith(`--${flag}=`))?.split('=')[1];
const wanted = process.env['BENCH']?.split(',');
const pick = (item: Item): boolean => !wanted || wanted.some((part) => item.name.includes(part));
try {
  await startRegistries();
  makeContext('six', LAYERS);
  await compare(peers, items('six', 'six layers', 3).filter(pick), ours);
  if (!wanted) skopeo('six');
  if (!words.includes('--skip-large')) {
    makeContext('large', [1024 * MIB]);
    await compare(peers, items('large', '1 GiB', 2).filter(pick), ours);
    if (!wanted) skopeo('large');
  }
  const pid = Number(value('memory')) || ownEnginePid();
  const wantsMemory = value('memory') !== undefined || !wanted || wanted.some((part) => 'memory'.includes(part));
  if (pid !== undefined && wantsMemory) await measureMemory(peers[0]!, pid, Number(value('memory-gib') ?? 4));
} finally {
  for (const registry of registries) registry.kill('SIGKILL');
  rmSync(root, { recursive: true, force: true });
}
