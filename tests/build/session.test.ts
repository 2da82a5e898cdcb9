/** What a build asks its client for: files that changed and no others, secrets, the ssh agent. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { listClientTree } from '../../src/cli/archive/client-tree.ts';
import { SshAgentSocket } from '../../src/engine/builder/ssh-agent-socket.ts';
import type { BuildSession, ClientDirectorySource } from '../../src/engine/engine.ts';
import { Engine } from '../../src/index.ts';
import { runInProcess } from '../cli/in-process.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { printed, type PrivateRoots, privateRoots } from '../support/private-engine.ts';

const here = fs.mkdtempSync(join(tmpdir(), 'gantry-session-'));
after(() => fs.rmSync(here, { recursive: true }));

/** Files whose change time is not of this moment, so that the engine may trust it. */
async function write(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    const path = join(folder, name);
    fs.mkdirSync(join(path, '..'), { recursive: true });
    fs.writeFileSync(path, text);
  }
  const settled = Date.now() + 30;
  while (Date.now() < settled) await new Promise((next) => setTimeout(next, 10));
}

interface Asked {
  manifests: number;
  files: string[];
}

/** A client with a directory, which counts what it is asked for. */
function client(folder: string, more: Partial<BuildSession> = {}): BuildSession & { readonly asked: Asked } {
  const asked: Asked = { manifests: 0, files: [] };
  const tree = listClientTree(folder, { excluded: () => false, enter: () => false, variant: '' });
  const names = (JSON.parse(Buffer.from(tree.manifest).toString()) as [string][]).map(([name]) => name);
  const source: ClientDirectorySource = {
    key: tree.key,
    name: folder,
    tree: tree.tree,
    async *manifest() {
      asked.manifests++;
      yield tree.manifest;
    },
    content: (needed) => {
      asked.files.push(...needed.map((index) => names[index]!));
      return tree.content(needed);
    },
  };
  return {
    asked,
    secret: async () => undefined,
    sshAgent: async () => undefined,
    directory: (name) => (name === 'context' ? source : undefined),
    ...more,
  };
}

async function built(engine: Engine, session: BuildSession, request = {}): Promise<{ id: string; log: string }> {
  let log = '';
  const onProgress = ({ stream }: { readonly stream?: string }): void => void (log += stream ?? '');
  const { id } = await engine.builder.build(undefined, request, { session, onProgress });
  return { id, log };
}

