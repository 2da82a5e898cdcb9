/**
 * Builds against other engines, in one run on this machine:
 *
 *     node bench/build.ts gantry=unix:///run/gantry/gantry.sock docker28=unix:///run/docker28.sock …
 *
 * Each engine must hold the image `busybox`. Ours is spoken to by our own CLI, the others by docker with BuildKit
 * (DOCKER_CONFIG may name a buildx plugin); buildah is measured too where it is installed. The rows `classic` go through docker's classic builder for all.
 * BENCH=part,part picks items by name; SIZE=MiB is the large file's (1024).
 */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { listClientTree } from '../src/cli/archive/client-tree.ts';
import { sendBuild } from '../src/cli/archive/send-build.ts';
import { Client, parseEndpoint } from '../src/client/index.ts';
import { APP, makeContext, manyFiles } from './build-context.ts';
import { compare, type Item, median, ownEnginePid, type Peer, readPeers, record, timed } from './measure.ts';
import { SwallowingEngine } from './swallow.ts';

const engines = readPeers(process.argv.slice(2));
if (engines.length === 0) throw new Error('usage: node bench/build.ts gantry=HOST [docker=HOST …]');
const root = mkdtempSync(join(tmpdir(), 'gantry-bench-build-'));
const gantry = new URL('../gantry', import.meta.url).pathname;
const peers = [...engines, ...buildah(engines[0]!)];
const size = Number(process.env['SIZE'] ?? 1024);

const context = (name: string, dockerfile: string): string => makeContext(join(root, name), dockerfile);

const STAGES = `FROM busybox AS one
ARG N
RUN sleep 3; echo 1 $N > /one
FROM busybox AS two
ARG N
RUN sleep 3; echo 2 $N > /two
FROM busybox
COPY --from=one /one /
COPY --from=two /two /
`;

function largeFile(path: string): void {
  const file = openSync(path, 'w');
  const block = randomBytes(1 << 20);
  for (let i = 0; i < size; i++) {
    block.writeUInt32LE(i, 0);
    writeSync(file, block);
  }
  closeSync(file);
}

/** buildah, where it is installed: no engine, but a store of its own with the same image; for steps of RUN it has runc. */
function buildah(from: Peer): Peer[] {
  if (spawnSync('buildah', ['--version'], { stdio: 'ignore' }).status !== 0) return [];
  const store = join(root, 'buildah');
  const image = join(root, 'busybox.tar');
  const policy = join(root, 'policy.json');
  writeFileSync(policy, JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] }));
  const host = `buildah --root ${store} --runroot ${store}-run --storage-driver overlay`;
  const pull = `docker save -o ${image} busybox && ${host} pull -q --signature-policy ${policy} docker-archive:${image}`;
  const { status } = spawnSync('sh', ['-c', pull], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, DOCKER_HOST: from.host },
  });
  return status === 0 ? [{ name: 'buildah', host }] : [];
}

/** A build by the peer's own door. */
function build(peer: Peer, directory: string, more = ''): Promise<number> {
  if (peer.name.startsWith('gantry'))
    return timed(peer, `GANTRY_HOST=${peer.host} ${gantry} build -q -t bench-build ${more} ${directory} >/dev/null`);
  if (peer.name === 'buildah') {
    const how = `--layers --pull-never --isolation oci --runtime runc --signature-policy ${join(root, 'policy.json')}`;
    return timed(peer, `${peer.host} build -q ${how} -t bench-build ${more} ${directory} >/dev/null`);
  }
  return timed(peer, `DOCKER_BUILDKIT=1 docker build -q -t bench-build ${more} ${directory} >/dev/null`);
}

function classic(peer: Peer, directory: string, more = ''): Promise<number> {
  return timed(peer, `DOCKER_BUILDKIT=0 docker build -q -t bench-build ${more} ${directory} >/dev/null 2>&1`);
}

/** What the engine needs of it: asked for by a client that runs already. Of others, the whole command. */
async function inEngine(peer: Peer, directory: string): Promise<number> {
  if (!peer.name.startsWith('gantry')) return build(peer, directory);
  const client = new Client({ endpoint: parseEndpoint(peer.host) });
  const tree = listClientTree(directory, { excluded: () => false, enter: () => false, variant: '' });
  const start = performance.now();
  const messages = sendBuild(client, {
    query: { t: ['bench-build'], q: true },
    context: { dockerfile: 'Dockerfile', tree, folder: directory },
    answers: { secret: async () => undefined, sshAgent: async () => undefined },
    secrets: [],
    ssh: [],
    compress: false,
    sending: () => {},
    registryConfig: undefined,
    signal: new AbortController().signal,
  });
  try {
    for await (const message of messages) if (message.error !== undefined) throw new Error(message.error);
    return performance.now() - start;
  } finally {
    client.close();
  }
}

/** The three rows of an app, by one door. */
function app(door: typeof build, prefix: string, goals: readonly [number, number, number]): Item[] {
  const directory = context(`app${prefix === '' ? '' : '-classic'}`, APP);
  let n = 0;
  return [
    {
      name: `${prefix}app without cache`,
      goal: goals[0],
      rounds: 7,
      run: (peer) => door(peer, directory, '--no-cache'),
    },
    {
      name: `${prefix}app unchanged`,
      goal: goals[1],
      rounds: 15,
      before: async (peer) => void (await door(peer, directory)),
      run: (peer) => door(peer, directory),
    },
    {
      name: `${prefix}app, one source file changed`,
      goal: goals[2],
      rounds: 9,
      run: (peer) => {
        writeFileSync(join(directory, 'src', '3.js'), `// ${peer.name} ${n++}\n`);
        return door(peer, directory);
      },
    },
  ];
}

