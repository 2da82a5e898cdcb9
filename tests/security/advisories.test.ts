/** Attacks that others' advisories of 2024 to 2026 tell of, tried against this engine: the lines of docs/security.md that name this file. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { before, test } from 'node:test';
import type { ContainerCreateRequest, HostConfig } from '../../src/api/container.ts';
import { errorMessage } from '../../src/base/errors.ts';
import type { Engine } from '../../src/index.ts';
import { streamOf, tarOf, sampleImage } from '../images/archive.ts';
import { busyboxRoot } from '../support/busybox-root.ts';
import { printed, withEngine } from '../support/private-engine.ts';
import { runOrRefusal as run } from '../support/run-script.ts';

before(() => assert.equal(process.getuid?.(), 0, 'these tests run containers: run them as root'));

async function start(
  engine: Engine,
  script: string,
  hostConfig: HostConfig = {},
  more: Partial<ContainerCreateRequest> = {},
): Promise<string> {
  const { Id } = await engine.containers.create({
    Image: 'busybox',
    Cmd: ['sh', '-c', script],
    ...more,
    HostConfig: { NetworkMode: 'none', ...hostConfig },
  });
  await engine.containers.start(Id);
  return Id;
}

async function exec(engine: Engine, container: string, Cmd: string[], more = {}): Promise<string> {
  try {
    const { Id } = await engine.execs.create(container, { Cmd, AttachStdout: true, AttachStderr: true, ...more });
    const session = await engine.execs.start(Id, { tty: false });
    const { stdout, stderr } = await printed(session.output);
    return stdout + stderr;
  } catch (error) {
    return `refused: ${errorMessage(error)}`;
  }
}

/** What the build printed, and why it failed. */
async function build(engine: Engine, lines: readonly string[], context?: Uint8Array): Promise<string> {
  let log = '';
  const onProgress = ({ stream }: { readonly stream?: string }): void => void (log += stream ?? '');
  const request = { dockerfileText: lines.join('\n'), networkMode: 'none', noCache: true };
  try {
    await engine.builder.build(context && streamOf(context), request, { onProgress });
  } catch (error) {
    return `${log}\nrefused: ${errorMessage(error)}`;
  }
  return log;
}

/** A directory of the host that nobody may change, with a file that nobody may read. */
function makeCanary(directory: string): { readonly path: string; check(): void } {
  const path = join(directory, 'canary');
  mkdirSync(join(path, 'deep'), { recursive: true });
  writeFileSync(join(path, 'secret'), 'of-the-host');
  const look = (): string =>
    spawnSync('sh', ['-c', `cd ${path}; find . -exec stat -c '%n %a %u:%g %h %s' {} + | sort; cat secret`], {
      encoding: 'utf8',
    }).stdout;
  const before = look();
  return { path, check: () => assert.equal(look(), before) };
}

test('what a cache is called, and where mounts of a step lead, are no paths of the host (CVE-2024-9675, CVE-2024-1753)', () =>
  withEngine(async (engine, { directory }) => {
    const canary = makeCanary(directory);
    const up = '../'.repeat(12);
    for (const mount of [
      `type=cache,id=${up}${canary.path},target=/c`,
      `type=cache,id=${canary.path},target=/c`,
      `type=cache,target=/c,id=x,source=${up}${canary.path},from=base`,
      `type=cache,target=${up}${canary.path}`,
      `type=bind,from=base,source=/out,target=/c,rw`,
      `type=bind,from=base,source=/out/${up}${canary.path},target=/c,rw`,
      `type=bind,from=base,target=/proc/self/root/c,rw`,
      `type=tmpfs,target=/link/deep`,
      `type=tmpfs,target=/proc/1/root${canary.path}`,
      `type=bind,from=base,source=/out,target=/proc`,
      `type=bind,from=base,source=/etc,target=/proc/self/fd,rw`,
    ]) {
      const said = await build(engine, [
        'FROM busybox AS base',
        `RUN ln -s ${canary.path} /link && ln -s / /out`,
        'FROM base',
        `RUN --mount=${mount} cat /c/secret /c/deep/secret ${canary.path}/secret; touch /c/escaped /link/escaped; mkdir -p /c/deep/escaped; true`,
      ]);
      assert.doesNotMatch(said, /of-the-host/, mount);
      canary.check();
    }
    const caches = readdirSync(join(directory, 'data/cache/build-mounts'));
    assert.ok(caches.length > 0 && caches.every((name) => /^[0-9a-f]{32}(-\d+)?$/.test(name)), caches.join(' '));
  }));