describe('a session with an engine in the process', () => {
  let roots: PrivateRoots;
  let engine: Engine;
  before(async () => {
    roots = await privateRoots();
    engine = await Engine.open(roots.options);
    await engine.images.pull('busybox', {});
  });
  after(async () => {
    await engine.close();
    await roots.discard();
  });

  test('only what changed is asked for, and of what did not nothing', async () => {
    const folder = join(here, 'changing');
    const Dockerfile =
      'FROM busybox\nCOPY . /data\nRUN cd /data && find . | sort && cat a b/c && stat -c "%a %Y" a && ls -l link\n';
    await write(folder, { Dockerfile, a: 'one', 'b/c': 'two', 'b/d/e': 'three' });
    fs.symlinkSync('b/c', join(folder, 'link'));
    fs.chmodSync(join(folder, 'a'), 0o751);
    fs.utimesSync(join(folder, 'a'), 1_500_000_000, 1_500_000_000);
    await write(folder, {});
    const first = client(folder);
    const { id, log } = await built(engine, first);
    assert.deepEqual(first.asked, { manifests: 1, files: ['Dockerfile', 'a', 'b/c', 'b/d/e'] });
    assert.match(log, /\.\/a\n\.\/b\n\.\/b\/c\n\.\/b\/d\n\.\/b\/d\/e\n\.\/link\nonetwo751 315532800\n/);
    assert.match(log, /link -> b\/c\n/);

    const again = client(folder);
    assert.equal((await built(engine, again)).id, id);
    assert.deepEqual(again.asked, { manifests: 0, files: [] });

    await write(folder, { 'b/c': 'TWO' });
    const changed = client(folder);
    assert.match((await built(engine, changed)).log, /oneTWO751/);
    assert.deepEqual(changed.asked, { manifests: 1, files: ['b/c'] });

    // A directory becomes a link, a file goes, a link becomes a file.
    fs.rmSync(join(folder, 'b/d'), { recursive: true });
    fs.symlinkSync('/etc', join(folder, 'b/d'));
    fs.rmSync(join(folder, 'link'));
    await write(folder, { link: 'no more' });
    const other = client(folder);
    const { log: after } = await built(engine, other);
    assert.deepEqual(other.asked.files, ['link']);
    assert.match(after, /\.\/a\n\.\/b\n\.\/b\/c\n\.\/b\/d\n\.\/link\n/);

    // The content as it was: what was built from it is still known.
    fs.rmSync(join(folder, 'link'));
    fs.rmSync(join(folder, 'b/d'));
    fs.symlinkSync('b/c', join(folder, 'link'));
    await write(folder, { 'b/c': 'two', 'b/d/e': 'three' });
    assert.equal((await built(engine, client(folder))).id, id);
  });

  test('a layer made of them does not change when they do', async () => {
    const folder = join(here, 'linked');
    await write(folder, { Dockerfile: 'FROM busybox\nCOPY f /f\nCOPY f /g\nCOPY f /etc/f\n', f: 'before' });
    const { id } = await built(engine, client(folder));
    // They are the client's files by other names, also in directories of the layers below.
    const snapshots = join(roots.options.dataRoot!, 'snapshots');
    for (const name of ['f', 'g', 'etc/f']) {
      const found = fs.readdirSync(snapshots).map((n) => join(snapshots, n, 'fs', name));
      assert.deepEqual(
        found.filter((path) => fs.existsSync(path)).map((path) => fs.statSync(path).nlink),
        [4],
        name,
      );
    }
    await write(folder, { f: 'behind' });
    await built(engine, client(folder));
    const text = async (image: string): Promise<string> => {
      const script = 'cat /f; echo x >>/f; cat /g';
      const { Id } = await engine.containers.create(
        { Image: image, Cmd: ['sh', '-c', script], HostConfig: { NetworkMode: 'none' } },
        {},
      );
      await engine.containers.start(Id);
      await engine.containers.wait(Id, 'not-running');
      const { output } = await engine.containers.logs(Id, { stdout: true, stderr: true, follow: true });
      const { stdout } = await printed(output);
      await engine.containers.remove(Id, { force: true });
      return stdout;
    };
    assert.equal(await text(id), 'beforebefore');
    assert.equal(await text(id), 'beforebefore');
  });

  test('a list that leads out of its directory is refused', async () => {
    const folder = join(here, 'hostile');
    await write(folder, { Dockerfile: 'FROM busybox\nCOPY . /\n' });
    const file = (path: string): unknown[] => [path, 0o100644, 1, '0', 'x'];
    const link = (path: string, target: string): unknown[] => [path, 0o120777, 0, '0', 'x', target];
    const lists: [unknown, RegExp][] = [
      [[file('../x')], /no path below the directory/],
      [[file('/etc/x')], /no path below the directory/],
      [[file('a/../../x')], /no path below the directory/],
      [[file('a\0b')], /no path below the directory/],
      [[link('a', '/etc'), file('a/passwd')], /is in no directory/],
      [[file('a'), file('a')], /there twice/],
      [[['dev', 0o020666, 0, '0', 'x']], /is no entry/],
      ['nothing', /it is no list/],
    ];
    for (const [list, error] of lists) {
      const source: ClientDirectorySource = {
        key: 'hostile',
        name: 'hostile',
        async *manifest() {
          yield Buffer.from(JSON.stringify(list));
        },
        async *content() {
          yield Buffer.from('never');
        },
      };
      await assert.rejects(built(engine, client(folder, { directory: () => source })), error);
    }
  });

  test('a client that goes away in the middle leaves nothing that is wrong', async () => {
    const folder = join(here, 'leaving');
    await write(folder, { Dockerfile: 'FROM busybox\nCOPY . /d\nRUN cat /d/a /d/z\n', a: 'A', z: 'Z' });
    const whole = client(folder).directory!('context')!;
    const half: ClientDirectorySource = {
      ...whole,
      async *content(needed) {
        for await (const chunk of whole.content(needed, undefined)) {
          yield chunk.subarray(0, chunk.length - 5);
          throw new Error('gone');
        }
      },
    };
    await assert.rejects(built(engine, client(folder, { directory: () => half })), /gone/);
    const { log } = await built(engine, client(folder));
    assert.match(log, /AZ/);
  });

  test('names may be any bytes', async () => {
    const folder = join(here, 'nämen');
    const Dockerfile = 'FROM busybox\nCOPY . /d\nRUN cd /d; for f in */*; do echo "$f" | od -An -tx1; cat "$f"; done\n';
    await write(folder, { Dockerfile, 'dé/ñ': 'one' });
    const raw = (bytes: string): Buffer => Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(bytes, 'latin1')]);
    fs.mkdirSync(raw('d\xff'));
    fs.writeFileSync(raw('d\xff/\xfe'), 'two');
    await write(folder, {});
    const { log } = await built(engine, client(folder));
    assert.match(log, / 64 c3 a9 2f c3 b1 0a\none 64 ff 2f fe 0a\ntwo/);
  });

  describe('many small files', () => {
    const folder = join(here, 'many');
    const COUNT = 3000;
    /** Two at once ask for them. */
    const asking = (
      content: (needed: readonly number[], whole: ClientDirectorySource) => AsyncIterable<Uint8Array>,
    ) => {
      const whole = client(folder).directory!('context')!;
      const shares: number[] = [];
      const source: ClientDirectorySource = {
        ...whole,
        parallel: true,
        content: (needed) => {
          shares.push(needed.length);
          return content(needed, whole);
        },
      };
      return { session: client(folder, { directory: () => source }), shares };
    };
    const all = (needed: readonly number[], whole: ClientDirectorySource): AsyncIterable<Uint8Array> =>
      whole.content(needed, undefined);
    before(async () => {
      const files = Object.fromEntries(
        Array.from({ length: COUNT }, (_, n) => [`d${n % 7}/${n}`, n === 1000 ? 'x'.repeat(700_000) : `${n}\n`]),
      );
      const Dockerfile = 'FROM busybox\nCOPY . /d\nRUN cd /d; find . -type f | wc -l; cat d*/* | sha256sum; rm d0/0\n';
      await write(folder, { Dockerfile, ...files });
    });

    test('come by two ways when half of them is lost, and only the other half again', async () => {
      const lost = asking(async function* (needed, whole) {
        if (needed[0]! > 0) throw new Error('half is lost');
        yield* all(needed, whole);
      });
      await assert.rejects(built(engine, lost.session), /half is lost/);
      assert.deepEqual(lost.shares, [1500, 1501]);

      const again = asking(all);
      const one = await built(engine, again.session);
      const sent = again.shares.reduce((sum, share) => sum + share, 0);
      assert.ok(sent >= 1501 && sent <= COUNT + 1, String(again.shares));
      assert.match(one.log, new RegExp(`\n${COUNT + 1}\n[0-9a-f]{64}`));

      // The same by one way, in a directory of its own.
      const other = { ...client(folder).directory!('context')!, key: 'another' };
      const single = await built(engine, client(folder, { directory: () => other }), { noCache: true });
      assert.equal(single.id, one.id);
    });

    test('are taken as lost when they are not what was asked for', async () => {
      const wrong = asking(async function* (needed, whole) {
        for await (const chunk of all(needed, whole)) yield Buffer.from(chunk).fill(0xee, 0, needed[0] === 0 ? 0 : 4);
      });
      await write(folder, { 'd1/new': 'new' });
      const source = { ...wrong.session.directory!('context')!, key: 'wrong' };
      const session = client(folder, { directory: () => source });
      await assert.rejects(built(engine, session), /are not those that were asked for/);
      assert.match((await built(engine, client(folder))).log, new RegExp(`\n${COUNT + 2}\n`));
    });
  });

  test('two builds of one directory at once each have their own files', async () => {
    const folder = join(here, 'twice');
    await write(folder, { Dockerfile: 'FROM busybox\nRUN sleep 1\nCOPY f /\nRUN cat /f\n', f: 'first' });
    const begun = Promise.withResolvers<void>();
    let log = '';
    const one = engine.builder.build(
      undefined,
      {},
      {
        session: client(folder),
        onProgress: ({ stream }) => {
          log += stream ?? '';
          if (log.includes('Step 2/')) begun.resolve();
        },
      },
    );
    await begun.promise;
    await write(folder, { f: 'second' });
    assert.match((await built(engine, client(folder))).log, /second/);
    await one;
    assert.match(log, /first/);
  });

  test('a secret is seen by its step and by nobody else', async () => {
    const folder = join(here, 'secret');
    await write(folder, {
      Dockerfile: `FROM busybox
RUN --mount=type=secret,id=token,uid=7,gid=8,mode=0440 stat -c "%a %u:%g" /run/secrets/token && [ "$(sha256sum </run/secrets/token | cut -c1-8)" = 1f3fa74b ]
RUN --mount=type=secret,id=token,target=/etc/tok,env=TOKEN [ "$TOKEN" = "$(cat /etc/tok)" ] && grep -q " /etc/tok .* tmpfs " /proc/self/mountinfo
RUN --mount=type=secret,id=token,env=ONLY [ "$(printf %s "$ONLY" | sha256sum | cut -c1-8)" = 1f3fa74b ] && [ ! -e /run/secrets ]
RUN --mount=type=secret,id=other [ ! -e /run/secrets/other ]
RUN [ ! -e /run/secrets/token ] && [ ! -e /etc/tok ] && [ -z "$TOKEN" ]
`,
    });
    const session = client(folder, {
      secret: async (id) => (id === 'token' ? Buffer.from('s3cr3t-value') : undefined),
    });
    const { id, log } = await built(engine, session);
    assert.match(log, /440 7:8/);
    assert.doesNotMatch(log, /s3cr3t-value/);
    const documents = [
      await engine.images.inspect(id),
      await engine.images.history(id),
      await engine.builder.diskUsage(),
    ];
    assert.doesNotMatch(JSON.stringify(documents), /s3cr3t-value/);
    assert.deepEqual(grep(roots.directory, 's3cr3t-value'), []);

    await write(folder, { Dockerfile: 'FROM busybox\nRUN --mount=type=secret,id=none,required true\n' });
    await assert.rejects(built(engine, client(folder)), /secret none: not found/);
  });

  test('the ssh agent is a socket in the step', async () => {
    const folder = join(here, 'ssh');
    const path = join(here, 'agent');
    const agent = createServer((socket) => void socket.end('agent speaks\n'));
    await new Promise<void>((resolve) => agent.listen(path, resolve));
    const toAgent = async (id: string): Promise<Duplex | undefined> =>
      id === 'default' ? connect({ path, allowHalfOpen: true }) : undefined;
    try {
      await write(folder, {
        Dockerfile: `FROM busybox
RUN --mount=type=ssh,uid=9,mode=0640 [ -S "$SSH_AUTH_SOCK" ] && stat -c "%a %u" "$SSH_AUTH_SOCK"
RUN --mount=type=ssh,target=/here [ "$SSH_AUTH_SOCK" = /here ] && [ -S /here ]
RUN --mount=type=ssh,id=other [ -n "$SSH_AUTH_SOCK" ] && [ ! -e "$SSH_AUTH_SOCK" ]
`,
      });
      assert.match((await built(engine, client(folder, { sshAgent: toAgent }))).log, /640 9/);
      await write(folder, { Dockerfile: 'FROM busybox\nRUN --mount=type=ssh,required true\n' });
      await assert.rejects(built(engine, client(folder)), /unset ssh forward key default/);

      const socket = join(here, 'forwarded');
      await using forwarded = await SshAgentSocket.listen(
        socket,
        () => toAgent('default'),
        (await toAgent('default'))!,
      );
      for (let n = 0; n < 3; n++) {
        let said = '';
        for await (const data of connect({ path: forwarded.path })) said += String(data);
        assert.equal(said, 'agent speaks\n');
      }
    } finally {
      agent.close();
    }
  });
});

