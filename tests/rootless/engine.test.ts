import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before, describe } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { boundSocket } from '../../src/linux/bound-socket.ts';
import { NetworkNamespace } from '../../src/linux/network-namespace.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { UnprivilegedUser } from '../support/unprivileged-user.ts';

const run = promisify(execFile);
const directory = mkdtempSync(join(tmpdir(), 'gantry-rootless-'));
chmodSync(directory, 0o711);
const user = new UnprivilegedUser({ directory: join(directory, 'user') });
const daemon = new DaemonProcess({ directory: join(directory, 'engine'), user });
const base = user.subordinate.base;

/** The docker CLI's stdout; it throws with stderr. */
async function docker(...args: string[]): Promise<string> {
  const { stdout } = await run('docker', args, { env: daemon.clientEnv, timeout: 100_000 });
  return stdout.trim();
}

/** What the docker CLI says when it must fail. */
async function refusal(...args: string[]): Promise<string> {
  try {
    await docker(...args);
  } catch (error) {
    return String((error as { stderr: unknown }).stderr);
  }
  throw new Error(`docker ${args.join(' ')} did not fail`);
}

async function until<T>(what: string, look: () => Promise<T> | T): Promise<T> {
  let last: unknown;
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; await delay(100)) {
    try {
      const found = await look();
      if (found) return found;
    } catch (error) {
      last = error;
    }
  }
  throw new Error(`${what}: not within a minute`, { cause: last });
}

/** Processes of the user and of its subordinate ids. */
function processesOfUser(): { pid: number; uid: number; command: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const { uid } = statSync(`/proc/${name}`);
        const command = readFileSync(`/proc/${name}/cmdline`, 'latin1').replaceAll('\0', ' ').trim();
        const state = /^State:\s+(\w)/m.exec(readFileSync(`/proc/${name}/status`, 'latin1'))?.[1];
        const mine = uid === user.uid || (uid >= base && uid < base + user.subordinate.size);
        return mine && state !== 'Z' ? [{ pid: Number(name), uid, command }] : [];
      } catch {
        return []; // gone
      }
    });
}

function processesOf(place: string): unknown[] {
  return processesOfUser().filter(({ pid, command }) => {
    try {
      return command.includes(place) || readFileSync(`/proc/${pid}/environ`, 'latin1').includes(place);
    } catch {
      return false; // gone
    }
  });
}

const owned = (words: string): number => {
  const found = processesOfUser().find(({ command }) => command.startsWith(words));
  assert.ok(found, `no process ${words}`);
  return found.pid;
};

async function fetchText(url: string): Promise<string> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(5000) });
  return await answer.text();
}

