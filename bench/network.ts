/**
 * Networks against other engines, in one run on this machine:
 *
 *     node bench/network.ts gantry=unix:///run/gantry/gantry.sock docker28=unix:///run/docker28.sock@PIDFILE …
 *
 * The docker CLI is the client for all; each engine must hold the image `busybox`. Behind `@` stands the pid file of an engine
 * that is in a network namespace of its own: its clients are started in there. Traffic is made by the host's iperf3, which
 * containers get as bind mounts. BENCH=part,part picks parts: setup, traffic, many. MANY=200 containers.
 */
import { spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { NetworkNamespace } from '../src/linux/network-namespace.ts';
import { boundSocket } from '../src/linux/bound-socket.ts';
import { makeQuery, TYPE } from '../src/network/dns/message.ts';
import { setTimeout } from 'node:timers/promises';
import { compare, type Item, median, output, type Peer, readPeers, record, timed } from './measure.ts';

interface NetworkPeer extends Peer {
  /** Words in front of a command that is to run on the engine's host network. */
  readonly enter: string;
}

const peers: NetworkPeer[] = readPeers(process.argv.slice(2)).map((peer) => {
  const { pidFile } = peer;
  const enter = pidFile === undefined ? '' : `nsenter -t ${readFileSync(pidFile, 'utf8').trim()} -n `;
  return { ...peer, enter };
});
if (peers.length === 0) throw new Error('usage: node bench/network.ts gantry=HOST docker=HOST[@PIDFILE] …');
const OURS = 'gantry';
const N = `benchnet${process.pid}`;
const PORT = 18970;
/** In namespaces that have no address but the loopback's. */
const HOST_ADDRESS = '198.51.100.77';
const wanted = (process.env['BENCH'] ?? 'setup,traffic,many').split(',');
const IPERF = '-v /usr/bin/iperf3:/iperf3:ro -v /usr/lib/x86_64-linux-gnu:/lib/x86_64-linux-gnu:ro -v /lib64:/lib64:ro';

if (wanted.includes('setup')) await compare(peers, setUpItems(), OURS);
if (wanted.includes('traffic')) await traffic();
if (wanted.includes('many')) await recordMany(Number(process.env['MANY'] ?? 200));

/** What a bridge and a published port add to `run`. */
function setUpItems(): Item[] {
  const run = (name: string, words: string, goal?: number): Item => ({
    name,
    ...(goal === undefined ? {} : { goal }),
    rounds: 15,
    run: (peer) => timed(peer, `docker run --rm ${words} busybox true`),
  });
  return [
    run('run --rm --network none', '--network none'),
    run('run --rm (bridge)', ''),
    run('run --rm -p', `-p ${PORT}:80`, 0.25),
  ];
}

/**
 * Gbit/s of five seconds each, engines in turn; the median of the rounds. On localhost dockerd's connections go through its
 * userland proxy, by the host's address they do not: that is the figure to be held against, both times.
 */
async function traffic(): Promise<void> {
  const paths: [name: string, goal: number, client: (peer: NetworkPeer) => string][] = [
    ["host to published port, host's address", 1, (peer) => `${peer.enter}iperf3 -c ${address(peer)} -p ${PORT}`],
    ['host to published port, localhost', 0.9, (peer) => `${peer.enter}iperf3 -c 127.0.0.1 -p ${PORT}`],
    ['container to container', 1, () => `docker exec ${N}-client /iperf3 -c $SERVER -p 5201`],
  ];
  let byAddress: Readonly<Record<string, number>> = {};
  for (const peer of peers) {
    if (peer.enter) spawnSync('sh', ['-c', `${peer.enter}ip addr add ${HOST_ADDRESS}/32 dev lo`]);
    await timed(peer, `docker network create ${N}`);
    await timed(peer, `docker run -d --name ${N}-server --network ${N} -p ${PORT}:5201 ${IPERF} busybox /iperf3 -s`);
    await timed(peer, `docker run -d --name ${N}-client --network ${N} ${IPERF} busybox sleep 3600`);
  }
  try {
    for (const [name, goal, client] of paths) {
      const figures = new Map(peers.map((peer) => [peer.name, [] as number[]]));
      for (let round = 0; round < 3; round++) {
        for (const peer of peers) figures.get(peer.name)!.push(gigabits(peer, client(peer)));
      }
      const values = Object.fromEntries([...figures].map(([peer, all]) => [peer, median(all)]));
      if (name.endsWith('address')) byAddress = values;
      if (name.endsWith('localhost')) {
        for (const other of Object.keys(values)) {
          if (other !== OURS) values[other] = Math.max(values[other]!, byAddress[other] ?? 0);
        }
      }
      record({ name, unit: 'Gbit/s', values, ours: OURS, goal, moreIsBetter: true });
    }
  } finally {
    for (const peer of peers) {
      const words = `docker rm -f ${N}-server ${N}-client; docker network rm ${N}`;
      await timed(peer, words, { ignoreFailure: true });
    }
  }
}

function address(peer: NetworkPeer): string {
  if (peer.enter) return HOST_ADDRESS;
  return spawnSync('hostname', ['-I'], { encoding: 'utf8' }).stdout.split(' ')[0]!;
}

function gigabits(peer: NetworkPeer, client: string): number {
  const server = output(
    peer,
    `docker inspect -f "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}" ${N}-server`,
  );
  const text = output(peer, `SERVER=${server}; ${client} -t 5 -J`);
  const result = JSON.parse(text) as { end?: { sum_received: { bits_per_second: number } }; error?: string };
  if (!result.end?.sum_received) throw new Error(`${peer.name}: ${result.error ?? text}`);
  return result.end.sum_received.bits_per_second / 1e9;
}

async function recordMany(count: number): Promise<void> {
  const figures = new Map<string, Many>();
  for (const peer of peers) figures.set(peer.name, await many(peer, count));
  const row = (name: string, unit: string, limit: number | undefined, value: (many: Many) => number): void => {
    const values = Object.fromEntries([...figures].map(([peer, found]) => [peer, value(found)]));
    record({ name, unit, values, ours: OURS, ...(limit !== undefined && { limit }) });
  };
  row(`start of container ${count} on a network, to the first ones`, 'times', 1.5, ({ growth }) => growth);
  row(`lookup of a name among ${count}, p99`, 'ms', 5, ({ alone }) => alone);
  // by then the client is as busy as the server
  row(`lookup of a name among ${count}, p99 of 20 at a time`, 'ms', undefined, ({ crowded }) => crowded);
}

interface Many {
  /** Time of the last starts by that of the first. */
  readonly growth: number;
  /** Milliseconds, p99. */
  readonly alone: number;
  readonly crowded: number;
}

/** Many containers on one network: the time of the first and the last, and lookups of their names. */
async function many(peer: NetworkPeer, count: number): Promise<Many> {
  await timed(peer, `docker network create ${N}`);
  const times: number[] = [];
  try {
    for (let at = 0; at < count; at++) {
      times.push(await timed(peer, `docker run -d --name ${N}-${at} --network ${N} busybox sleep 3600`));
    }
    const edge = Math.min(15, Math.floor(count / 3));
    const growth = median(times.slice(-edge)) / median(times.slice(1, edge + 1));
    const pid = output(peer, `docker inspect -f "{{.State.Pid}}" ${N}-0`);
    const names = Array.from({ length: count }, (_, at) => `${N}-${at}`);
    const p99 = async (inFlight: number): Promise<number> => {
      const took = (await lookups(pid, names, inFlight)).toSorted((a, b) => a - b);
      return took[Math.floor(took.length * 0.99)]!;
    };
    return { growth, alone: await p99(1), crowded: await p99(20) };
  } finally {
    const left = `docker ps -aq --filter name=${N}-`;
    const words = `for round in 1 2 3; do ${left} | xargs -r -n 50 docker rm -f; done; docker network rm ${N}`;
    await timed(peer, words, { ignoreFailure: true });
  }
}

/** Milliseconds of 4000 lookups from inside a container, by a process of its own: the engine is not to share its thread. */
async function lookups(pid: string, names: readonly string[], inFlight: number): Promise<number[]> {
  using inside = NetworkNamespace.open(`/proc/${pid}/ns/net`);
  const times: number[] = [];
  const client = async (): Promise<void> => {
    const socket = createSocket('udp4');
    socket.bind({ fd: boundSocket({ protocol: 'udp', address: new Uint8Array(4), port: 0 }, inside) });
    let answered: () => void = () => undefined;
    socket.on('message', () => answered());
    while (times.length < 4000) {
      const name = names[Math.floor(Math.random() * names.length)]!;
      const began = performance.now();
      const answer = new Promise<void>((resolve) => (answered = resolve));
      // a datagram may be lost
      for (let waiting = true; waiting;) {
        socket.send(makeQuery(times.length & 0xffff, name, TYPE.A), 53, '127.0.0.11');
        waiting = await Promise.race([answer.then(() => false), setTimeout(1000, true)]);
      }
      times.push(performance.now() - began);
    }
    socket.close();
  };
  await Promise.all(Array.from({ length: inFlight }, client));
  return times;
}