describe('gantry build', () => {
  const directory = join(here, 'daemon');
  const daemon = new DaemonProcess({ directory });
  before(async () => {
    await daemon.start();
    await runInProcess(['pull', 'busybox'], { env: daemon.clientEnv });
  });
  after(() => daemon.stop());
  const gantry = (
    words: readonly string[],
    options: { stdin?: string | Uint8Array; env?: Record<string, string> } = {},
  ) => runInProcess(['build', ...words], { ...options, env: { ...daemon.clientEnv, ...options.env } });

  test('secrets by file and variable, the agent, a Dockerfile from stdin or from elsewhere, no context at all', async () => {
    const folder = join(here, 'cli');
    await write(folder, {
      'app/.dockerignore': 'Dockerfile\n*.log\n!keep.log\ndist\n',
      'app/Dockerfile':
        'FROM busybox\nCOPY . /d\nRUN cd /d; find . | sort; cat /d/a\nRUN --mount=type=secret,id=f --mount=type=secret,id=v,env=V cat /run/secrets/f | tr a-z A-Z; echo "$V" | tr a-z A-Z\n',
      'app/a': 'content of a\n',
      'app/x.log': '',
      'app/keep.log': '',
      'app/dist/out': '',
      'Elsewhere.dockerfile': 'FROM busybox\nCOPY a /other\nRUN cat /other\n',
      secret: 'from file',
    });
    const app = join(folder, 'app');
    const words = [`--secret=id=f,src=${join(folder, 'secret')}`, '--secret=id=v,env=TOKEN', app];
    const first = await gantry(words, { env: { TOKEN: 'from variable' } });
    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stdout, /\.\n\.\/\.dockerignore\n\.\/a\n\.\/keep\.log\ncontent of a\n/);
    assert.match(first.stdout, /FROM FILEFROM VARIABLE/);
    const missing = await gantry([`--secret=id=f,src=${folder}/none`, app]);
    assert.match(missing.stderr, /stat .*none: no such file or directory/);
    assert.equal((await gantry(['-f', join(folder, 'Elsewhere.dockerfile'), app])).code, 0);
    const piped = await gantry(['-f', '-', app], { stdin: 'FROM busybox\nCOPY a /p\nRUN cat /p\n' });
    assert.match(piped.stdout, /content of a/, piped.stderr);
    const alone = await gantry(['-'], { stdin: 'FROM busybox\nRUN echo al""one\n' });
    assert.match(alone.stdout, /alone/, alone.stderr);
    const failing = await gantry(['-'], { stdin: 'FROM busybox\nRUN exit 9\n' });
    assert.equal(failing.code, 9);
    const none = await gantry(['-'], { stdin: 'FROM busybox\nCOPY a /\n' });
    assert.match(none.stderr, /not found/);
  });
});