describe('an engine of an unprivileged user', () => {
  before(async () => {
    await daemon.start();
    await daemon.importBusybox();
  });
  after(async () => {
    const ids = (await docker('ps', '-aq').catch(() => '')).split('\n').filter(Boolean);
    if (ids.length > 0) await docker('rm', '-f', ...ids);
    await daemon.stop();
    const left = await until('the end of all processes', () => processesOfUser().length === 0).catch(processesOfUser);
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8').includes(directory);
    rmSync(directory, { recursive: true, force: true });
    assert.deepEqual({ left, mounts }, { left: true, mounts: false });
  });

  test('says what it is, and what it cannot do', async () => {
    const info = JSON.parse(await docker('info', '--format', '{{json .}}')) as Record<string, unknown>;
    assert.ok((info['SecurityOptions'] as string[]).includes('name=rootless'));
    assert.equal(info['CgroupDriver'], 'none');
    assert.match(String(info['Warnings']), /Running in rootless-mode without cgroups/);
    const engine = processesOfUser().find(({ pid }) => pid === daemon.pid);
    assert.equal(engine?.uid, user.uid, 'the engine is the process that was started, and the user’s');
    await docker('run', '-d', '--name', 'limited', 'busybox', 'sleep', '600');
    assert.match(await refusal('pause', 'limited'), /no cgroup, so it cannot be paused/);
    assert.match((await docker('top', 'limited')).split('\n')[1] ?? '', /sleep 600/);
    await docker('rm', '-f', 'limited');
    const warned = await run('docker', ['run', '--rm', '-m', '100m', 'busybox', 'true'], { env: daemon.clientEnv });
    assert.match(warned.stderr, /Limitation discarded/);
  });

  test('a container’s users are the subordinate ids of the host', async () => {
    const id = await docker('run', '-d', '-u', '1000:1000', 'busybox', 'sleep', '600');
    const pid = await docker('inspect', '-f', '{{.State.Pid}}', id);
    assert.match(readFileSync(`/proc/${pid}/status`, 'latin1'), new RegExp(`^Uid:\\s+${base + 999}\\s`, 'm'));
    assert.equal(await docker('exec', id, 'id', '-u'), '1000');
    await docker('rm', '-f', id);
  });

  test('volumes and bind mounts', async () => {
    const shared = join(user.home, 'shared');
    await run(...splitCommand(user.command(['mkdir', shared])));
    const script = 'echo v > /v/f && chown 33:33 /v/f && echo b > /b/f && cat /v/f /b/f';
    assert.equal(
      await docker('run', '--rm', '-v', 'vol:/v', '-v', `${shared}:/b`, 'busybox', 'sh', '-c', script),
      'v\nb',
    );
    assert.equal(statSync(join(shared, 'f')).uid, user.uid, 'root’s files are the user’s');
    const place = await docker('volume', 'inspect', '-f', '{{.Mountpoint}}', 'vol');
    assert.equal(statSync(join(place, 'f')).uid, base + 32);
    await docker('volume', 'rm', 'vol');
  });

  test('builds, commits and archives carry what was deleted', async () => {
    const context = join(directory, 'context');
    mkdirSync(context);
    writeFileSync(
      join(context, 'Dockerfile'),
      `FROM busybox
RUN mkdir -p /d/e /keep && echo 1 > /d/e/f && echo 2 > /gone && echo 3 > /keep/a && echo 4 > /keep/b && chown -R 7:8 /keep
RUN rm /gone /keep/a && rm -rf /d && mkdir /d && echo 5 > /d/g
CMD ["find", "/d", "/keep", "/gone"]
`,
    );
    await docker('build', '-q', '-t', 'deletions', context);
    const seen = 'ls /gone 2>/dev/null; find /d /keep | sort; stat -c %u:%g /keep/b';
    const expected = '/d\n/d/g\n/keep\n/keep/b\n7:8';
    assert.equal(await docker('run', '--rm', 'deletions', 'sh', '-c', seen), expected);

    await docker('run', '--name', 'changed', 'deletions', 'sh', '-c', 'rm -rf /d /keep/b && mkdir /d && echo 6 > /d/h');
    assert.equal(
      await docker('diff', 'changed').then((text) => text.split('\n').toSorted().join()),
      'A /d/h,C /d,C /keep,D /d/g,D /keep/b',
    );
    await docker('commit', 'changed', 'committed');
    await docker('rm', 'changed');
    const archive = join(directory, 'images.tar');
    await docker('save', '-o', archive, 'deletions', 'committed');
    await docker('rmi', 'committed', 'deletions');
    await docker('load', '-i', archive);
    assert.equal(await docker('run', '--rm', 'deletions', 'sh', '-c', seen), expected);
    assert.equal(await docker('run', '--rm', 'committed', 'sh', '-c', 'find /d /keep | sort'), '/d\n/d/h\n/keep');
    await docker('rmi', 'committed', 'deletions');
  });

  test('published ports: tcp and udp from the host, and the user’s own rights', async () => {
    const serve = 'mkdir /w && echo served > /w/index.html && httpd -f -p 80 -h /w';
    await docker(
      'run',
      '-d',
      '--name',
      'web',
      '-p',
      '127.0.0.1::80',
      '-p',
      '127.0.0.1::7/udp',
      'busybox',
      'sh',
      '-c',
      serve,
    );
    const port = async (which: string): Promise<number> =>
      Number((await docker('port', 'web', which)).split(':').at(-1));
    const url = `http://127.0.0.1:${await port('80')}/`;
    assert.equal(await until('the web server', () => fetchText(url)), 'served\n');
    const echo = echoServer(await docker('inspect', '-f', '{{.State.Pid}}', 'web'), 7);
    assert.equal(await until('an echo', async () => echoed(await port('7/udp'))), 'ping');
    echo.close();
    assert.match(
      await refusal('run', '--rm', '-p', `127.0.0.1:${await port('80')}:80`, 'busybox'),
      /port is already allocated/,
    );
    const first = Number(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'latin1'));
    if (first > 1) {
      assert.match(
        await refusal('run', '--rm', '-p', `127.0.0.1:${first - 1}:80`, 'busybox', 'true'),
        /cannot expose privileged port .*net\.ipv4\.ip_unprivileged_port_start=/,
      );
    }
    await docker('rm', '-f', 'web');
  });

  test('containers reach each other by name, and the outside through slirp4netns, but not the host’s loopback', async () => {
    await docker('network', 'create', 'inner');
    await docker(
      'run',
      '-d',
      '--name',
      'server',
      '--network',
      'inner',
      'busybox',
      'sh',
      '-c',
      'mkdir /w; echo named > /w/index.html; httpd -f -h /w',
    );
    const get = (host: string, port: number): Promise<string> =>
      docker('run', '--rm', '--network', 'inner', 'busybox', 'sh', '-c', getBy(host, port));
    assert.match(await until('an answer by name', () => get('server', 80)), /named$/);
    await docker('rm', '-f', 'server');

    const host = Object.values(networkInterfaces())
      .flat()
      .find((one) => one && !one.internal && one.family === 'IPv4');
    const outside = createServer((_, response) => response.end('outside')).listen(0, host?.address ?? '127.0.0.1');
    const loopback = createServer((_, response) => response.end('loopback')).listen(0, '127.0.0.1');
    const portOf = (server: typeof outside): number => (server.address() as { port: number }).port;
    await Promise.all([outside, loopback].map((server) => until('a listening server', () => server.listening)));
    if (host) assert.match(await get(host.address, portOf(outside)), /outside$/);
    const inner = portOf(loopback);
    for (const gateway of ['10.0.2.2', '127.0.0.1'])
      assert.doesNotMatch(await get(gateway, inner).catch(String), /loopback$/);
    outside.close();
    loopback.close();
    await docker('network', 'rm', 'inner');
  });

  test('kill -9 of the engine, of the holder and of the way out costs no container', async () => {
    const script = 'mkdir /w; echo lasting > /w/index.html; httpd -h /w; while sleep 1; do date; done';
    await docker('run', '-d', '--name', 'lasting', '-p', '127.0.0.1::80', 'busybox', 'sh', '-c', script);
    const url = `http://${await docker('port', 'lasting', '80')}/`;
    await until('the web server', () => fetchText(url));
    const [pid, uplink, holder] = [
      await docker('inspect', '-f', '{{.State.Pid}}', 'lasting'),
      owned('slirp4netns'),
      owned('sleep infinity'),
    ];
    await daemon.kill();
    process.kill(holder, 'SIGKILL');
    await daemon.start();
    assert.equal(await docker('inspect', '-f', '{{.State.Pid}} {{.State.Status}}', 'lasting'), `${pid} running`);
    assert.equal(owned('slirp4netns'), uplink, 'the way out went on');
    assert.equal(await until('the published port', () => fetchText(url)), 'lasting\n');
    assert.equal(await docker('exec', 'lasting', 'cat', '/w/index.html'), 'lasting');
    const lines = (await docker('logs', 'lasting')).split('\n').length;
    await until('more of its output', async () => (await docker('logs', 'lasting')).split('\n').length > lines);

    process.kill(uplink, 'SIGKILL');
    await until('another way out', () => owned('slirp4netns') !== uplink);
    await docker('rm', '-f', 'lasting');
  });

  test('its registry is on the host, and so is what it pulls from', async () => {
    const opened = await gantry('registry', 'serve', '--engine', '--detach', '--addr', '127.0.0.1:0');
    const address = /127\.0\.0\.1:\d+/.exec(opened)?.[0];
    assert.ok(address, opened);
    await docker('tag', 'busybox', `${address}/pushed:1`);
    await docker('push', `${address}/pushed:1`);
    assert.match(await fetchText(`http://${address}/v2/pushed/tags/list`), /"1"/);
    await docker('rmi', `${address}/pushed:1`);
    await docker('pull', '-q', `${address}/pushed:1`);
    await docker('rmi', `${address}/pushed:1`);
    await gantry('registry', 'stop', address);
  });

  test('a project of Compose comes and goes', async () => {
    const project = join(directory, 'project');
    mkdirSync(project);
    writeFileSync(
      join(project, 'compose.yaml'),
      `services:
  web:
    image: busybox
    command: sh -c "mkdir /w; echo composed > /w/index.html; httpd -f -h /w"
    ports: ["127.0.0.1::80"]
  worker:
    image: busybox
    command: sh -c "until timeout 5 nc web 80 </request | grep composed; do sleep 1; done; sleep 600"
    configs: [{ source: request, target: /request }]
    depends_on: [web]
    volumes: ["data:/data"]
configs:
  request:
    content: "GET / HTTP/1.0\\r\\n\\r\\n"
volumes:
  data:
`,
    );
    const compose = (...args: string[]): Promise<string> =>
      gantry('compose', '-f', join(project, 'compose.yaml'), ...args);
    await compose('up', '-d');
    assert.equal(
      await until('the service', async () => fetchText(`http://${(await compose('port', 'web', '80')).trim()}/`)),
      'composed\n',
    );
    await until('what one service reads from the other', async () =>
      (await compose('logs', 'worker')).includes('composed'),
    );
    await compose('down', '-v', '-t', '0');
    assert.equal(await docker('ps', '-aq'), '');
    assert.doesNotMatch(await docker('volume', 'ls', '-q'), /data/);
  });
});

