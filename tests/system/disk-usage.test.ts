/** What the engine says of its disk is what is on the disk: shared layers, build cache, volumes, logs, what containers wrote. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DiskUsage } from '../../src/api/system.ts';
import { Client, parseEndpoint } from '../../src/client/index.ts';
import { runInProcess } from '../cli/in-process.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { nothingLeft } from '../support/daemon-suite.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root, for an engine of its own';
/** What the database may write between two looks at it. */
const SLACK = 256 << 10;

describe('disk usage', { skip, timeout: 180_000 }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-usage-'));
  const data = join(directory, 'data');
  const daemon = new DaemonProcess({ directory });
  const client = new Client({ endpoint: parseEndpoint(daemon.host) });
  const docker = async (...args: string[]): Promise<string> => {
    const child = spawn('docker', args, { env: daemon.clientEnv, stdio: ['ignore', 'pipe', 'pipe'] });
    let [out, errors] = ['', ''];
    child.stdout.on('data', (text) => (out += String(text)));
    child.stderr.on('data', (text) => (errors += String(text)));
    const code = await new Promise((resolve) => child.once('close', resolve));
    assert.equal(code, 0, `docker ${args.join(' ')}: ${errors}`);
    return out.trim();
  };
  /** Bytes of files and symlinks, each inode once: `du` without what directories take themselves. */
  const du = (...paths: string[]): number => {
    const { stdout } = spawnSync('find', [...paths, '!', '-type', 'd', '-printf', '%i %s\n'], { encoding: 'utf8' });
    const sizes = new Map(
      stdout
        .trim()
        .split('\n')
        .map((line) => line.split(' ') as [string, string]),
    );
    return [...sizes.values()].reduce((sum, size) => sum + Number(size ?? 0), 0);
  };
  const parts = async (): Promise<Record<string, number>> =>
    Object.fromEntries((await client.system.onDisk()).map(({ Name, Bytes }) => [Name, Bytes]));
  const totals = (usage: DiskUsage): Record<string, number> => ({
    layers: usage.LayersSize,
    containers: usage.Containers!.reduce((sum, { SizeRw = 0 }) => sum + SizeRw, 0),
    volumes: usage.Volumes!.reduce((sum, { UsageData }) => sum + UsageData!.Size, 0),
    'build cache': usage.BuildCache!.reduce((sum, { Shared, Size }) => sum + (Shared ? 0 : Size), 0),
  });

  before(async () => {
    await daemon.start();
    await daemon.importBusybox();
    const context = join(directory, 'context');
    mkdirSync(context);
    writeFileSync(join(context, 'file'), Buffer.alloc(3_000_000, 'x'));
    const build = async (name: string, ...lines: string[]): Promise<void> => {
      writeFileSync(join(context, 'Dockerfile'), ['FROM busybox', 'COPY file /file', ...lines, ''].join('\n'));
      await docker('build', '-q', '-t', name, context);
    };
    await build('one', 'RUN head -c 2000000 /dev/zero >/two');
    await build(
      'two',
      'RUN head -c 2000000 /dev/zero >/two',
      'RUN ln /two /linked && head -c 700000 /dev/zero >/three',
    );
    // nobody's but the cache's from now on
    await build('gone', 'RUN head -c 900000 /dev/zero >/four');
    await docker('rmi', 'gone');
    await docker(
      'run',
      '-d',
      '--name',
      'writes',
      '--network',
      'none',
      '-v',
      'vol:/v',
      'two',
      'sh',
      '-c',
      'head -c 500000 /dev/zero >/v/x; head -c 600000 /dev/zero >/y; seq 50000; touch /done; sleep 100000',
    );
    while ((await docker('exec', 'writes', 'sh', '-c', 'ls /done || true')) === '') await sleep(50);
  });
  after(async () => {
    await docker('rm', '-f', 'writes');
    await docker('volume', 'prune', '-af');
    client.close();
    await daemon.stop();
    await nothingLeft(daemon);
  });

  test('the parts are together what du finds', async () => {
    const found = await parts();
    const total = Object.values(found).reduce((sum, bytes) => sum + bytes, 0);
    assert.ok(Math.abs(total - du(data)) <= SLACK, `${total} said, ${du(data)} found: ${JSON.stringify(found)}`);
    assert.equal(found['blobs'], du(join(data, 'blobs')));
    assert.ok(found['logs and files']! > 50_000 * 5, 'the log of a container');
  });

  test('what df adds up is what is on the disk', async () => {
    const found = await parts();
    const said = totals(await client.system.diskUsage());
    assert.equal(said['volumes'], found['volumes']);
    // where symlinks point to is not in the size of a layer, as in Docker's; nor are mount points in that of a container
    for (const name of ['layers', 'containers']) {
      assert.ok(Math.abs(said[name]! - found[name]!) < 4096, `${name}: ${said[name]} ${found[name]}`);
    }
    assert.ok(found['layers']! > 7_000_000 && found['layers']! < 10_000_000, 'layers that are shared count once');
    // of files that clients sent, the cache has a list beside them
    assert.ok(
      Math.abs(said['build cache']! - found['build cache']!) <= SLACK,
      `${said['build cache']} ${found['build cache']}`,
    );
  });

  test('gantry system df --on-disk shows them with their sum', async () => {
    const shown = await runInProcess(['system', 'df', '--on-disk', '--format', '{{.Part}} {{.Bytes}}'], {
      env: daemon.clientEnv,
    });
    assert.equal(shown.code, 0, shown.stderr);
    const lines = shown.stdout
      .trim()
      .split('\n')
      .map((line) => /^(.*) (\d+)$/.exec(line)!);
    const total = lines.pop()!;
    assert.equal(total[1], 'total');
    assert.equal(
      lines.reduce((sum, line) => sum + Number(line[2]), 0),
      Number(total[2]),
    );
  });

  test('gantry system df -v gives templates its four lists', async () => {
    const df = async (format: string): Promise<string> =>
      (await runInProcess(['system', 'df', '-v', '--format', format], { env: daemon.clientEnv })).stdout;
    const all = JSON.parse(await df('json')) as Record<string, unknown[]>;
    assert.deepEqual(Object.keys(all), ['Images', 'Containers', 'Volumes', 'BuildCache']);
    assert.equal(
      await df('{{len .BuildCache}}{{range .Images}} {{.Repository}}{{end}}'),
      `${all['BuildCache']!.length}${all['Images']!.map((image) => ` ${(image as { Repository: string }).Repository}`).join('')}\n`,
    );
  });

  test('what prune says that it freed is free', async () => {
    const before = du(data);
    const { SpaceReclaimed } = await client.builder.prune({ all: true });
    assert.ok(SpaceReclaimed >= 900_000);
    for (let tries = 0; Math.abs(before - du(data) - SpaceReclaimed) > SLACK; tries++) {
      assert.ok(tries < 200, `${SpaceReclaimed} said, ${before - du(data)} found`);
      await sleep(100);
    }
  });
});