describe('what is asked for all steps', () => {
  const daemon = new DaemonProcess({ directory: join(here, 'flags') });
  before(async () => {
    await daemon.start();
    await runInProcess(['pull', 'busybox'], { env: daemon.clientEnv });
  });
  after(() => daemon.stop());

  test('hosts, limits and memory are there, and a step that had others is made again', async () => {
    const folder = join(here, 'asked');
    await write(folder, {
      Dockerfile:
        'FROM busybox\nRUN grep -h . /etc/hosts; ulimit -n; df -k /dev/shm; grep NoNewPrivs /proc/self/status\n',
    });
    const build = (...words: string[]) => runInProcess(['build', ...words, folder], { env: daemon.clientEnv });
    const words = [
      '--add-host=db:10.9.8.7',
      '--ulimit=nofile=123:456',
      '--shm-size=8m',
      '--security-opt=no-new-privileges',
    ];
    const first = await build(...words);
    assert.match(first.stdout, /10\.9\.8\.7\s+db/, first.stderr);
    assert.match(first.stdout, /^123$/m);
    assert.match(first.stdout, /^shm\s+8192 /m);
    assert.match(first.stdout, /NoNewPrivs:\s+1/);
    assert.match((await build(...words)).stdout, /Using cache/);
    const other = await build('--add-host=db:10.9.8.8', ...words.slice(1));
    assert.match(other.stdout, /10\.9\.8\.8\s+db/);
    assert.match((await build('--isolation=hyperv')).stderr, /unsupported isolation: "hyperv"/);
  });
});