describe('a user’s own engine', () => {
  test('the first command starts it, at the user’s places; stopped, nothing of it runs', async () => {
    const place = mkdtempSync(join(tmpdir(), 'gantry-rootless-own-'));
    chmodSync(place, 0o711);
    const one = new UnprivilegedUser({ directory: place });
    try {
      const first = await asUser(one, 'info', '--format', '{{.DockerRootDir}}');
      assert.equal(first.stdout.trim(), join(one.home, '.local/share/gantry'));
      assert.match(first.stderr, /Starting the gantry engine in the background \(log: .*home\/\.gantry\/gantry\.log/);
      assert.ok(statSync(join(one.runtimeDirectory, 'gantry/gantry.sock')).isSocket());
      assert.match(
        (await asUser(one, 'system', 'install', '--dry-run')).stdout,
        /\.config\/systemd\/user\/gantry\.service/,
      );
    } finally {
      await asUser(one, 'system', 'stop');
    }
    await until('the end of all processes', () => processesOf(place).length === 0);
    rmSync(place, { recursive: true });
  });

  test('a user without subordinate ids is told what to add', async () => {
    const place = mkdtempSync(join(tmpdir(), 'gantry-rootless-none-'));
    chmodSync(place, 0o711);
    const poor = new UnprivilegedUser({ directory: place, subordinate: '' });
    const [program, ...args] = poor.command([process.execPath, daemon.entry]);
    const failed = await run(program, args, { env: poor.env }).then(
      () => assert.fail('it started'),
      (error: { code: number; stderr: string }) => error,
    );
    rmSync(place, { recursive: true });
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /\/etc\/subuid has no line for rootless.*usermod --add-subuids.*rootless:100000:65536/);
  });
});

