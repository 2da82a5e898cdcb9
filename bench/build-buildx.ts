/**
 * Builds by buildx, which is a client of its own, against other engines in one run on this machine:
 *
 *     DOCKER_CONFIG=… node bench/build-buildx.ts gantry=unix:///run/gantry/gantry.sock docker28=unix:///run/docker28.sock
 *
 * Each engine must hold the image `busybox`; DOCKER_CONFIG names a directory whose config.json has the folder of the
 * buildx plugin in `cliPluginsExtraDirs`. BENCH=part,part picks items by name.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { APP, makeContext, manyFiles } from './build-context.ts';
import { compare, type Item, type Peer, readPeers, timed } from './measure.ts';

const peers = readPeers(process.argv.slice(2));
if (peers.length === 0) throw new Error('usage: node bench/build-buildx.ts gantry=HOST [docker=HOST …]');
const root = mkdtempSync(join(tmpdir(), 'gantry-bench-buildx-'));
const AT_ONCE = 20;
const context = (name: string, dockerfile: string): string => makeContext(join(root, name), dockerfile);

function build(peer: Peer, directory: string, more = ''): Promise<number> {
  // Each engine has a store of the client's own, as on two machines.
  const store = join(root, `buildx-${peer.name}`);
  return timed(peer, `BUILDX_CONFIG=${store} docker buildx build -q -t bench-buildx ${more} ${directory} >/dev/null`);
}

const app = context('app', APP);
const many = context('many', 'FROM busybox\nCOPY . /data\n');
manyFiles(many);
const crowd = Array.from({ length: AT_ONCE }, (_, n) => context(`crowd-${n}`, `${APP}LABEL n=${n}\n`));
let change = 0;

const items: Item[] = [
  { name: 'buildx: without cache', goal: 0.6, rounds: 7, run: (peer) => build(peer, app, '--no-cache') },
  {
    name: 'buildx: unchanged',
    goal: 0.8,
    rounds: 15,
    before: async (peer) => void (await build(peer, app)),
    run: (peer) => build(peer, app),
  },
  {
    name: 'buildx: one file changed',
    goal: 0.6,
    rounds: 9,
    run: (peer) => {
      writeFileSync(join(app, 'src', '3.js'), `// ${peer.name} ${change++}\n`);
      return build(peer, app);
    },
  },
  {
    name: 'buildx: 10,000 files unchanged',
    goal: 0.8,
    rounds: 7,
    before: async (peer) => void (await build(peer, many)),
    run: (peer) => build(peer, many),
  },
  {
    name: `buildx: ${AT_ONCE} builds at once`,
    goal: 0.7,
    rounds: 3,
    run: async (peer) => {
      const start = performance.now();
      const round = change++;
      await Promise.all(
        crowd.map((directory, n) => build(peer, directory, `--build-arg N=${n} --label r=${round} --no-cache`)),
      );
      return performance.now() - start;
    },
  },
];

const wanted = process.env['BENCH']?.split(',');
try {
  await compare(
    peers,
    items.filter((item) => !wanted || wanted.some((part) => item.name.includes(part))),
    peers.find((peer) => peer.name.startsWith('gantry'))?.name ?? '',
  );
} finally {
  rmSync(root, { recursive: true, force: true });
}