/** A directory of its own for each build that must be cold: nobody knows its files. */
function cold(
  door: typeof build,
  name: string,
  fill: (directory: string, n: number) => void,
): (peer: Peer) => Promise<number> {
  let n = 0;
  return async (peer) => {
    const directory = context(`${name}-${peer.name}-${n++}`, `FROM busybox\nCOPY . /data\nLABEL n=${n}\n`);
    fill(directory, n);
    try {
      return await door(peer, directory);
    } finally {
      rmSync(directory, { recursive: true });
    }
  };
}

function unchanged(door: typeof build, name: string, fill: (directory: string) => void): Pick<Item, 'before' | 'run'> {
  let directory = '';
  return {
    before: async (peer) => {
      if (directory === '') {
        directory = context(`${name}-unchanged`, 'FROM busybox\nCOPY . /data\n');
        fill(directory);
      }
      await door(peer, directory);
    },
    run: (peer) => door(peer, directory),
  };
}

let stage = 0;
/** buildah has one door. */
const withClassic = engines.map(({ name }) => name);
const fillLarge = (directory: string): void => largeFile(join(directory, 'large'));
const items: Item[] = [
  ...app(build, '', [0.5, 1, 0.5]),
  (() => {
    const directory = context('app-engine', APP);
    return {
      name: 'app unchanged, in the engine',
      goal: 0.4,
      rounds: 15,
      before: async (peer: Peer) => void (await inEngine(peer, directory)),
      run: (peer: Peer) => inEngine(peer, directory),
    };
  })(),
  {
    name: 'two stages of 3 s (goal 3.2 s)',
    rounds: 2,
    run: (peer) => build(peer, context('stages', STAGES), `--build-arg N=${peer.name}${process.pid}${stage++}`),
  },
  { name: '10,000 files cold', goal: 0.6, rounds: 3, run: cold(build, 'many', manyFiles) },
  { name: '10,000 files unchanged', goal: 0.6, rounds: 5, ...unchanged(build, 'many', manyFiles) },
  { name: `${size} MiB cold`, goal: 0.7, rounds: 2, run: cold(build, 'large', fillLarge) },
  { name: `${size} MiB unchanged`, goal: 1, rounds: 5, ...unchanged(build, 'large', fillLarge) },
  ...app(classic, 'classic: ', [0.4, 0.4, 0.4]),
  { name: 'classic: 10,000 files cold', goal: 0.4, rounds: 1, run: cold(classic, 'manyc', manyFiles) },
  { name: 'classic: 10,000 files unchanged', goal: 0.4, rounds: 2, ...unchanged(classic, 'manyc', manyFiles) },
  { name: `classic: ${size} MiB cold`, goal: 0.4, rounds: 1, run: cold(classic, 'largec', fillLarge) },
  { name: `classic: ${size} MiB unchanged`, goal: 0.4, rounds: 1, ...unchanged(classic, 'largec', fillLarge) },
];

const wanted = process.env['BENCH']?.split(',');
try {
  await compare(
    peers,
    items
      .filter((item) => !wanted || wanted.some((part) => item.name.includes(part)))
      .map((item) => (item.name.startsWith('classic') ? { ...item, only: withClassic } : item)),
    peers.find((peer) => peer.name.startsWith('gantry'))?.name ?? '',
  );
  await clientAlone();
  await growth();
} finally {
  rmSync(root, { recursive: true, force: true });
}

/** What docker itself needs for a classic build of each context: it sends all of it each time, whoever takes it. */
async function clientAlone(): Promise<void> {
  const contexts: [name: string, fill: (directory: string) => void, rounds: number][] = [
    ['app', () => {}, 15],
    ['10,000 files', manyFiles, 3],
    [`${size} MiB`, fillLarge, 3],
  ];
  await using engine = new SwallowingEngine();
  const socket = join(root, 'swallow.sock');
  await engine.listen(socket);
  const peer = { name: 'client', host: `unix://${socket}` };
  for (const [name, fill, rounds] of contexts) {
    const row = `classic: ${name}, the client alone`;
    if (wanted && !wanted.some((part) => row.includes(part))) continue;
    const directory = context('alone', APP);
    fill(directory);
    await classic(peer, directory);
    const times: number[] = [];
    for (let round = 0; round < rounds; round++) times.push(await classic(peer, directory));
    rmSync(directory, { recursive: true });
    record({ name: row, unit: 'ms', values: { [peer.name]: median(times) }, ours: 'gantry' });
  }
}

/** What a large file costs our engine in memory: the most that it ever had, before a cold build of it and after. */
async function growth(): Promise<void> {
  const pid = ownEnginePid();
  const ours = engines.find((peer) => peer.name.startsWith('gantry'));
  if (!pid || !ours || (wanted && !wanted.some((part) => 'memory'.includes(part)))) return;
  const most = (): number => Number(/^VmHWM:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;
  writeFileSync(`/proc/${pid}/clear_refs`, '5'); // from here on
  const before = most();
  await cold(build, 'memory', fillLarge)(ours);
  const values = { gantry: most() - before };
  record({ name: `engine's memory for ${size} MiB`, unit: 'MiB', values, ours: 'gantry', limit: 100 });
}