describe('contexts with a name, layers on their own', () => {
  const directory = join(here, 'named');
  const daemon = new DaemonProcess({ directory });
  const gantry = (...words: string[]) => runInProcess(words, { env: daemon.clientEnv });
  const folder = join(here, 'contexts');
  before(async () => {
    await write(folder, {
      'app/Dockerfile': `FROM base AS base
FROM busybox AS made
RUN echo made >/from; echo made >/r
FROM busybox
COPY --from=other /from /o
COPY --from=made /from /m
RUN --mount=from=other,target=/x cat /x/from /o /m
`,
      'other/from': 'of the directory\n',
      'other/.dockerignore': 'hidden\n',
      'other/hidden': '',
      'link/Dockerfile': `ARG BASE
FROM $BASE
COPY --link a /d/a
COPY --link --chmod=600 --from=src /from /d/b
RUN cat /d/a /d/b; stat -c %a /d/b; test -e /base
`,
      'link/a': 'linked\n',
      'bases/Dockerfile': 'FROM busybox\nARG N\nRUN echo $N >/base\n',
    });
    await daemon.start();
    await gantry('pull', 'busybox');
  });
  after(() => daemon.stop());

  test('a directory, an image and a stage in the place of names in the Dockerfile', async () => {
    const app = join(folder, 'app');
    const words = [
      'build',
      '--build-context',
      `other=${folder}/other`,
      '--build-context',
      'base=docker-image://busybox',
    ];
    const { code, stdout, stderr } = await gantry(...words, app);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /of the directory\nof the directory\nmade\n/);
    const replaced = await gantry(...words, '--build-context', `made=${folder}/other`, app);
    assert.match(replaced.stdout, /of the directory\nof the directory\nof the directory\n/, replaced.stderr);
    const asBase = await gantry('build', '--build-context', `base=${folder}/other`, '--target', 'base', app);
    assert.match(asBase.stdout, /Successfully built/, asBase.stderr);
    assert.match((await gantry('build', '--build-context', 'x', app)).stderr, /expected key=value/);
    const fresh = await gantry(...words, '--no-cache-filter', 'made', app);
    assert.match(fresh.stdout, /RUN echo made >\/from; echo made >\/r\n ---> [0-9a-f]{12}\n/);
    assert.match(fresh.stdout, /COPY --from=other \/from \/o\n ---> Using cache/);
  });

  test('an image of an OCI layout in the place of a base and of a source of files', async () => {
    const layout = join(folder, 'layout');
    const made = join(folder, 'made');
    fs.mkdirSync(made);
    fs.writeFileSync(join(made, 'Dockerfile'), 'FROM busybox\nENV OF=layout\nRUN echo in the layout >/made\n');
    const exported = await gantry('build', '-t', 'made:1', '-o', `type=oci,dest=${layout},tar=false`, made);
    assert.equal(exported.code, 0, exported.stderr);
    const user = join(folder, 'user');
    fs.mkdirSync(user);
    fs.writeFileSync(
      join(user, 'Dockerfile'),
      'FROM outside\nRUN cat /made; echo "OF=$OF"\nFROM busybox\nCOPY --from=outside /made /copied\nRUN cat /copied\n',
    );
    const build = (value: string, ...more: string[]) =>
      gantry('build', '--build-context', `outside=oci-layout://${value}`, ...more, user);
    for (const value of [layout, `${layout}:1`, `${layout}@${digestIn(layout)}`]) {
      const { code, stdout, stderr } = await build(value, '--no-cache');
      assert.equal(code, 0, stderr);
      assert.match(stdout, /in the layout\n/);
    }
    assert.match((await build(layout, '--target', '0', '--no-cache')).stdout, /in the layout\nOF=layout\n/);
    assert.match((await build(`${layout}:none`)).stderr, /it has no image none: there are/);
    assert.match((await build(folder)).stderr, /is no OCI layout/);
    // What a layout says is not believed.
    const blobs = join(layout, 'blobs/sha256');
    for (const name of fs.readdirSync(blobs)) fs.writeFileSync(join(blobs, name), 'something else');
    await gantry('builder', 'prune', '-af');
    assert.match((await build(layout)).stderr, /of the layout is something else/);
  });

  test('COPY --link is made once, whatever it is put upon', async () => {
    for (const n of ['1', '2'])
      assert.equal((await gantry('build', '-t', `base${n}`, '--build-arg', `N=${n}`, join(folder, 'bases'))).code, 0);
    const link = (base: string): ReturnType<typeof gantry> =>
      gantry('build', '--build-arg', `BASE=${base}`, '--build-context', `src=${folder}/other`, join(folder, 'link'));
    const first = await link('base1');
    assert.match(first.stdout, /linked\nof the directory\n600\n/, first.stderr);
    const second = await link('base2');
    assert.equal(second.stdout.match(/COPY --link.*\n ---> Using cache/g)?.length, 2, second.stdout + second.stderr);
    assert.match(second.stdout, /linked\nof the directory\n600\n/);
  });
});

function digestIn(layout: string): string {
  const { manifests } = JSON.parse(fs.readFileSync(join(layout, 'index.json'), 'utf8')) as {
    manifests: [{ digest: string }];
  };
  return manifests[0].digest;
}

/** Files below a directory that hold the text. */
function grep(root: string, text: string): string[] {
  const { stdout, status } = spawnSync('grep', ['-rlaFD', 'skip', text, root], { encoding: 'utf8' });
  assert.ok(status === 0 || status === 1);
  return stdout.split('\n').filter((line) => line !== '');
}