test('what a step writes into a bind is gone with it (CVE-2025-4953, CVE-2024-11218)', () =>
  withEngine(async (engine) => {
    const context = await tarOf({ 'from-client': 'x', 'd/inner': 'y' });
    const lines = [
      'FROM busybox AS other',
      'RUN mkdir /o && echo kept > /o/f',
      'FROM busybox',
      'RUN --mount=type=bind,target=/c,rw --mount=type=bind,from=other,source=/o,target=/o,rw rm -r /c/from-client /o/f; echo w > /c/left; echo w > /o/left; mkdir /c/d/left; ls /c /o',
      'RUN --mount=type=bind,target=/c --mount=type=bind,from=other,source=/o,target=/o echo now: $(ls /c /c/d /o); touch /c/x || echo read-only',
      'COPY . /copied',
      'COPY --from=other /o /o2',
      'RUN echo after: $(ls /copied /copied/d /o2)',
    ];
    for (let round = 0; round < 2; round++) {
      const said = await build(engine, lines, context);
      assert.match(said, /^now: \/c: d from-client \/c\/d: inner \/o: f$/m, said);
      assert.match(said, /^read-only$/m);
      assert.match(said, /^after: \/copied: d from-client \/copied\/d: inner \/o2: f$/m, said);
    }
  }));

test('a container that swaps the place of another’s mount while that starts (22; CVE-2024-45310, CVE-2021-30465)', () =>
  withEngine(async (engine, { directory }) => {
    const canary = makeCanary(directory);
    const source = join(directory, 'source');
    mkdirSync(source);
    const Binds = ['shared:/shared'];
    const inside = `/shared/real${canary.path}`;
    const swapper = await start(
      engine,
      `mkdir -p /shared/real/deep ${inside}; ln -s ${canary.path} /shared/link; ln -s ../../../../../../../../..${canary.path} /shared/up; mv /shared/real /shared/place
       echo ready; while :; do for l in link up; do mv /shared/place /shared/aside; mv /shared/$l /shared/place; mv /shared/place /shared/$l; mv /shared/aside /shared/place; done; done`,
      { Binds },
    );
    let started = 0;
    for (let tries = 0; tries < 20; tries++) {
      const said = await run(engine, 'echo ran; touch /shared/place/deep/x /shared/place/new/x; true', {
        Binds: [...Binds, `${source}:/shared/place/new${tries}`],
        Tmpfs: { [`/shared/place/deep/t${tries}`]: '', '/shared/place/secret': '' },
      });
      if (/^ran$/m.test(said)) started++;
      assert.doesNotMatch(said, /of-the-host/);
      canary.check();
    }
    assert.ok(started > 0, 'none of them started');
    await engine.containers.remove(swapper, { force: true });
    await engine.volumes.remove('shared', { force: true });
  }));

test('a container that swaps the part of a bind that others mount (CVE-2021-25741, CVE-2017-1002101)', () =>
  withEngine(async (engine, { directory }) => {
    const canary = makeCanary(directory);
    const source = join(directory, 'source');
    mkdirSync(join(source, 'part'), { recursive: true });
    writeFileSync(join(source, 'part', 'secret'), 'inside');
    const swapper = await start(
      engine,
      `ln -s ${canary.path} /s/link; ln -s ../../../../../../..${canary.path} /s/up
       while :; do for l in link up; do mv /s/part /s/aside; mv /s/$l /s/part; mv /s/part /s/$l; mv /s/aside /s/part; done; done`,
      { Binds: [`${source}:/s`] },
    );
    let started = 0;
    for (let tries = 0; tries < 24 && (tries < 18 || started === 0); tries++) {
      // what is made in between ends the swapping: at the end
      const BindOptions = { Subpath: 'part', CreateMountpoint: tries >= 15 && started > 0 };
      const said = await run(engine, 'cat /p/secret || echo none; touch /p/x', {
        Mounts: [{ Type: 'bind', Source: source, Target: '/p', BindOptions }],
      });
      if (said.startsWith('inside')) started++;
      assert.doesNotMatch(said, /of-the-host/);
      canary.check();
    }
    assert.ok(started > 0, 'none of them started');
    await engine.containers.remove(swapper, { force: true });
  }));

