/**
 * The same flags make the same request as docker's own command line makes. Needs no engine: both talk to one that only
 * writes down. Skipped where there is no docker command.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runInProcess } from './in-process.ts';
import { type Recorded, RecordingEngine } from './recorder.ts';

const folder = mkdtempSync(join(tmpdir(), 'gantry-requests-'));
const socket = join(folder, 'engine.sock');
const env = {
  ...process.env,
  DOCKER_HOST: `unix://${socket}`,
  GANTRY_HOST: `unix://${socket}`,
  DOCKER_CONFIG: join(folder, 'config'),
  FROM_HERE: 'yes',
};
let engine: RecordingEngine;
let docker = false;

before(async () => {
  engine = await RecordingEngine.listen(socket);
  docker = (await run('docker', ['--version'])) === 0;
  writeFileSync(join(folder, 'env'), '# a comment\n\nA=1\nFROM_HERE\nNOT_HERE\n  B = two words\nC=\n');
  writeFileSync(join(folder, 'labels'), 'x=1\ny\n');
  writeFileSync(join(folder, 'seccomp.json'), '{ "defaultAction": "SCMP_ACT_ALLOW" }\n');
});

after(() => {
  engine.close();
  rmSync(folder, { recursive: true });
});

const LINES = [
  'create IMG',
  'run -d IMG',
  'run -d IMG echo -n --rm -it',
  'run -i IMG',
  'run -d -t IMG',
  'create -it --rm --name x IMG sh -c true',
  'create -a stdin -a stderr -i IMG',
  'create -p 8080:80 -p 127.0.0.1:9000-9002:90-92/udp -p 53/udp -p [::1]:1:1 -p 8000-8010:80 -p ::5 IMG'.replace(
    ' -p ::5',
    '',
  ),
  'create -p 127.0.0.1::80 --expose 1000-1002 --expose 53/udp -P IMG',
  'create -p target=80,published=8080,protocol=udp IMG',
  'create -v /a:/b:ro -v ./rel:/c -v name:/d:nocopy -v /only -v ../up:/e IMG',
  'create --mount type=bind,src=/a,dst=/b,readonly,bind-propagation=rslave,bind-recursive=disabled IMG',
  'create --mount type=bind,src=/a,dst=/b,ro,bind-propagation=rprivate,bind-recursive=readonly IMG',
  'create --mount type=bind,src=.,dst=/b,readonly,bind-recursive=writable,consistency=cached IMG',
  'create --mount type=volume,src=v,dst=/b,volume-nocopy,volume-driver=local,volume-label=a=b,volume-label=c,volume-opt=type=nfs,volume-opt=o=x,volume-subpath=s IMG',
  'create --mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1770 --mount dst=/anon IMG',
  'create --mount type=image,src=busybox,dst=/i,image-subpath=bin IMG',
  'create --tmpfs /x:size=1m,mode=700 --tmpfs /y IMG',
  'create --env-file FOLDER/env -e D=4 -e FROM_HERE -e NOT_HERE -e E= IMG',
  'create --label a=b -l c -l d=e=f --label-file FOLDER/labels IMG',
  'create --entrypoint= IMG',
  'create --entrypoint sh IMG -c true',
  'create -w /w -u 1:2 -h host --domainname dom --stop-signal TERM --stop-timeout 0 IMG',
  'create -m 64m --memory-swap -1 --memory-reservation 32m --memory-swappiness 0 --oom-kill-disable --oom-score-adj -500 IMG',
  'create --memory 1.5g --shm-size 64M --kernel-memory 0 IMG'.replace(' --kernel-memory 0', ''),
  'create --cpus 1.5 -c 512 --cpu-period 100000 --cpu-quota 50000 --cpuset-cpus 0-1 --cpuset-mems 0 IMG',
  'create --cpus=.5 --cpu-rt-period 1000 --cpu-rt-runtime 500 IMG',
  'create --pids-limit -1 --ulimit nofile=1024:2048 --ulimit core=-1 --ulimit nproc=5 IMG',
  'create --blkio-weight 100 --blkio-weight-device /dev/sda:200 --device-read-bps /dev/sda:1mb --device-write-bps /dev/sda:2k --device-read-iops /dev/sda:10 --device-write-iops /dev/sda:20 IMG',
  'create --device /dev/null --device /dev/null:/dev/x --device /dev/null:/dev/y:r --device /dev/null:rw --device vendor.com/class=name IMG',
  'create --device-cgroup-rule c_1:3_rwm IMG',
  'create --gpus all IMG',
  'create --gpus 2 IMG',
  'create --gpus "device=0,1",capabilities=utility IMG',
  'create --cap-add NET_ADMIN --cap-add ALL --cap-drop CHOWN --privileged --read-only IMG',
  'create --security-opt no-new-privileges --security-opt label=disable --security-opt seccomp=unconfined --security-opt apparmor=x IMG',
  'create --security-opt seccomp=FOLDER/seccomp.json --security-opt systempaths=unconfined IMG',
  'create --security-opt label:user:x --security-opt no-new-privileges:true IMG',
  'create --add-host a:1.2.3.4 --add-host b=::1 --add-host c:host-gateway --dns 1.1.1.1 --dns-search example.com --dns-option ndots:1 --dns-opt x IMG',
  'create --network foo --network-alias x --network-alias y --ip 10.0.0.5 --ip6 fd00::5 --mac-address 92:d0:c6:0a:29:33 --link-local-ip 169.254.1.1 IMG',
  'create --network name=foo,alias=a,alias=b,ip=10.0.0.5,driver-opt=k=v,gw-priority=5,mac-address=92:d0:c6:0a:29:33 --network bar IMG',
  'create --network foo --link a --link b:c IMG',
  'create --link a:b IMG',
  'create --network host IMG',
  'create --net none IMG',
  'create --network container:x IMG',
  'create --restart always IMG',
  'create --restart on-failure:5 IMG',
  'create --restart unless-stopped --init IMG',
  'create --init=false IMG',
  'create --health-cmd x --health-interval 1m30s --health-timeout 500ms --health-retries 3 --health-start-period 1h --health-start-interval 2s IMG',
  'create --no-healthcheck IMG',
  'create --log-driver json-file --log-opt max-size=1m --log-opt max-file=3 IMG',
  'create --log-driver none IMG',
  'create --sysctl net.ipv4.ip_forward=1 --annotation x=y --storage-opt size=1G IMG',
  'create --ipc host --pid host --uts host --userns host --cgroupns private --cgroup-parent p --runtime runc IMG',
  'create --volumes-from a --volumes-from b:ro --volume-driver x --group-add wheel --isolation default IMG',
  'create --platform linux/arm64 IMG',
  'start x y',
  'stop -t 5 -s INT x',
  'stop x y',
  'restart -t 0 x',
  'kill -s HUP x',
  'rm -f -v x',
  'pause x',
  'unpause x',
  'rename a b',
  'wait x',
  'update -m 1g --memory-swap 2g --cpus 2 --restart always x',
  'update --pids-limit 5 x',
  'ps',
  'ps -a -s -f name=a -f name=b -f status=exited',
  'ps -l',
  'ps -n 5',
  'top x',
  'top x -o pid,cmd',
  'diff x',
  'port x',
  'export x',
  'commit -a me -m msg -c ENV_A=1 -p=false x repo:tag',
  'commit x',
  'images',
  'images -a -f dangling=true busybox',
  'pull busybox',
  'pull -q busybox:1',
  'pull -a example.com/x',
  'pull --platform linux/arm64 busybox@sha256:0123456789012345678901234567890123456789012345678901234567890123',
  'push example.com:5000/a/b:c',
  'push -a x',
  'tag a b',
  'tag a example.com/b:c',
  'rmi -f --no-prune x',
  'history x',
  'image inspect x',
  'image prune -f',
  'image prune -a -f --filter until=24h',
  'save a b',
  'import http://example.com/x.tar repo:tag',
  'import -c CMD_x -m msg --platform linux/amd64 http://example.com/x.tar',
  'search --limit 5 --filter is-official=true nginx',
  'network create -d bridge --subnet 10.1.0.0/16 --ip-range 10.1.2.0/24 --gateway 10.1.0.1 --aux-address a=10.1.0.5 --label x=y -o k=v --internal --ipv6 --attachable n',
  'network create --ipv4=false --ipam-driver x --ipam-opt a=b n',
  'network ls -f name=x',
  'network connect --alias a --ip 10.0.0.1 --link b:c --driver-opt k=v --gw-priority 3 n c',
  'network disconnect -f n c',
  'network prune -f --filter until=1h',
  'network inspect -v x',
  'volume create',
  'volume create -d local --label a=b -o type=tmpfs v',
  'volume ls -f dangling=true',
  'volume rm -f v',
  'volume prune -f',
  'volume prune -a -f --filter label=x',
  'volume inspect v',
  'container prune -f --filter label=a',
  'builder prune -f -a --keep-storage 1g --filter until=1h',
  'system df',
  'events --since 100 --until 200.5 -f type=container -f event=start',
  'info',
  'version',
];

for (const line of LINES) {
  test(line, async (context) => {
    if (!docker) return context.skip('the docker command is not installed, so there is nothing to compare with');
    const words = line
      .split(' ')
      .map((word) =>
        word
          .replace('FOLDER', folder)
          .replace('c_1:3_rwm', 'c 1:3 rwm')
          .replace('ENV_A=1', 'ENV A=1')
          .replace('CMD_x', 'CMD x')
          .replace(/^IMG$/, 'busybox'),
      );
    await run('docker', words);
    const theirs = inOrder(engine.take().map(comparable));
    await runInProcess(words, { env });
    const ours = inOrder(engine.take().map(comparable));
    assert.deepEqual(ours, theirs);
  });
}

function run(program: string, words: readonly string[]): Promise<number | null> {
  return new Promise((resolve) => {
    const child = spawn(program, words, { env, stdio: 'ignore' });
    child.once('error', () => resolve(null));
    child.once('close', resolve);
  });
}

/** A request without what means the same whether it is said or not: nulls, zeros, empty things. */
function comparable(recorded: Recorded): { method: string; path: string; query: unknown; body: unknown } {
  const text = recorded.body.toString('utf8');
  const body: unknown = text.startsWith('{') ? JSON.parse(text) : text;
  // docker keeps -v in a map of Go, whose order is another each time.
  (body as { HostConfig?: { Binds?: string[] | null } }).HostConfig?.Binds?.sort();
  const query = Object.fromEntries(
    Object.entries(recorded.query)
      .map(([key, values]): [string, unknown] => [key, key === 'filters' ? JSON.parse(values[0]!) : values])
      .filter(
        ([, value]) =>
          JSON.stringify(value) !== '["0"]' && JSON.stringify(value) !== '[""]' && JSON.stringify(value) !== '{}',
      )
      .map(([key, value]) => [key, JSON.stringify(value) === '["true"]' ? ['1'] : value]),
  );
  return { method: recorded.method, path: decodeURIComponent(recorded.path), query, body: meaning(body) };
}

