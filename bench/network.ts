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
import { type Item, compare, output, type Peer, readPeers, timed } from './measure.ts';

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
const N = `benchnet${process.pid}`;
const PORT = 18970;
/** In namespaces that have no address but the loopback's. */
const HOST_ADDRESS = '198.51.100.77';
const wanted = (process.env['BENCH'] ?? 'setup,traffic,many').split(',');
const IPERF = '-v /usr/bin/iperf3:/iperf3:ro -v /usr/lib/x86_64-linux-gnu:/lib/x86_64-linux-gnu:ro -v /lib64:/lib64:ro';

if (wanted.includes('setup')) await compare(peers, setUpItems(), 'gantry');
if (wanted.includes('traffic')) await traffic();
if (wanted.includes('many')) for (const peer of peers) await many(peer, Number(process.env['MANY'] ?? 200));

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

/** Gbit/s of five seconds each, engines in turn; the median of the rounds. */
async function traffic(): Promise<void> {
  const paths: [name: string, client: (peer: NetworkPeer) => string][] = [
    ['host to published port, localhost', (peer) => `${peer.enter}iperf3 -c 127.0.0.1 -p ${PORT}`],
    ["host to published port, host's address", (peer) => `${peer.enter}iperf3 -c ${address(peer)} -p ${PORT}`],
    ['container to container', () => `docker exec ${N}-client /iperf3 -c $SERVER -p 5201`],
  ];
  for (const peer of peers) {
    if (peer.enter) spawnSync('sh', ['-c', `${peer.enter}ip addr add ${HOST_ADDRESS}/32 dev lo`]);
    await timed(peer, `docker network create ${N}`);
    await timed(peer, `docker run -d --name ${N}-server --network ${N} -p ${PORT}:5201 ${IPERF} busybox /iperf3 -s`);
    await timed(peer, `docker run -d --name ${N}-client --network ${N} ${IPERF} busybox sleep 3600`);
  }
  try {
    for (const [name, client] of paths) {
      const figures = new Map(peers.map((peer) => [peer.name, [] as number[]]));
      for (let round = 0; round < 3; round++) {
        for (const peer of peers) figures.get(peer.name)!.push(gigabits(peer, client(peer)));
      }
      const shown = [...figures].map(([peer, values]) => `${peer} ${values.toSorted((a, b) => a - b)[1]!.toFixed(1)}`);
      console.log(`${name}: ${shown.join(', ')} Gbit/s`);
    }
  } finally {
    for (const peer of peers) await timed(peer, `docker rm -f ${N}-server ${N}-client; docker network rm ${N}`);
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

/** Many containers on one network: the time of the first and the last, and lookups of their names. */
async function many(peer: NetworkPeer, count: number): Promise<void> {
  await timed(peer, `docker network create ${N}`);
  const times: number[] = [];
  try {
    for (let at = 0; at < count; at++) {
      times.push(await timed(peer, `docker run -d --name ${N}-${at} --network ${N} busybox sleep 3600`));
    }
    const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
    const [first, last] = [median(times.slice(1, 6)), median(times.slice(-5))];
    console.log(
      `${peer.name}: first ${first.toFixed(0)} ms, ${count}th ${last.toFixed(0)} ms (${(last / first).toFixed(2)})`,
    );
    const pid = output(peer, `docker inspect -f "{{.State.Pid}}" ${N}-0`);
    const names = Array.from({ length: count }, (_, at) => `${N}-${at}`);
    for (const inFlight of [1, 20]) {
      const took = (await lookups(pid, names, inFlight)).toSorted((a, b) => a - b);
      const at = (share: number): string => took[Math.floor(took.length * share)]!.toFixed(2);
      console.log(`${peer.name}: lookups, ${inFlight} at a time: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`);
    }
  } finally {
    await timed(peer, `docker ps -aq --filter name=${N}- | xargs docker rm -f; docker network rm ${N}`);
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
      socket.send(makeQuery(times.length & 0xffff, name, TYPE.A), 53, '127.0.0.11');
      await answer;
      times.push(performance.now() - began);
    }
    socket.close();
  };
  await Promise.all(Array.from({ length: inFlight }, client));
  return times;
}