test('cp against a container that swaps what is copied (29; CVE-2018-15664, CVE-2026-41568, CVE-2026-42306)', () =>
  withEngine(async (engine, { directory }) => {
    const canary = makeCanary(directory);
    const id = await start(
      engine,
      `mkdir -p /d/deep /v; echo inside > /d/secret; ln -s ${canary.path} /link; echo ready
       while :; do mv /d /aside; mv /link /d; mv /d /link; mv /aside /d; done`,
      { Binds: ['other:/v'] },
    );
    const archive = await tarOf({ 'new/file': 'x', secret: 'overwritten' });
    const done = { put: 0, got: 0 };
    for (let tries = 0; tries < 150; tries++) {
      for (const path of ['/d', '/d/deep']) {
        const put = engine.containers.archivePut(id, path, streamOf(archive));
        if (
          await put.then(
            () => true,
            () => false,
          )
        )
          done.put++;
        try {
          const { tar } = await engine.containers.archiveGet(id, path === '/d' ? '/d/secret' : path);
          const data = Buffer.concat(await Array.fromAsync(tar));
          assert.ok(!data.includes('of-the-host'), 'a file of the host was read');
          done.got++;
        } catch (error) {
          assert.doesNotMatch(errorMessage(error), /host was read/);
        }
      }
    }
    canary.check();
    assert.ok(done.put > 0 && done.got > 0, JSON.stringify(done));
    await engine.containers.remove(id, { force: true });
    await engine.volumes.remove('other', { force: true });
  }));

test('programs and libraries that a container puts in the way of the engine’s are not run (16, 17; CVE-2026-41567, CVE-2019-14271)', () =>
  withEngine(async (engine, { directory }) => {
    const names = 'tar xz gzip gunzip zstd unpigz pigz bzip2 brotli nft ip iptables nsenter ps runc crun conmon getent';
    const id = await start(
      engine,
      `mkdir -p /usr/bin /usr/sbin /usr/local/bin /sbin /lib/x86_64-linux-gnu /lib64
       for d in /usr/bin /usr/sbin /usr/local/bin /sbin; do for n in ${names}; do rm -f $d/$n; printf '#!/bin/busybox sh\\necho %s >> /ran\\n' $n > $d/$n; chmod 755 $d/$n; done; done
       echo /evil.so > /etc/ld.so.preload; echo not a library > /evil.so; cp /evil.so /lib/x86_64-linux-gnu/libnss_files.so.2; cp /evil.so /lib/x86_64-linux-gnu/libc.so.6; cp /evil.so /lib64/ld-linux-x86-64.so.2
       echo 'passwd: evil' > /etc/nsswitch.conf; echo data > /file; echo ready; sleep 1000`,
    );
    while (!(await exec(engine, id, ['cat', '/file'])).includes('data'));
    const archive = join(directory, 'a.tar');
    spawnSync('sh', [
      '-c',
      `cd ${directory}; echo in > in; tar -cf a.tar in; gzip -k a.tar; xz -k a.tar; bzip2 -k a.tar`,
    ]);
    for (const suffix of ['', '.gz', '.xz', '.bz2']) {
      if (!existsSync(archive + suffix)) continue;
      await engine.containers.archivePut(id, '/tmp', streamOf(readFileSync(archive + suffix))).catch((error: unknown) =>
        // a kind of compression that is not taken is said; nothing else may happen
        assert.match(errorMessage(error), /compress|archive|tar/i),
      );
    }
    for await (const _ of (await engine.containers.archiveGet(id, '/etc')).tar);
    for await (const _ of await engine.containers.export(id));
    await engine.containers.changes(id);
    await engine.containers.top(id, '-ef');
    await engine.containers.commit(id, { repo: 'trapped', tag: '1' });
    const said = await build(
      engine,
      ['FROM trapped:1', 'ADD a.tar.gz /unpacked/', 'COPY --chown=nobody in /in', 'USER nobody', 'WORKDIR /a/b'],
      await tarOf({ 'a.tar.gz': readFileSync(`${archive}.gz`), in: 'x' }),
    );
    assert.doesNotMatch(said, /refused: (?!.*(unable to find user|nobody))/, said);
    assert.equal(await exec(engine, id, ['sh', '-c', 'cat /ran 2>/dev/null; echo end']), 'end\n');
    await engine.containers.remove(id, { force: true });
  }));