/** Our own command as this user, who has said nothing about an engine. */
async function asUser(one: UnprivilegedUser, ...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const [program, rest] = splitCommand(one.command([process.execPath, daemon.cli, ...args]));
  return await run(program, rest, { env: one.env, timeout: 100_000 });
}

/** Our own command, from the host, against that engine. */
async function gantry(...args: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [daemon.cli, ...args], { env: daemon.clientEnv, timeout: 100_000 });
  return stdout;
}

function splitCommand([program, ...args]: readonly string[]): [string, string[]] {
  return [program!, args];
}

/** A shell's words for an HTTP request: Debian's static busybox has a wget that crashes. */
function getBy(host: string, port: number): string {
  return `(printf 'GET / HTTP/1.0\\r\\n\\r\\n'; sleep 2) | timeout 6 nc ${host} ${port}`;
}

/** Answers datagrams inside a container with what they say. */
function echoServer(pid: string, port: number): Socket {
  using namespace = NetworkNamespace.open(`/proc/${pid}/ns/net`);
  const socket = createSocket('udp4');
  socket.bind({ fd: boundSocket({ protocol: 'udp', address: new Uint8Array(4), port }, namespace) });
  socket.on('message', (message, from) => socket.send(message, from.port, from.address));
  return socket;
}

/** What comes back for a datagram; undefined when nothing does. */
async function echoed(port: number): Promise<string | undefined> {
  const socket = createSocket('udp4');
  try {
    const answer = new Promise<string>((resolve) => socket.once('message', (message) => resolve(message.toString())));
    socket.send('ping', port, '127.0.0.1');
    return await Promise.race([answer, delay(1000, undefined)]);
  } finally {
    socket.close();
  }
}
