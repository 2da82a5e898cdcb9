import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { gantryWords } from '../cli/command.ts';
import { has } from '../images/archive.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { leftBehind } from '../support/leak-check.ts';
import { noDockerd, PeerDockerd } from './peer-dockerd.ts';

const skip = process.getuid?.() !== 0 ? 'needs root' : !has('docker') && 'the docker CLI is not installed';

/** As Docker Hub answers: by relevance, with what people write into descriptions. */
const FOUND = [
  {
    name: 'nginx',
    description: 'Official build of Nginx.',
    star_count: 20_771,
    is_official: true,
    is_automated: false,
  },
  {
    name: 'nginx/nginx-ingress',
    description: 'NGINX and NGINX Plus Ingress Controllers for Kubernetes, and more than a line holds',
    star_count: 109,
    is_official: false,
    is_automated: false,
  },
  {
    name: 'someone/nginx-ünïcode',
    description: 'Für alle, die\nzwei Zeilen brauchen — 日本語の説明もあります、とても長いので切られる',
    star_count: 3,
    is_official: false,
    is_automated: false,
  },
  { name: 'empty/nginx', description: '', star_count: 0, is_official: false, is_automated: true },
];

const CASES: readonly (readonly string[])[] = [
  [],
  ['--no-trunc'],
  ['--limit', '2'],
  ['--limit', '100'],
  ['--limit', '101'],
  ['--limit', '-1'],
  ['--filter', 'stars=10'],
  ['--filter', 'is-official=true'],
  ['--filter', 'is-official=false', '--filter', 'stars=3'],
  ['--filter', 'is-official=maybe'],
  ['--filter', 'stars=many'],
  ['--filter', 'nothing=1'],
  ['--format', '{{.Name}}: {{.StarCount}} {{.IsOfficial}}'],
  ['--format', 'table {{.Name}}\t{{.Description}}'],
  ['--format', '{{json .}}'],
  ['--format', 'json'],
  ['--format', '{{.Nothing}}'],
];

interface Said {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(command: readonly string[], env: NodeJS.ProcessEnv): Promise<Said> {
  const child = spawn(command[0]!, command.slice(1), { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr, status] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number | null>((resolve) => child.once('close', resolve)),
  ]);
  return { status, stdout, stderr };
}

describe('search', { skip }, () => {
  const asked: string[] = [];
  let hub: Server;
  let host = '';
  let directory = '';
  let daemon: DaemonProcess;

  before(async () => {
    hub = createServer((request, response) => {
      const url = new URL(request.url!, 'http://hub');
      if (url.pathname === '/v1/_ping') return void response.end('{"standalone":true}');
      if (url.pathname !== '/v1/search') return void response.writeHead(404).end();
      asked.push(url.search);
      const results = url.searchParams.get('q') === 'none' ? [] : FOUND.slice(0, Number(url.searchParams.get('n')));
      response.setHeader('content-type', 'application/json');
      response.end(
        JSON.stringify({
          num_pages: 1,
          num_results: results.length,
          page_size: 25,
          page: 1,
          query: url.searchParams.get('q'),
          results,
        }),
      );
    });
    await new Promise<void>((resolve) => hub.listen(0, '127.0.0.1', resolve));
    host = `127.0.0.1:${(hub.address() as AddressInfo).port}`;
    directory = await mkdtemp(join(tmpdir(), 'gantry-search-'));
    const hosts = join(directory, 'hosts');
    await mkdir(join(hosts, 'index.docker.io'), { recursive: true });
    await writeFile(join(hosts, 'index.docker.io/hosts.toml'), `server = "http://${host}"\n`);
    daemon = new DaemonProcess({ directory: join(directory, 'd'), args: ['--registry-config-dir', hosts] });
    await daemon.start();
  });

  after(async () => {
    await daemon.stop();
    hub.closeAllConnections();
    hub.close();
    const { directory: own, bridge, cgroupParent } = daemon;
    assert.deepEqual(await leftBehind({ directory: own, bridge, cgroupParent }), []);
    await rm(directory, { recursive: true, force: true });
  });

  test(
    'with every flag the docker command prints the same of our engine and of Docker’s, and ours prints it too',
    { skip: noDockerd },
    async () => {
      await using peer = await PeerDockerd.start();
      for (const flags of CASES) {
        const words = ['search', ...flags, `${host}/nginx`];
        const [theirs, ours, own] = await Promise.all([
          peer.run(...words),
          run(['docker', ...words], daemon.clientEnv),
          run([process.execPath, ...gantryWords, ...words], daemon.clientEnv),
        ]);
        const named = flags.join(' ');
        // Docker 20 and 28 begin their errors with letters of another size.
        const plain = ({ status, stdout, stderr }: Said): Said => ({ status, stdout, stderr: stderr.toLowerCase() });
        assert.deepEqual(plain(ours), plain(theirs), `docker ${named}`);
        assert.deepEqual(
          { status: own.status, stdout: own.stdout },
          { status: theirs.status, stdout: theirs.stdout },
          `gantry ${named}`,
        );
      }
      const none = await peer.run('search', `${host}/none`);
      assert.deepEqual(await run(['docker', 'search', `${host}/none`], daemon.clientEnv), none);
    },
  );

  test('a name without a registry is looked for on Docker Hub, where that is', async () => {
    asked.length = 0;
    const { status, stdout, stderr } = await run(
      [
        process.execPath,
        ...gantryWords,
        'search',
        '--limit',
        '2',
        '--format',
        '{{.Name}} {{.StarCount}}',
        'library/nginx',
      ],
      daemon.clientEnv,
    );
    assert.deepEqual(
      { status, stdout, stderr },
      { status: 0, stdout: 'nginx 20771\nnginx/nginx-ingress 109\n', stderr: '' },
    );
    assert.deepEqual(asked, ['?q=nginx&n=2']);
  });

  test('a registry without a search says so', async () => {
    const other = createServer((_request, response) => response.writeHead(404).end());
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const name = `127.0.0.1:${(other.address() as AddressInfo).port}`;
    try {
      const { status, stderr } = await run([process.execPath, ...gantryWords, 'search', `${name}/x`], daemon.clientEnv);
      assert.equal(status, 1);
      assert.match(stderr, new RegExp(`the registry ${name} has no search`));
    } finally {
      other.closeAllConnections();
      other.close();
    }
  });
});
