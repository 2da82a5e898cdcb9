/** Contexts and files that the engine fetches itself: git repositories, archives and Dockerfiles of the web. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { tarHeader } from '../../src/content/tar/header.ts';
import { writeTar } from '../../src/content/tar/writer.ts';
import type { BuildRequest, BuildSession } from '../../src/engine/engine.ts';
import { Engine } from '../../src/index.ts';
import { GitServer } from '../support/git-server.ts';
import { type PrivateRoots, privateRoots } from '../support/private-engine.ts';

const here = fs.mkdtempSync(join(tmpdir(), 'gantry-remote-'));

function git(directory: string, ...words: string[]): string {
  const identity = ['-c', 'user.name=t', '-c', 'user.email=t@example.org', '-c', 'protocol.file.allow=always'];
  const { status, stdout, stderr } = spawnSync('git', ['-C', directory, ...identity, ...words], {
    encoding: 'utf8',
    env: { ...process.env, GIT_AUTHOR_DATE: '2020-01-02T03:04:05Z', GIT_COMMITTER_DATE: '2020-01-02T03:04:05Z' },
  });
  assert.equal(status, 0, stderr);
  return stdout.trim();
}

function write(directory: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(join(directory, name, '..'), { recursive: true });
    fs.writeFileSync(join(directory, name), text);
  }
}

async function tar(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const entries = Object.entries(files).map(([name, text]) => ({
    header: tarHeader({ type: 'file', name, size: Buffer.byteLength(text), mode: 0o644 }),
    body: [Buffer.from(text)],
  }));
  const parts: Uint8Array[] = [];
  for await (const part of writeTar(entries)) parts.push(part);
  return Buffer.concat(parts);
}

describe('what a build fetches', () => {
  let roots: PrivateRoots;
  let engine: Engine;
  let repositories: GitServer;
  let web: Server;
  let address: string;
  let first: string;
  const requests: string[] = [];

  before(async () => {
    const repository = join(here, 'app');
    fs.mkdirSync(repository);
    git(repository, 'init', '--quiet', '-b', 'main');
    const library = join(here, 'library');
    fs.mkdirSync(library);
    git(library, 'init', '--quiet', '-b', 'main');
    write(library, { 'lib.txt': 'of the library' });
    git(library, 'add', '.');
    git(library, 'commit', '--quiet', '-m', 'library');
    write(repository, {
      Dockerfile: 'FROM busybox\nCOPY . /s\nRUN cat /s/text; ls -A /s; cat /s/lib/lib.txt || true\n',
      text: 'first\n',
      'sub/Dockerfile': 'FROM busybox\nCOPY own /own\nRUN cat /own\n',
      'sub/own': 'of the directory\n',
    });
    fs.symlinkSync('/etc', join(repository, 'out'));
    git(repository, 'add', '.');
    git(repository, 'commit', '--quiet', '-m', 'first');
    git(repository, 'tag', '-a', '-m', 'v1', 'v1');
    first = git(repository, 'rev-parse', 'HEAD');
    git(repository, 'checkout', '--quiet', '-b', 'feature/x');
    repositories = await GitServer.start(here);
    git(repository, 'submodule', 'add', '--quiet', library, 'lib');
    git(repository, 'config', '-f', '.gitmodules', 'submodule.lib.url', `${repositories.url}/library/.git`);
    write(repository, { text: 'second\n' });
    git(repository, 'add', '.');
    git(repository, 'commit', '--quiet', '-m', 'second');
    git(repository, 'checkout', '--quiet', 'main');

    const archive = await tar({ Dockerfile: 'FROM busybox\nCOPY in /in\nRUN cat /in\n', in: 'of the archive\n' });
    web = createServer((request, response) => {
      requests.push(request.url!);
      if (request.url === '/context.tar') return void response.end(archive);
      if (request.url === '/Dockerfile') return void response.end('FROM busybox\nRUN echo from the w""eb\n');
      if (request.url === '/file') return void response.writeHead(200, { ETag: '"1"' }).end('a file\n');
      response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
    address = `http://127.0.0.1:${(web.address() as AddressInfo).port}`;
    roots = await privateRoots();
    engine = await Engine.open(roots.options);
    await engine.images.pull('busybox', {});
  });
  after(async () => {
    repositories.close();
    web.closeAllConnections();
    web.close();
    await engine.close();
    await roots.discard();
    fs.rmSync(here, { recursive: true });
  });

  async function built(request: BuildRequest, session?: BuildSession): Promise<string> {
    let log = '';
    const onProgress = ({ stream }: { readonly stream?: string }): void => void (log += stream ?? '');
    await engine.builder.build(undefined, request, { onProgress, ...(session && { session }) });
    return log;
  }

  async function fromText(text: string, request: BuildRequest = {}): Promise<string> {
    return built({ ...request, dockerfileText: text });
  }

  test('a repository as the context: branch, tag, commit, directory, submodules', async () => {
    const repository = `${repositories.url}/app/.git`;
    assert.match(await built({ remote: repository }), /first\nDockerfile\nout\nsub\ntext\n/);
    assert.match(await built({ remote: `${repository}#v1` }), /Using cache/);
    assert.match(
      await built({ remote: `${repository}#feature/x` }),
      /second\n\.gitmodules\nDockerfile\nlib\n.*of the library/s,
    );
    assert.match(await built({ remote: `${repository}#${first}` }), /Using cache/);
    assert.match(await built({ remote: `${repository}#${first.slice(0, 9)}` }), /Using cache/);
    assert.match(await built({ remote: `${repository}#main:sub` }), /of the directory/);
    assert.match(await built({ remote: `${repository}?branch=main&subdir=sub` }), /Using cache/);
    await assert.rejects(built({ remote: `${repository}#nothing` }), /does not contain ref nothing/);
    await assert.rejects(built({ remote: `${repository}#main:out` }), /is not a directory/);
    await assert.rejects(built({ remote: `${repository}#main:../..` }), /leads out of the repository/);
    await assert.rejects(built({ remote: `${repository}#--upload-pack=x` }), /is no reference/);
    await assert.rejects(built({ remote: `${repositories.url}/none.git` }), /failed to read the git repository/);
    await assert.rejects(built({ remote: `file://${join(here, 'app')}` }), /no address that can be fetched/);
  });

  test('ADD of a repository', async () => {
    const repository = `${repositories.url}/app/.git`;
    const add = (words: string): string =>
      `FROM busybox\nADD ${words} /r/\nRUN find /r -maxdepth 1 | sort; stat -c %Y:%u /r/text\n`;
    assert.match(await fromText(add(`${repository}#v1`)), /\/r\n\/r\/Dockerfile\n\/r\/out\n\/r\/sub\n\/r\/text\n\d+:0/);
    assert.match(await fromText(add(`--keep-git-dir=true ${repository}#v1`)), /\/r\/\.git\n/);
    await fromText(add(`--checksum=${first.slice(0, 12)} ${repository}#v1`));
    await assert.rejects(
      fromText(add(`--checksum=${'0'.repeat(40)} ${repository}#v1`)),
      /expected checksum to match 0{40}, got/,
    );
    const again = await fromText(add(`${repository}#v1`));
    assert.match(again, /ADD.*\n ---> Using cache/);
  });

  test('a token for the repository goes to it, and into nothing that is kept', async () => {
    repositories.authorizations.length = 0;
    const session: BuildSession = {
      secret: async (id) => (id === 'GIT_AUTH_TOKEN' ? Buffer.from('t0ken-of-git') : undefined),
      sshAgent: async () => undefined,
    };
    await built({ remote: `${repositories.url}/app/.git#v1`, noCache: true }, session);
    const header = `basic ${Buffer.from('x-access-token:t0ken-of-git').toString('base64')}`;
    assert.ok(repositories.authorizations.includes(header));
    // A build's own files go when it has answered.
    const builds = (): string[] =>
      fs.readdirSync(join(roots.directory, 'data/tmp')).filter((name) => name.startsWith('build-'));
    for (let tries = 0; builds().length > 0 && tries < 600; tries++) await sleep(50);
    assert.deepEqual(builds(), []);
    const kept = fs
      .readdirSync(roots.directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile());
    for (const { parentPath, name } of kept) {
      const text = fs.readFileSync(join(parentPath, name));
      assert.ok(!text.includes('t0ken-of-git') && !text.includes(header.slice(6)), join(parentPath, name));
    }
  });

  test('an archive or a Dockerfile of the web as the context, a file for ADD that is asked for but not sent again', async () => {
    assert.match(await built({ remote: `${address}/context.tar` }), /of the archive/);
    assert.match(await built({ remote: `${address}/Dockerfile` }), /from the web/);
    await assert.rejects(built({ remote: `${address}/none` }), /invalid response status 404/);
    const text = `FROM busybox\nADD ${address}/file /\nRUN cat /file\n`;
    assert.match(await fromText(text), /a file/);
    assert.match(await fromText(text), /ADD.*\n ---> Using cache/);
    assert.equal(requests.filter((url) => url === '/file').length, 2);
  });
});