test('nothing that listens on the host’s own addresses alone is reached by a bridge (CVE-2025-9074, CVE-2020-8558)', () =>
  withEngine(async (engine) => {
    let asked = 0;
    const server = createServer((_request, response) => {
      asked++;
      response.end('of-the-host');
    });
    await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve));
    const { port } = server.address() as AddressInfo;
    try {
      // a port that is published on this address must not open the rest of it
      const web = await start(
        engine,
        'mkdir /w; echo page > /w/index.html; httpd -f -p 80 -h /w',
        { NetworkMode: 'bridge', PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '' }] } },
        { ExposedPorts: { '80/tcp': {} } },
      );
      const wget = (host: string): string => `timeout 3 wget -T 2 -qO- http://${host}:${port}/ || echo no`;
      const said = await run(
        engine,
        `gw=$(ip route | awk '/default/{print $3}'); ${wget('$gw')}; ${wget('127.0.0.1')}; ${wget('host.docker.internal')}
         ip addr del 127.0.0.1/8 dev lo; ip link set lo down; ip route add 127.0.0.1 via $gw; ip route add 127.0.0.2 via $gw; ${wget('127.0.0.1')}; ${wget('127.0.0.2')}; echo end`,
        { NetworkMode: 'bridge', CapAdd: ['NET_ADMIN'], ExtraHosts: ['host.docker.internal:host-gateway'] },
      );
      assert.match(said, /end$/);
      assert.doesNotMatch(said, /of-the-host/);
      assert.equal(asked, 0);
      await engine.containers.remove(web, { force: true });
    } finally {
      server.close();
    }
  }));

test('what steers a runtime is not taken from images and clients (CVE-2025-24965, CVE-2026-53488)', () =>
  withEngine(async (engine, { directory }) => {
    const canary = makeCanary(directory);
    const steering = {
      'run.oci.handler': 'krun',
      'run.oci.hooks.stdout': join(canary.path, 'out'),
      'run.oci.seccomp.receiver': join(canary.path, 'socket'),
      'run.oci.mount_context_type': 'context',
      'run.oci.systemd.subgroup': '../..',
    };
    for (const [name, value] of Object.entries(steering)) {
      const said = await run(engine, 'echo ran', { Annotations: { [name]: value } });
      assert.match(said, /refused: .*reserved for the runtime/);
      canary.check();
    }
    const lines = Object.entries(steering).map(([name, value]) => `LABEL ${name}=${value}`);
    assert.doesNotMatch(await build(engine, ['FROM busybox', ...lines]), /refused/);
    const { Id } = (await engine.images.list({ all: true })).find(({ Labels }) => Labels?.['run.oci.handler'])!;
    assert.equal(await run(engine, 'echo ran', {}, { Image: Id }), 'ran');
    canary.check();
  }));

