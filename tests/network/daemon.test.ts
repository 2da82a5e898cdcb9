/** Networks through a whole engine and its command: what the course's passages promise, live ports, an engine that dies. */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { type Ended, runInProcess } from '../cli/in-process.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { nothingLeft } from '../support/daemon-suite.ts';

const directory = mkdtempSync(join(tmpdir(), 'gantry-published-'));
const HTTPD = ['sh', '-c', 'mkdir /w; hostname >/w/index.html; exec httpd -f -p 80 -h /w'];

describe('published ports and names', { skip: process.getuid?.() === 0 ? false : 'needs root' }, () => {
  const daemon = new DaemonProcess({ directory });
  const port = randomInt(20000, 30000);
  const gantry = (...words: string[]): Promise<Ended> => runInProcess(words, { env: daemon.clientEnv });
  const run = async (...words: string[]): Promise<string> => {
    const { code, stdout, stderr } = await gantry(...words);
    assert.equal(code, 0, `${words.join(' ')}: ${stderr}`);
    return stdout;
  };

  before(async () => {
    await daemon.start();
    await daemon.importBusybox();
  });
  after(async () => {
    const ids = (await run('ps', '-aq')).split('\n').filter((id) => id !== '');
    if (ids.length > 0) await run('rm', '-f', ...ids);
    await gantry('network', 'rm', 'published');
    await daemon.stop();
    await nothingLeft(daemon);
  });

  test('run -d -p: reached on localhost of both families and on the host’s address', async () => {
    await run('run', '-d', '--name', 'web', '--hostname', 'web', '-p', `${port}:80`, 'busybox', ...HTTPD);
    assert.equal(await page('127.0.0.1', port), 'web\n');
    assert.equal(await page('::1', port), 'web\n');
    const own = Object.values(networkInterfaces()).flatMap((links) => links ?? []);
    const address = own.find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
    if (address !== undefined) assert.equal(await page(address, port), 'web\n');
  });

  test('a second run on the same port is told who has it', async () => {
    const { code, stderr } = await gantry('run', '--name', 'second', '-p', `${port}:80`, 'busybox', 'true');
    assert.equal(code, 125);
    assert.match(stderr, new RegExp(`Bind for 0\\.0\\.0\\.0:${port} failed: port is already allocated`));
    assert.match(stderr, /by container web/);
  });

  test('EXPOSE publishes nothing, and localhost inside is the container’s own', async () => {
    await run('run', '-d', '--name', 'shy', '--hostname', 'shy', '--expose', '80', 'busybox', ...HTTPD);
    assert.equal((await gantry('port', 'shy')).stdout, '');
    const inside = ['exec', 'shy', 'wget', '-qO-'];
    assert.equal(await untilAnswered(() => gantry(...inside, 'http://127.0.0.1/')), 'shy\n');
    assert.notEqual((await gantry(...inside, `http://127.0.0.1:${port}/`)).code, 0);
    await run('rm', '-f', 'shy');
  });

  test('update --publish-add and --publish-rm, without a restart and over the engine’s death', async () => {
    const pid = (await run('inspect', '-f', '{{.State.Pid}}', 'web')).trim();
    await run('update', '--publish-add', `127.0.0.1:${port + 1}:80`, 'web');
    assert.equal(await page('127.0.0.1', port + 1), 'web\n');
    await daemon.kill();
    await daemon.start();
    assert.equal(await page('127.0.0.1', port + 1), 'web\n');
    assert.equal(await page('127.0.0.1', port), 'web\n');
    assert.equal((await run('inspect', '-f', '{{.State.Pid}}', 'web')).trim(), pid);
    assert.match(await run('ps', '--format', '{{.Ports}}'), new RegExp(`127\\.0\\.0\\.1:${port + 1}->80/tcp`));
    assert.match(await run('ports'), new RegExp(`127\\.0\\.0\\.1:${port + 1} +tcp +loopback +web +80`));

    await run('update', '--publish-rm', `${port + 1}:80`, '--publish-add', `127.0.0.1:${port + 2}:80`, 'web');
    assert.equal(await page('127.0.0.1', port + 2), 'web\n');
    assert.equal(await page('127.0.0.1', port + 1, 0), 'ECONNREFUSED');
    const missing = await gantry('update', '--publish-rm', '99', 'web');
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /container web does not publish 99\/tcp/);

    await run('restart', '-t', '0', 'web');
    const lines = (await run('port', 'web')).trim().split('\n').toSorted();
    assert.deepEqual(lines, [`80/tcp -> 0.0.0.0:${port}`, `80/tcp -> 127.0.0.1:${port + 2}`, `80/tcp -> [::]:${port}`]);
  });

  test('no lookup fails while the engine is killed and started again', async () => {
    await run('network', 'create', 'published');
    await run('network', 'connect', 'published', 'web');
    const loop =
      'while :; do nslookup -type=a -timeout=30 -retry=30 web 127.0.0.11 >/dev/null 2>&1 && echo found || echo failed; sleep 0.02; done';
    await run('run', '-d', '--name', 'asker', '--network', 'published', 'busybox', 'sh', '-c', loop);
    await untilAnswered(() => gantry('logs', '--tail', '3', 'asker'));
    await daemon.kill();
    await setTimeout(300); // some lookups meet nobody
    await daemon.start();
    const before = (await run('logs', 'asker')).split('\n').length;
    while ((await run('logs', 'asker')).split('\n').length < before + 5) await setTimeout(50);
    assert.doesNotMatch(await run('logs', 'asker'), /failed/);

    await run('rm', '-f', 'asker');
  });

  test('a question that is asked once, while no engine lives, is answered by the next one', async () => {
    const flags = join(directory, 'flags');
    mkdirSync(flags);
    const ask = 'nslookup -type=a -timeout=120 -retry=1 web 127.0.0.11 >/f/answer 2>&1; echo $? >/f/code';
    const waiting = `until [ -e /f/go ]; do sleep 0.1; done; echo >/f/asking; ${ask}; sleep 600`;
    const words = ['-d', '--name', 'asker', '--network', 'published', '-v', `${flags}:/f`];
    await run('run', ...words, 'busybox', 'sh', '-c', waiting);
    await daemon.kill();
    writeFileSync(join(flags, 'go'), '');
    await appears(join(flags, 'asking'));
    await setTimeout(300);
    assert.equal(existsSync(join(flags, 'code')), false, 'there is nobody to answer');
    await daemon.start();
    await appears(join(flags, 'code'));
    assert.equal(readFileSync(join(flags, 'code'), 'utf8'), '0\n', readFileSync(join(flags, 'answer'), 'utf8'));
    // the sockets are the monitor's, not the container's
    assert.doesNotMatch(await run('exec', 'asker', 'sh', '-c', 'ls -l /proc/1/fd /proc/self/fd'), /socket/);

    const trace = await run('dns', 'trace', 'web', '--container', 'asker');
    assert.match(trace, /^web A +network published +\d+\.\d+\.\d+\.\d+ /m);
    assert.match(trace, /^web is \d+\.\d+\.\d+\.\d+$/m);
  });
});

async function appears(file: string): Promise<void> {
  for (const end = Date.now() + 60_000; !existsSync(file); await setTimeout(50)) {
    assert.ok(Date.now() < end, `${file} does not appear`);
  }
}

/** What is served there, or the error's code. */
async function page(host: string, port: number, patience = 100): Promise<string> {
  for (let tries = 0; ; tries++) {
    const said = await new Promise<string>((resolve) => {
      let text = '';
      const asked = request({ host, port, path: '/', agent: false, timeout: 2000 }, (response) => {
        response.setEncoding('utf8').on('data', (data: string) => (text += data));
        response.on('end', () => resolve(text));
      });
      asked.on('timeout', () => asked.destroy());
      asked.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      asked.end();
    });
    // the server inside may still be starting
    if (!['ECONNREFUSED', 'ECONNRESET', 'socket hang up'].includes(said) || tries === patience) return said;
    await setTimeout(50);
  }
}

async function untilAnswered(ask: () => Promise<Ended>): Promise<string> {
  for (let tries = 0; tries < 100; tries++) {
    const { code, stdout } = await ask();
    if (code === 0 && stdout !== '') return stdout;
    await setTimeout(50);
  }
  return '';
}
