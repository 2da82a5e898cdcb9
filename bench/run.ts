/**
 * Containers against other engines, in one run on this machine:
 *
 *     node bench/run.ts gantry=unix:///run/gantry/gantry.sock docker28=unix:///run/docker28.sock …
 *
 * The docker CLI is the client for all; each engine must hold the image `busybox`. BENCH=part,part picks items by name.
 */
import { readFileSync } from 'node:fs';
import { type Item, compare, output, ownEnginePid, readPeers, timed } from './measure.ts';

const peers = readPeers(process.argv.slice(2));
if (peers.length === 0) throw new Error('usage: node bench/run.ts gantry=HOST [docker=HOST …]');
const N = `bench${process.pid}`;
const gantry = new URL('../gantry', import.meta.url).pathname;

const remove = (pattern: string): string =>
  `ids=$(docker ps -aq --filter name=${pattern}); [ -z "$ids" ] || docker rm -f $ids`;

const items: Item[] = [
  {
    name: 'run --rm --network none',
    goal: 0.25,
    rounds: 15,
    run: (peer) => timed(peer, 'docker run --rm --network none busybox true'),
  },
  { name: 'run --rm (bridge)', goal: 0.25, rounds: 15, run: (peer) => timed(peer, 'docker run --rm busybox true') },
  {
    name: 'run --rm -p',
    goal: 0.25,
    rounds: 9,
    run: (peer) => timed(peer, 'docker run --rm -p 18980:80 busybox true'),
  },
  {
    name: 'run --rm --network host',
    rounds: 9,
    run: (peer) => timed(peer, 'docker run --rm --network host busybox true'),
  },
  {
    name: '20 x run --rm in parallel (bridge)',
    goal: 0.25,
    rounds: 3,
    run: (peer) => timed(peer, 'for i in $(seq 20); do docker run --rm busybox true & done; wait'),
  },
  {
    name: '100 x run --rm at once (none)',
    goal: 0.25,
    rounds: 1,
    run: (peer) =>
      timed(
        peer,
        `for i in $(seq 100); do docker run --rm --name ${N}-$i --network none busybox true & done; wait; [ -z "$(docker ps -aq --filter name=${N}-)" ]`,
      ),
  },
  {
    name: 'exec',
    goal: 0.7,
    rounds: 15,
    before: async (peer) => void (await timed(peer, `docker run -d --name ${N} --network none busybox sleep 600`)),
    run: (peer) => timed(peer, `docker exec ${N} true`),
    after: async (peer) => void (await timed(peer, `docker rm -f ${N}`)),
  },
  {
    name: 'stop (obeys), bridge',
    goal: 0.6,
    rounds: 9,
    run: async (peer) => {
      await timed(peer, `docker run -d --name ${N} busybox sh -c 'trap "exit 0" TERM; while :; do sleep 0.02; done'`);
      await timed(peer, 'sleep 0.1');
      const time = await timed(peer, `docker stop ${N}`);
      await timed(peer, `docker rm ${N}`);
      return time;
    },
  },
  {
    name: 'rm -f of a running one, none',
    goal: 0.6,
    rounds: 9,
    run: async (peer) => {
      await timed(peer, `docker run -d --name ${N} --network none busybox sleep 600`);
      return timed(peer, `docker rm -f ${N}`);
    },
  },
  {
    name: 'ps -a, 500 stopped',
    goal: 1,
    rounds: 9,
    before: async (peer) =>
      void (await timed(peer, `for i in $(seq 500); do docker create --name ${N}-$i busybox; done`)),
    run: (peer) => timed(peer, 'docker ps -a'),
    after: async (peer) => void (await timed(peer, remove(`${N}-`))),
  },
  {
    name: 'run -d --network none sleep',
    rounds: 9,
    run: async (peer) => {
      const time = await timed(peer, `docker run -d --name ${N} --network none busybox sleep 600`);
      await timed(peer, `docker rm -f ${N}`);
      return time;
    },
  },
  {
    name: '1 M lines: run to the end',
    goal: 0.5,
    rounds: 3,
    run: async (peer) => {
      const time = await timed(
        peer,
        `id=$(docker run -d --network none --name ${N} --log-opt max-size=200m busybox sh -c 'yes "a line of fortyfour bytes, as measured befor" | head -n 1000000'); docker wait $id`,
      );
      await timed(peer, `docker rm -f ${N}`);
      return time;
    },
  },
  {
    name: 'logs of 1 M lines',
    goal: 0.4,
    rounds: 3,
    before: async (peer) =>
      void (await timed(
        peer,
        `docker run -d --network none --name ${N} --log-opt max-size=200m busybox sh -c 'yes "a line of fortyfour bytes, as measured befor" | head -n 1000000'; docker wait ${N}`,
      )),
    run: (peer) => timed(peer, `docker logs ${N} >/dev/null`),
    after: async (peer) => void (await timed(peer, `docker rm -f ${N}`)),
  },
];

const wanted = process.env['BENCH']?.split(',');
await compare(
  peers,
  items.filter((item) => !wanted || wanted.some((part) => item.name.includes(part))),
  'gantry',
);

if (!wanted) {
  const ours = peers.find((peer) => peer.name === 'gantry');
  const best = peers.filter((peer) => peer.name !== 'gantry');
  if (ours && best.length > 0) {
    await compare(
      peers,
      [
        {
          name: 'gantry run --rm --network none, own CLI (goal 0.5 of docker run)',
          goal: 0.5,
          rounds: 9,
          run: (peer) =>
            peer.name === 'gantry'
              ? timed(peer, `GANTRY_HOST=${peer.host} ${gantry} run --rm --network none busybox true`)
              : timed(peer, 'docker run --rm --network none busybox true'),
        },
      ],
      'gantry',
    );
  }
  if (ours) await memory(ours);
}

/** Memory of the engine alone, and of ours for each running container (its monitor), in MiB. */
async function memory(peer: { name: string; host: string }): Promise<void> {
  const pid = ownEnginePid();
  if (pid === undefined) {
    console.log('memory | BENCH_ENGINE_PID names no file with the pid of the engine');
    return;
  }
  console.log(
    `engine idle | RSS ${kilobytes(`/proc/${pid}/status`, 'VmRSS')} MiB, PSS ${kilobytes(`/proc/${pid}/smaps_rollup`, 'Pss')} MiB | goal 90`,
  );
  await timed(peer, `for i in $(seq 20); do docker run -d --name ${N}-m$i --network none busybox sleep 600; done`);
  const monitors = output(peer, 'pgrep -x conmon')
    .split('\n')
    .filter((line) => line !== '');
  const each = monitors.map((monitor) => Number(kilobytes(`/proc/${monitor}/smaps_rollup`, 'Pss')));
  console.log(
    `monitor of each running container | PSS ${(each.reduce((a, b) => a + b, 0) / each.length).toFixed(2)} MiB (${each.length} of them) | goal 1.5`,
  );
  await timed(peer, remove(`${N}-m`));
}

function kilobytes(file: string, field: string): string {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(file, 'utf8'));
  return (Number(match?.[1] ?? 0) / 1024).toFixed(2);
}
