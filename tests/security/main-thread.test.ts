/** Work on large content is done beside the thread that answers everybody: line 78 of docs/security.md. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Client, parseEndpoint } from '../../src/client/index.ts';
import { streamOf, tarOf } from '../images/archive.ts';
import { TestRegistry } from '../registry/test-registry.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { nothingLeft } from '../support/daemon-suite.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root, for an engine of its own';
const MIB = 1 << 20;

describe('work that could block the engine (78)', { skip }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-main-thread-'));
  const daemon = new DaemonProcess({ directory });
  let client: Client;

  /** Ticks of a processor that the thread that answers has had, and all threads together. */
  const used = (): { main: number; all: number } => {
    const ticks = (path: string): number => {
      const fields = readFileSync(path, 'latin1').split(') ')[1]!.split(' ');
      return Number(fields[11]) + Number(fields[12]);
    };
    return { main: ticks(`/proc/${daemon.pid}/task/${daemon.pid}/stat`), all: ticks(`/proc/${daemon.pid}/stat`) };
  };

  /** Asserts that of what the engine computes for it, little is computed by the thread that answers. */
  const beside = async (what: string, work: () => Promise<void>): Promise<void> => {
    const from = used();
    await work();
    const to = used();
    const [main, all] = [to.main - from.main, to.all - from.all];
    assert.ok(all >= 10, `${what}: ${all} ticks say nothing`);
    assert.ok(main < all / 2, `${what}: ${main} of ${all} ticks by the thread that answers`);
  };

  const succeeds = async (lines: AsyncIterable<{ readonly error?: string }>): Promise<void> => {
    for await (const { error } of lines) if (error !== undefined) throw new Error(error);
  };

  before(async () => {
    await daemon.start();
    await daemon.importBusybox();
    client = new Client({ endpoint: parseEndpoint(daemon.host) });
  });
  after(async () => {
    client.close();
    await daemon.stop();
    await nothingLeft(daemon);
  });

  test('layers are unpacked, packed, hashed and compressed by others', async () => {
    await using registry = await TestRegistry.open();
    // half of it compresses, so that both directions cost something
    const file = Buffer.concat([randomBytes(24 * MIB), Buffer.alloc(24 * MIB, 'some text ')]);
    const layer = gzipSync(await tarOf({ file }), { level: 1 });
    const name = `${registry.host}/large`;
    await beside('import', () =>
      succeeds(client.images.import({ source: '-', body: streamOf(layer), repository: name, tag: '1' })),
    );
    await beside('build', async () => {
      const context = await tarOf({ Dockerfile: 'FROM busybox\nCOPY file /file\nRUN cat /file /file >/twice\n', file });
      await succeeds(client.builder.build({ query: { t: `${name}:2`, rm: true }, context: streamOf(context) }));
    });
    await beside('push', async () => {
      for (const tag of ['1', '2']) await succeeds(client.images.push(name, { tag }));
    });
    for (const tag of ['1', '2']) await client.images.remove(`${name}:${tag}`, { force: true });
    await client.builder.prune({ all: true });
    await beside('pull', async () => {
      await Promise.all(['1', '2'].map((tag) => succeeds(client.images.pull({ image: name, tag }))));
    });
    assert.equal(readdirSync(join(directory, 'data', 'ingest')).length, 0);
  });

  test('expressions of clients in filters hold nobody up', async () => {
    const docker = (...args: string[]): string => {
      const { status, stdout, stderr } = spawnSync('docker', args, {
        env: daemon.clientEnv,
        encoding: 'utf8',
        timeout: 60_000,
      });
      assert.equal(status, 0, stderr);
      return stdout.trim();
    };
    const name = 'a'.repeat(100);
    docker('network', 'create', name);
    docker('create', '--name', name, '--network', 'none', 'busybox');
    docker('tag', 'busybox', name);
    const hostile = ['name=^(a+)+!', 'name=(a|a)*!', 'name=^(([a-z])+.)+[A-Z]([a-z])+$'].flatMap((one) => ['-f', one]);
    assert.equal(docker('network', 'ls', '-q', ...hostile), '');
    assert.equal(docker('ps', '-aq', ...hostile), '');
    assert.equal(docker('images', '-q', '-f', `reference=${'*a'.repeat(50)}*b`), '');
    assert.equal(docker('ps', '-a', '--format', '{{.Names}}', '-f', 'name=^a{100}$'), name);
    docker('rm', name);
    docker('rmi', name);
    docker('network', 'rm', name);
  });
});