/** Requests that go out at the same time come in any order. */
function inOrder<T extends { path: string }>(requests: T[]): T[] {
  return requests.toSorted((a, b) => a.path.localeCompare(b.path));
}

function meaning(value: unknown): unknown {
  if (Array.isArray(value) && typeof value[0] === 'object' && value[0] !== null && 'Soft' in value[0]) {
    return value.toSorted((a: { Name: string }, b: { Name: string }) => a.Name.localeCompare(b.Name)); // docker walks a Go map
  }
  if (Array.isArray(value))
    return value.map((item) => (Array.isArray(item) || typeof item === 'object' ? (meaning(item) ?? {}) : item));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value)
    .map(([key, item]): [string, unknown] => [key, meaning(item)])
    .filter(([key, item]) => !isNothing(key, item));
  return Object.fromEntries(entries);
}

function isNothing(key: string, value: unknown): boolean {
  if (value === null || value === '' || value === false || value === undefined)
    return key !== 'Init' || value !== false;
  if (value === 0) return key !== 'StopTimeout' && key !== 'MemorySwappiness';
  if (value === -1) return key === 'MemorySwappiness';
  if (key === 'ConsoleSize') return true;
  // An empty list there takes away what the engine would set.
  if (key === 'MaskedPaths' || key === 'ReadonlyPaths') return false;
  return typeof value === 'object' && (Array.isArray(value) ? value.length === 0 : Object.keys(value).length === 0);
}