test('files of somebody’s choosing in place of /proc are refused, under every runtime (CVE-2023-28642, CVE-2019-16884, CVE-2025-52881)', () =>
  withEngine(async (engine, { directory }) => {
    const source = join(directory, 'fake');
    mkdirSync(join(source, 'self/attr'), { recursive: true });
    mkdirSync(join(source, 'sys'));
    writeFileSync(join(source, 'self/attr/exec'), '');
    writeFileSync(join(source, 'file'), 'told');
    const made = await build(engine, ['FROM busybox', 'RUN ln -s /proc /link && ln -s ../../proc/self /tmp/up']);
    const { Id } = (await engine.images.list({ all: true })).find(({ Id: id }) => made.includes(id.slice(7, 19)))!;
    const more = { Image: Id };
    for (const place of [
      '/proc',
      '/proc/',
      '/a/../proc/self/attr',
      '/proc/sys',
      '/proc/sys/net',
      '/link/self',
      '/link',
      '/tmp/up/attr',
    ]) {
      const refused = /^refused: .*cannot be mounted because it is (inside \/proc|not of type proc)/;
      assert.match(await run(engine, 'true', { Binds: [`${source}:${place}`] }, more), refused, place);
      assert.match(await run(engine, 'true', {}, { ...more, Volumes: { [place]: {} } }), refused, place);
      const step = ['FROM busybox AS base', 'RUN ln -s /proc /link && ln -s ../../proc/self /tmp/up', 'FROM base'];
      const said = await build(engine, [...step, `RUN --mount=type=bind,from=base,source=/etc,target=${place} true`]);
      assert.match(said, /cannot be mounted because it is/, `${place}: ${said}`);
    }
    // links in what is mounted before
    const linked =
      'ln -s /proc /v/p; mkdir /v/deep; ln -s ../../x/../proc/self /v/deep/up; ln -s deep/up/.. /v/chain; ln -s /a /v/a';
    assert.equal(await run(engine, linked, { Binds: ['linked:/v'] }), '');
    const runtimes = Object.keys((await engine.system.info()).Runtimes ?? {});
    for (const Runtime of runtimes.filter((name) => name === 'crun' || name === 'runc')) {
      for (const place of ['/v/p', '/v/p/self/attr', '/v/deep/up', '/v/deep/up/attr', '/v/chain/sys', '/v/chain']) {
        const said = await run(engine, 'true', {
          Runtime,
          Binds: ['linked:/v', `${source}:${place}`],
        });
        assert.match(said, /^refused: .*cannot be mounted because it is/, `${Runtime} ${place}`);
      }
    }
    // the engine's own files are mounted where an image may have links, too
    for (const file of ['hosts', 'resolv.conf', 'hostname']) {
      const context = await tarOf({ [`etc/${file}`]: { symlink: '../proc/self/attr/exec' } });
      const tag = `trap-${file}`;
      await engine.builder.build(streamOf(context), { dockerfileText: 'FROM busybox\nCOPY etc /etc', tags: [tag] }, {});
      const said = await run(engine, 'true', {}, { Image: tag });
      assert.match(said, /^refused: .*cannot be mounted because it is inside \/proc/, file);
    }
    assert.equal(await run(engine, 'cat /a/file', { Binds: ['linked:/v', `${source}:/v/a`] }), 'told');
    await engine.volumes.remove('linked');
    assert.equal(await run(engine, 'cat /proc/uptime', { Binds: [`${join(source, 'file')}:/proc/uptime:ro`] }), 'told');
    assert.match(await run(engine, 'cat /proc/uptime', { Binds: ['/proc:/proc'] }), /^[0-9.]+ |refused: .*proc/);
    // what is the container's own may be hidden from it
    const hidden = await run(engine, 'ls /sys | wc -l; echo x > /sys/f && echo own', { Tmpfs: { '/sys': '' } });
    assert.match(hidden, /own$/);
  }));

test('a user that is too large is nobody, never root (CVE-2024-40635)', () =>
  withEngine(async (engine) => {
    const users = [
      '4294967296',
      '4294967295',
      '2147483648',
      '18446744073709551616',
      '-1',
      '0x0',
      '1e0',
      '+0',
      '4294967296:0',
      '1:4294967296',
      ' 0',
      '٠',
    ];
    for (const User of users) {
      const said = await run(engine, 'id -u', {}, { User });
      assert.match(said, /^refused: /, `${User}: ${said}`);
      const built = await build(engine, ['FROM busybox', `USER "${User}"`, 'RUN echo uid=$(id -u)']);
      assert.doesNotMatch(built, /^uid=/m, `${User}: ${built}`);
    }
  }));

test('a further process among leaked descriptors (21; CVE-2024-21626, CVE-2026-55686)', () =>
  withEngine(async (engine, { directory }) => {
    const canary = makeCanary(directory);
    const id = await start(engine, 'ln -s /proc/self/fd /fds; ln -s /proc/self/cwd /cwd; sleep 1000');
    for (let fd = 3; fd < 14; fd++) {
      for (const place of [`/proc/self/fd/${fd}`, `/fds/${fd}`, `/proc/self/fd/${fd}/../../..${canary.path}`]) {
        const said = await exec(engine, id, ['cat', `../../../../../..${canary.path}/secret`, 'secret'], {
          WorkingDir: place,
        });
        assert.doesNotMatch(said, /of-the-host/, place);
      }
    }
    assert.doesNotMatch(await exec(engine, id, ['cat', 'secret'], { WorkingDir: '/cwd' }), /of-the-host/);
    await engine.containers.remove(id, { force: true });
  }));

