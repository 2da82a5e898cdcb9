/**
 * Projects against Docker's Compose, the same files on both, in one run:
 *
 *     node bench/compose.ts gantry=unix:///run/gantry/gantry.sock docker=unix:///run/docker28.sock …
 *
 * DOCKER_COMPOSE names the other programs, separated by commas (`docker-compose` of 1.29, the plugin of 2.40); each runs
 * against every engine that is not ours. Our program is this checkout's bundle under the launcher that packages have: a
 * checkout's own looks at every source file first. GANTRY names another. The engines must hold the image `busybox`.
 */
import { spawn } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compare, type Item, type Peer, readPeers, timed } from './measure.ts';

const directory = mkdtempSync(join(tmpdir(), 'gantry-bench-'));
process.on('exit', () => rmSync(directory, { recursive: true, force: true }));

const gantry = process.env['GANTRY'] ?? installed(join(directory, 'installed'));

/** As packages lay it out: the launcher beside the bundle and the node that made it. */
function installed(at: string): string {
  const checkout = new URL('..', import.meta.url).pathname;
  mkdirSync(at);
  copyFileSync(join(checkout, 'tools/launcher-packaged.sh'), join(at, 'gantry'));
  chmodSync(join(at, 'gantry'), 0o755);
  symlinkSync(realpathSync(join(checkout, 'dist')), join(at, 'dist'));
  symlinkSync(realpathSync(join(checkout, '.gantry/node')), join(at, 'node'));
  return join(at, 'gantry');
}

const programs = (process.env['DOCKER_COMPOSE'] ?? 'docker-compose').split(',');
const commands = new Map<string, string>();
const peers: Peer[] = [];
for (const peer of readPeers(process.argv.slice(2))) {
  if (peer.name === 'gantry') {
    peers.push(peer);
    commands.set(peer.name, `GANTRY_HOST=${peer.host} ${gantry} compose`);
  } else
    for (const [i, program] of programs.entries()) {
      const name = programs.length === 1 ? peer.name : `${peer.name}/${i + 1}`;
      peers.push({ name, host: peer.host });
      commands.set(name, program);
    }
}
if (peers.length === 0) throw new Error('usage: node bench/compose.ts gantry=HOST [docker=HOST …]');

const sleeper = `command: ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]`;
function project(name: string, services: readonly string[]): string {
  const file = join(directory, `${name}.yaml`);
  // 1.29 wants a version.
  writeFileSync(file, `version: "3.8"\nservices:\n${services.join('\n')}\nvolumes: {data: {}}\n`);
  return `-f ${file} -p ${name}${process.pid}PEER`;
}
const five = project('five', [
  `  db: {image: busybox, ${sleeper}, volumes: ["data:/data"]}`,
  `  cache: {image: busybox, ${sleeper}}`,
  `  queue: {image: busybox, ${sleeper}}`,
  `  app: {image: busybox, ${sleeper}, depends_on: [db, cache, queue], environment: {A: "1"}}`,
  `  web: {image: busybox, ${sleeper}, depends_on: [app], ports: ["127.0.0.1::80"]}`,
]);
const fifty = project(
  'fifty',
  Array.from({ length: 50 }, (_, i) => `  s${i}: {image: busybox, ${sleeper}}`),
);

/** Each peer has a project of its own: two programs may share an engine. */
const compose = (peer: Peer, line: string): Promise<number> =>
  timed(peer, `${commands.get(peer.name)!} ${line.replace('PEER', `x${peers.indexOf(peer)}`)} 2>/dev/null`);

const items: Item[] = [
  {
    name: 'up -d of five services',
    goal: 0.4,
    rounds: 5,
    run: async (peer) => {
      const time = await compose(peer, `${five} up -d`);
      await compose(peer, `${five} down -t 5`);
      return time;
    },
  },
  {
    name: 'down of five services',
    goal: 0.4,
    rounds: 5,
    run: async (peer) => {
      await compose(peer, `${five} up -d`);
      return compose(peer, `${five} down -t 5`);
    },
  },
  {
    name: 'up -d where nothing changed',
    goal: 0.7,
    rounds: 9,
    before: async (peer) => void (await compose(peer, `${five} up -d`)),
    run: (peer) => compose(peer, `${five} up -d`),
    after: async (peer) => void (await compose(peer, `${five} down -t 5`)),
  },
  {
    name: 'up -d of fifty services (goal: 15 s)',
    rounds: 1,
    run: async (peer) => {
      const time = await compose(peer, `${fifty} up -d`);
      await compose(peer, `${fifty} down -t 5`);
      return time;
    },
  },
  { name: 'an edit is in the container (goal: 300 ms)', rounds: 9, only: ['gantry'], run: edit },
];

/** From the write of a file to its being seen in the container, by a watch that runs already. */
async function edit(peer: Peer): Promise<number> {
  const name = `watch${process.pid}`;
  const file = join(directory, 'watch.yaml');
  const source = join(directory, 'edited');
  const seen = join(directory, 'out', 'seen');
  mkdirSync(join(directory, 'out'), { recursive: true });
  rmSync(seen, { force: true });
  writeFileSync(source, 'before');
  const script =
    "trap 'exit 0' TERM; while ! grep -q after /edited 2>/dev/null; do sleep 0.005; done; touch /out/seen; while :; do sleep 0.1; done";
  writeFileSync(
    file,
    `services:\n  a:\n    image: busybox\n    command: ["sh", "-c", "${script}"]\n    volumes: ["./out:/out"]\n    develop: {watch: [{path: ./edited, action: sync, target: /edited, initial_sync: true}]}\n`,
  );
  const watch = spawn(gantry, ['compose', '-f', file, '-p', name, 'watch'], {
    env: { ...process.env, GANTRY_HOST: peer.host },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    await new Promise<void>((resolve, reject) => {
      watch.stdout.on('data', (data: Buffer) => data.toString().includes('Watch enabled') && resolve());
      watch.once('exit', () => reject(new Error('the watch ended')));
    });
    const begin = performance.now();
    writeFileSync(source, 'after');
    while (!existsSync(seen)) {
      if (performance.now() - begin > 30_000) throw new Error('the edit never came');
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return performance.now() - begin;
  } finally {
    watch.kill('SIGTERM');
    await compose(peer, `-f ${file} -p ${name} down -t 5`);
  }
}

const wanted = process.env['BENCH']?.split(',');
await compare(
  peers,
  items.filter((item) => !wanted || wanted.some((part) => item.name.includes(part))),
  'gantry',
);
