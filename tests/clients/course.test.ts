/** What a beginner's course does with ports, volumes and bind mounts, by the docker CLI and word for word. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { DaemonProcess } from '../support/daemon-process.ts';
import { nothingLeft } from '../support/daemon-suite.ts';

const directory = mkdtempSync(join(tmpdir(), 'gantry-course-'));
const daemon = new DaemonProcess({ directory });
const port = randomInt(20_000, 29_000);
const docker = spawnSync('docker', ['--version']).status === 0 && process.getuid?.() === 0;

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A line of the shell, with `docker` on the tests' engine. */
async function shell(script: string): Promise<Ended> {
  const child = spawn('sh', ['-c', script], {
    cwd: directory,
    env: daemon.clientEnv,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const text = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (data: string) => (text[name] += data));
  }
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, ...text };
}

async function run(script: string): Promise<string> {
  const { code, stdout, stderr } = await shell(script);
  assert.equal(code, 0, `${script}: ${stderr}`);
  return stdout.trim();
}

/** The page at that address, or why there is none. */
async function page(url: string): Promise<string> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(5000), headers: { connection: 'close' } });
    return (await response.text()).trim();
  } catch (error) {
    return `no page: ${String((error as Error).cause ?? error)}`;
  }
}

/** Servers take their time to start and to see what was edited, rules to go. */
async function shows(url: string, expected: string | RegExp): Promise<void> {
  let seen = '';
  for (const end = Date.now() + 60_000; Date.now() < end; await setTimeout(100)) {
    seen = await page(url);
    if (typeof expected === 'string' ? seen === expected : expected.test(seen)) return;
  }
  assert.fail(`${url}: ${seen}, not ${expected}`);
}

const SERVER = `
const { createServer } = require('node:http');
createServer((request, response) => response.end('first')).listen(3000, () => console.log('listening'));
`;

describe('a course of Docker', { skip: docker ? false : 'needs root and a docker CLI' }, () => {
  before(async () => {
    await daemon.start();
    await daemon.importBusybox();
    await run(
      `docker run --name nginx busybox sh -c 'mkdir /w && echo "Welcome to nginx!" >/w/index.html' &&
       docker commit -c 'EXPOSE 80' -c 'CMD ["httpd", "-f", "-vv", "-p", "80", "-h", "/w"]' nginx nginx:1.23 &&
       docker rm nginx`,
    );
    mkdirSync(join(directory, 'src'));
    writeFileSync(join(directory, 'src/server.js'), SERVER);
    await run(
      `mkdir app && cp -r src app/ && docker create --name app busybox && docker cp app app:/ &&
       docker commit -c 'WORKDIR /app' -c 'CMD ["node", "src/server.js"]' app docker-demo-app:1.0 && docker rm app`,
    );
  });
  after(async () => {
    await shell('docker ps -aq | xargs -r docker rm -f; docker volume prune -af');
    await daemon.stop();
    await nothingLeft(daemon);
  });

  test('port binding: -p 9000:80, then localhost; stop, start, logs; names', async () => {
    const hidden = await run('docker run -d nginx:1.23');
    assert.match(await run(`docker ps --filter id=${hidden}`), /80\/tcp/);
    assert.match(await page(`http://localhost:${port}`), /^no page/, 'nothing is published without -p');

    const id = await run(`docker run -d -p ${port}:80 nginx:1.23`);
    assert.match(await run('docker ps'), new RegExp(`0\\.0\\.0\\.0:${port}->80/tcp, \\[::\\]:${port}->80/tcp`));
    for (const host of ['localhost', '127.0.0.1', '[::1]']) await shows(`http://${host}:${port}`, 'Welcome to nginx!');
    assert.match(await run(`docker logs ${id} 2>&1`), /response:200/);

    await run(`docker stop -t 1 ${id}`);
    await shows(`http://localhost:${port}`, /ECONNREFUSED/);
    assert.doesNotMatch(await run('docker ps --no-trunc -q'), new RegExp(id));
    assert.match(await run(`docker ps -a --filter id=${id} --format '{{.Status}}'`), /^Exited/);
    assert.equal(await run(`docker start ${id}`), id);
    await shows(`http://localhost:${port}`, 'Welcome to nginx!');

    const second = await shell(`docker run -d --name web-app -p ${port}:80 nginx:1.23`);
    assert.equal(second.code, 125);
    assert.match(second.stderr, new RegExp(`Bind for 0\\.0\\.0\\.0:${port} failed: port is already allocated`));
    await run(`docker rm -f ${id} ${hidden} web-app`);
    await run(`docker run -d --name web-app -p ${port}:80 nginx:1.23`);
    await shows(`http://localhost:${port}`, 'Welcome to nginx!');
    assert.match(await run('docker logs web-app 2>&1'), /response:200/);
    await run('docker rm -f web-app');
  });

  test('a container’s files go with it, a volume’s are there for the next container', async () => {
    await run("docker run --rm busybox sh -c 'mkdir /data && echo kept >/data/note'");
    assert.notEqual((await shell('docker run --rm busybox cat /data/note')).code, 0);
    await run("docker run --name writer -v notes:/data busybox sh -c 'echo kept >/data/note'");
    await run('docker rm -v writer');
    assert.match(await run('docker volume ls'), /^local +notes$/m);
    assert.equal(await run('docker run --rm -v notes:/data busybox cat /data/note'), 'kept');
    await run('docker volume rm notes');
  });

  test('bind mount: an edit on this machine is served from the container, without a rebuild', async () => {
    // the image has the course's app; Node and its libraries are this machine's
    const host = ['/usr', '/lib', '/lib64'].filter((path) => existsSync(path)).map((path) => `-v ${path}:${path}:ro`);
    const node = `${host.join(' ')} -v ${process.execPath}:/bin/node:ro`;
    await run(
      `docker run -d --name demo ${node} -p ${port + 1}:3000 -v $(pwd)/src:/app/src docker-demo-app:1.0 node --watch src/server.js`,
    );
    const url = `http://localhost:${port + 1}`;
    await shows(url, 'first');
    writeFileSync(join(directory, 'src/server.js'), SERVER.replace('first', 'second'));
    await shows(url, 'second');
    assert.match(await run('docker exec demo cat /app/src/server.js'), /second/);
    await run("docker exec demo sh -c 'echo from inside >/app/src/note'");
    assert.equal(existsSync(join(directory, 'src/note')), true);
    await run('docker rm -f demo');
    // what was baked in is as it was
    assert.match(await run('docker run --rm docker-demo-app:1.0 cat /app/src/server.js'), /first/);
  });
});