test('images whose documents lack what everybody looks at, or have it otherwise, end no engine (CVE-2024-36620, CVE-2024-36621, CVE-2024-23650)', () =>
  withEngine(async (engine) => {
    const layer = spawnSync('tar', ['-C', await busyboxRoot(), '-c', '.'], { maxBuffer: 64 << 20 }).stdout;
    const { diffId, layer: small } = await sampleImage('x');
    assert.ok(layer.length > 0);
    const whole = { architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [diffId] } };
    const odd: Record<string, unknown>[] = [
      { ...whole, config: null, history: null, created: null },
      { ...whole, history: [] },
      { ...whole, history: [{}, {}, {}], created: 'nonsense' },
      { ...whole, history: Array.from({ length: 1000 }, () => ({ empty_layer: true })) },
      { ...whole, history: 'text', config: 'text' },
      {
        ...whole,
        config: { Env: null, Cmd: 'text', Entrypoint: {}, ExposedPorts: [], Volumes: { '': {} }, Labels: ['a'] },
      },
      { ...whole, config: { Env: [1, null], Healthcheck: { Test: 'NONE', Interval: -1e30 }, StopSignal: 9, User: 0 } },
      { ...whole, config: { OnBuild: ['RUN', '\u0000', 'FROM x', 'ONBUILD ONBUILD RUN x'] } },
      { ...whole, config: { WorkingDir: '../..', Volumes: { '../../x': {}, '/': {} }, Env: ['=x', 'A\u0000B=1'] } },
      { architecture: 'amd64', os: 'linux', rootfs: null },
      { architecture: [], os: {}, rootfs: { diff_ids: {} } },
      { ...whole, os: 'windows', 'os.version': {}, variant: 7 },
    ];
    const answers: string[] = [];
    const ask = async (what: string, work: () => Promise<unknown>): Promise<void> => {
      try {
        await work();
      } catch (error) {
        const { code = 'none', message } = error as { code?: string; message: string };
        answers.push(`${what}: ${code}: ${message}`);
      }
    };
    for (const [index, document] of odd.entries()) {
      const name = `odd:${index}`;
      const archive = await tarOf({
        'config.json': JSON.stringify(document),
        'layer.tar': small,
        'manifest.json': JSON.stringify([{ Config: 'config.json', RepoTags: [name], Layers: ['layer.tar'] }]),
      });
      await ask(`${index} load`, () => engine.images.load(streamOf(archive)));
      await ask(`${index} inspect`, () => engine.images.inspect(name));
      await ask(`${index} history`, () => engine.images.history(name));
      await ask(`${index} save`, async () => {
        for await (const _ of await engine.images.save([name]));
      });
      for (const answer of [
        await build(engine, [`FROM ${name}`, 'COPY --from=busybox /bin/busybox /bin/sh', 'RUN echo hi']),
        await run(engine, 'true', {}, { Image: name }),
      ])
        answers.push(`${index}: ${answer.split('\n').at(-1)}`);
    }
    await engine.images.list({ all: true });
    await engine.system.diskUsage();
    for (const answer of answers)
      assert.doesNotMatch(answer, /undefined|is not a function|Cannot read|not iterable|internal:/, answer);
    assert.equal(await run(engine, 'echo alive'), 'alive');
  }));

test('arguments of top are no command line of the host', () =>
  withEngine(async (engine, { directory }) => {
    const canary = makeCanary(directory);
    const id = await start(engine, 'sleep 1000');
    for (const words of [
      `-ef; touch ${canary.path}/x`,
      `$(touch ${canary.path}/x)`,
      `-C init -o pid,args`,
      `axo pid,args`,
      `--pid 1`,
      `-p 1`,
      `-o pid,environ e`,
    ]) {
      const top = await engine.containers.top(id, words).catch(errorMessage);
      assert.doesNotMatch(JSON.stringify(top), /init|systemd|node /i, words);
      canary.check();
    }
    await engine.containers.remove(id, { force: true });
  }));
