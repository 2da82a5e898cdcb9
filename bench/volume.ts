/**
 * Volumes against other engines, in one run on this machine:
 *
 *     node bench/volume.ts gantry=unix:///run/gantry/gantry.sock docker28=unix:///run/docker28.sock …
 *
 * The docker CLI is the client for all; each engine must hold the image `busybox`. An image of 20,000 files is made, and
 * removed at the end.
 * BENCH=part,part picks items by name.
 */
import { compare, type Item, type Peer, readPeers, timed } from './measure.ts';

const peers = readPeers(process.argv.slice(2));
if (peers.length === 0) throw new Error('usage: node bench/volume.ts gantry=HOST [docker=HOST …]');
const N = `bench-volume-${process.pid}`;
const FILES = 20_000;

/** 100 directories of 200 files of 1 KiB each. */
const MAKE_FILES =
  'mkdir /files; cd /files; for d in $(seq 100); do mkdir $d; for f in $(seq 200); do head -c 1024 /dev/urandom > $d/$f; done; done';

const script = (words: string): ((peer: Peer) => Promise<number>) => {
  return (peer) => timed(peer, words);
};

const items: Item[] = [
  {
    name: `run with a new volume over ${FILES} files`,
    goal: 0.7,
    rounds: 5,
    run: async (peer) => {
      const time = await timed(peer, `docker run --rm --network none -v ${N}:/files ${N} true`);
      await timed(peer, `docker volume rm ${N}`);
      return time;
    },
  },
  {
    name: 'run with that volume, filled',
    rounds: 9,
    before: async (peer) => void (await timed(peer, `docker run --rm --network none -v ${N}:/files ${N} true`)),
    run: script(`docker run --rm --network none -v ${N}:/files ${N} true`),
    after: async (peer) => void (await timed(peer, `docker volume rm ${N}`)),
  },
  {
    name: 'run with an anonymous volume, removed again',
    rounds: 9,
    run: script('docker run --rm --network none -v /anon busybox true'),
  },
  { name: 'volume create and rm', rounds: 9, run: script(`docker volume create ${N}; docker volume rm ${N}`) },
  {
    name: `volume rm of ${FILES} files`,
    rounds: 2,
    run: async (peer) => {
      await timed(peer, `docker run --rm --network none -v ${N}:/files ${N} true`);
      return timed(peer, `docker volume rm ${N}`);
    },
  },
];

for (const peer of peers) {
  await timed(
    peer,
    `docker run --name ${N} --network none busybox sh -c '${MAKE_FILES}' && docker commit ${N} ${N} && docker rm ${N}`,
  );
}
try {
  const only = process.env['BENCH']?.split(',');
  await compare(
    peers,
    items.filter((item) => !only || only.some((part) => item.name.includes(part))),
    'gantry',
  );
} finally {
  for (const peer of peers) await timed(peer, `docker rmi ${N}`);
}
