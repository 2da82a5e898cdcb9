/** Hostile images and containers against the engine: each line of docs/security.md that names this file. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ContainerCreateRequest, HostConfig } from '../../src/api/container.ts';
import type { Engine } from '../../src/index.ts';
import { streamOf, tarOf } from '../images/archive.ts';
import { busyboxRoot } from '../support/busybox-root.ts';
import { printed, type PrivateRoots, withEngine } from '../support/private-engine.ts';
import { runOrRefusal as run } from '../support/run-script.ts';

before(() => assert.equal(process.getuid?.(), 0, 'these tests run containers: run them as root'));

/** An image of busybox, changed by a script that runs in its root. */
async function imageWith(engine: Engine, { directory }: PrivateRoots, name: string, script: string): Promise<void> {
  const root = join(directory, `root-${name}`);
  const made = spawnSync('sh', ['-ec', `cp -a ${await busyboxRoot()} ${root}; cd ${root}; ${script}`], {
    encoding: 'utf8',
  });
  assert.equal(made.status, 0, made.stderr);
  const tar = spawnSync('tar', ['-C', root, '-c', '.'], { maxBuffer: 64 << 20 });
  await engine.images.import(
    (async function* () {
      yield tar.stdout;
    })(),
    { repository: name, tag: 'latest' },
  );
}

function digestsBelow(directory: string): string {
  return spawnSync('sh', ['-c', `cd ${directory}; find . -exec stat -c "%n %a %u %s %h" {} +; cat $(find . -type f)`], {
    encoding: 'utf8',
  }).stdout;
}

test('an image whose system directories are links or files reaches nothing outside (20)', () =>
  withEngine(async (engine, roots) => {
    const canary = join(roots.directory, 'canary');
    mkdirSync(canary);
    writeFileSync(join(canary, 'file'), 'untouched');
    const before = digestsBelow(canary);
    for (const [index, place] of ['dev', 'proc', 'sys', 'etc'].entries()) {
      await imageWith(engine, roots, `link${index}`, `rm -rf ${place}; ln -s ${canary} ${place}`);
      await imageWith(engine, roots, `up${index}`, `rm -rf ${place}; ln -s ../../../../../../..${canary} ${place}`);
      await imageWith(engine, roots, `file${index}`, `rm -rf ${place}; echo x > ${place}`);
      for (const kind of ['link', 'up', 'file']) {
        const said = await run(
          engine,
          'echo ran; echo x > /etc/new; echo x > /dev/new',
          {},
          { Image: `${kind}${index}` },
        );
        assert.match(said, /^(ran|refused: )/, `${kind} ${place}`);
        assert.equal(digestsBelow(canary), before, `${kind} ${place}`);
      }
    }
    for (const { Id } of await engine.images.list()) if (Id) await engine.images.remove(Id, { force: true });
  }));

test('a working directory among descriptors, and the descriptors of a process (21)', () =>
  withEngine(async (engine) => {
    for (let fd = 0; fd < 8; fd++) {
      const said = await run(
        engine,
        'pwd -P; ls ../../../../etc/debian_version',
        {},
        { WorkingDir: `/proc/self/fd/${fd}` },
      );
      assert.doesNotMatch(said, /^\S*debian_version$/m, `${fd}: ${said}`);
    }
    // the fourth is the directory that ls reads
    const own = (await run(engine, 'ls /proc/self/fd')).split('\n');
    assert.ok(own.length <= 4, own.join(' '));
    const { Id } = await engine.containers.create({
      Image: 'busybox',
      Cmd: ['sleep', '100'],
      HostConfig: { NetworkMode: 'none' },
    });
    await engine.containers.start(Id);
    const { Id: exec } = await engine.execs.create(Id, { Cmd: ['ls', '/proc/self/fd'], AttachStdout: true });
    const session = await engine.execs.start(exec, { tty: false });
    assert.ok((await printed(session.output)).stdout.trim().split('\n').length <= 4);
  }));

test('mounts whose place is a link of the image stay inside (22, 26)', () =>
  withEngine(async (engine, roots) => {
    const outside = join(roots.directory, 'outside');
    const source = join(roots.directory, 'source');
    mkdirSync(outside);
    mkdirSync(source);
    writeFileSync(join(source, 'mine'), 'x');
    await imageWith(
      engine,
      roots,
      'linked',
      `ln -s ${outside} target; ln -s / volume; mkdir -p full; ln -s ../../../../../../etc/shadow full/shadow`,
    );
    const before = digestsBelow(outside);
    assert.match(
      await run(engine, `ls ${outside}`, { Binds: [`${source}:/target`] }, { Image: 'linked' }),
      /mine|refused/,
    );
    assert.match(
      await run(engine, `ls ${outside}/deep`, { Binds: [`${source}:/target/deep`] }, { Image: 'linked' }),
      /mine|refused/,
    );
    await run(engine, 'true', { Tmpfs: { '/target/tmp': '' } }, { Image: 'linked' });
    assert.equal(digestsBelow(outside), before);
    // copied up as the link that it is, which leads to the container's own file
    const copied = await run(
      engine,
      'readlink /full/shadow; cat /full/shadow | wc -c',
      { Mounts: [{ Type: 'volume', Source: 'copied', Target: '/full' }] },
      { Image: 'linked' },
    );
    assert.match(copied, /^\.\.\/\.\.\/\.\.\/\.\.\/\.\.\/\.\.\/etc\/shadow/);
    assert.doesNotMatch(copied, /^[1-9]\d*$/m);
    await engine.volumes.remove('copied');
    await engine.images.remove('linked', { force: true });
  }));

test('groups of a user, and what a further process may (24, 32)', () =>
  withEngine(async (engine, roots) => {
    await imageWith(
      engine,
      roots,
      'grouped',
      'echo "worker:x:70:71::/:/bin/sh" >> etc/passwd; printf "main:x:71:\\nextra:x:72:worker\\nother:x:73:nobody\\n" >> etc/group',
    );
    assert.equal(await run(engine, 'id -G', {}, { Image: 'grouped', User: 'worker' }), '71 72');
    const STATUS = ['grep', '-E', '^(Cap|NoNewPrivs|Seccomp:)', '/proc/self/status'];
    const { Id } = await engine.containers.create({
      Image: 'busybox',
      Cmd: ['sleep', '100'],
      HostConfig: {
        NetworkMode: 'none',
        CapDrop: ['ALL'],
        CapAdd: ['CHOWN'],
        SecurityOpt: ['no-new-privileges'],
        PidsLimit: 50,
      },
    });
    await engine.containers.start(Id);
    const { Id: exec } = await engine.execs.create(Id, { Cmd: STATUS, AttachStdout: true });
    const said = (await printed((await engine.execs.start(exec, { tty: false })).output)).stdout;
    assert.match(
      said,
      /CapInh:\s0{16}\nCapPrm:\s0{15}1\nCapEff:\s0{15}1\nCapBnd:\s0{15}1\nCapAmb:\s0{16}\nNoNewPrivs:\s1\nSeccomp:\s2/,
    );
    await engine.containers.remove(Id, { force: true });
    await engine.images.remove('grouped', { force: true });
  }));

test('a program of the host is not changed by a container that opens its own (31); no socket has an abstract name (33)', () =>
  withEngine(async (engine) => {
    const runtimes = ['/usr/bin/crun', '/usr/sbin/runc', '/usr/bin/runc', '/usr/bin/conmon', process.execPath].filter(
      (path) => existsSync(path),
    );
    const sums = (): string[] => runtimes.map((path) => createHash('sha256').update(readFileSync(path)).digest('hex'));
    const before = sums();
    const { Id } = await engine.containers.create({
      Image: 'busybox',
      Cmd: [
        'sh',
        '-c',
        'while :; do for p in /proc/[0-9]*; do echo x > $p/exe; echo x > $p/fd/0; done 2>/dev/null; done',
      ],
      HostConfig: { NetworkMode: 'none' },
    });
    await engine.containers.start(Id);
    for (let count = 0; count < 8; count++) {
      const { Id: exec } = await engine.execs.create(Id, { Cmd: ['/proc/self/exe', 'true'], AttachStdout: true });
      await printed((await engine.execs.start(exec, { tty: false })).output);
    }
    assert.deepEqual(sums(), before);
    assert.doesNotMatch(readFileSync('/proc/net/unix', 'utf8'), new RegExp(`@.*(?:${Id.slice(0, 12)}|conmon|gantry)`));
    await engine.containers.remove(Id, { force: true });
  }));

test('a terminal is the container’s own: nothing is typed into another (34)', () =>
  withEngine(async (engine) => {
    const { Id } = await engine.containers.create({
      Image: 'busybox',
      // a terminal of its own on every start; the size is bounded by the kernel's type
      Cmd: ['sh', '-c', 'tty; readlink /proc/self/fd/0; ls /dev/pts'],
      Tty: true,
      OpenStdin: true,
      HostConfig: { NetworkMode: 'none' },
    });
    const exit = await engine.containers.wait(Id, 'next-exit');
    await engine.containers.start(Id);
    await exit.outcome;
    const { output } = await engine.containers.logs(Id, { stdout: true, stderr: true });
    const said = (await printed(output)).stdout.split('\r\n');
    assert.match(said[0]!, /^\/dev\/(?:console|pts\/0)$/);
    // only its own terminal is in its devpts, none of the host's
    assert.deepEqual(
      said
        .slice(2)
        .join(' ')
        .trim()
        .split(/\s+/)
        .filter((name) => name !== 'ptmx' && name !== '0'),
      [],
    );
    await engine.containers.remove(Id, { force: true });
  }));

test('a health check that prints without end costs no memory (27)', () =>
  withEngine(async (engine) => {
    const idle = process.memoryUsage().rss;
    const { Id } = await engine.containers.create({
      Image: 'busybox',
      Cmd: ['sleep', '1000'],
      Healthcheck: {
        Test: ['CMD-SHELL', 'head -c 60m /dev/zero | tr "\\0" x'],
        Interval: 1e9,
        Timeout: 30e9,
        Retries: 1,
      },
      HostConfig: { NetworkMode: 'none' },
    });
    await engine.containers.start(Id);
    for (let tries = 0; ; tries++) {
      const { State } = await engine.containers.inspect(Id);
      const [last] = State.Health?.Log ?? [];
      if (last) {
        assert.ok(last.Output.length <= 4200, `${last.Output.length}`);
        break;
      }
      assert.ok(tries < 600, 'no result');
      await sleep(100);
    }
    assert.ok(process.memoryUsage().rss - idle < 150 << 20, `${(process.memoryUsage().rss - idle) >> 20} MiB`);
    await engine.containers.remove(Id, { force: true });
  }));

test('times past what a timer can wait are long, not none: probes do not flood, a stop does not kill at once', () =>
  withEngine(async (engine) => {
    const { Id } = await engine.containers.create({
      Image: 'busybox',
      Cmd: ['sh', '-c', 'trap "sleep 0.5; exit 7" TERM; touch /ready; while :; do sleep 0.1; done'],
      Healthcheck: { Test: ['CMD-SHELL', 'echo x >> /probes'], Interval: 3.6e15 },
      HostConfig: { NetworkMode: 'none' },
    });
    await engine.containers.start(Id);
    const probes = async (): Promise<string> => {
      const exec = await engine.execs.create(Id, {
        Cmd: ['sh', '-c', 'until [ -e /ready ]; do sleep 0.1; done; sleep 0.5; ls /probes'],
        AttachStdout: true,
      });
      return (await printed((await engine.execs.start(exec.Id, { tty: false })).output)).stdout;
    };
    assert.equal(await probes(), '');
    await engine.containers.stop(Id, { timeoutSeconds: 3_000_000 });
    assert.equal((await engine.containers.inspect(Id)).State.ExitCode, 7);
    await engine.containers.remove(Id);
  }));

test('names that would be lines of their own in files are refused (91); output is never taken for structure (101)', () =>
  withEngine(async (engine) => {
    const refused: readonly (readonly [HostConfig, Partial<ContainerCreateRequest>])[] = [
      [{}, { Hostname: 'a\n1.2.3.4 evil' }],
      [{}, { Domainname: 'a\nb' }],
      [{ ExtraHosts: ['a\n9.9.9.9 evil:1.2.3.4'] }, {}],
      [{ Dns: ['1.2.3.4\nnameserver 9.9.9.9'] }, {}],
      [{ DnsSearch: ['a\nnameserver 9.9.9.9'] }, {}],
      [{ DnsOptions: ['a\nnameserver 9.9.9.9'] }, {}],
    ];
    for (const [hostConfig, more] of refused) {
      const said = await run(engine, 'cat /etc/hosts /etc/resolv.conf; echo', hostConfig, more);
      assert.doesNotMatch(
        said,
        /^(?:1\.2\.3\.4 evil|9\.9\.9\.9|nameserver 9\.9\.9\.9)/m,
        JSON.stringify([hostConfig, more]),
      );
      assert.match(said, /^refused: /, JSON.stringify([hostConfig, more]));
    }
    const forged = '2020-01-01T00:00:00.000000000+00:00 stderr F forged';
    const { Id } = await engine.containers.create({
      Image: 'busybox',
      Cmd: ['printf', `%s\\n\\n${forged}\\n\\r\\0end`, forged],
      HostConfig: { NetworkMode: 'none' },
    });
    const exit = await engine.containers.wait(Id, 'next-exit');
    await engine.containers.start(Id);
    await exit.outcome;
    const read = await printed(
      (await engine.containers.logs(Id, { stdout: true, stderr: true, timestamps: true })).output,
    );
    assert.equal(read.stderr, '');
    const lines = read.stdout.split('\n').filter((line) => line !== '');
    for (const line of lines) assert.doesNotMatch(line, /^2020/);
    assert.equal(lines.filter((line) => line.endsWith(forged)).length, 2);
    await engine.containers.remove(Id, { force: true });
  }));

test('nobody else on the host gets at the files of images, containers, volumes and builds, nor at what is written of them (9)', () =>
  withEngine(async (engine, { directory }) => {
    const { Id } = await engine.containers.create({
      Image: 'busybox',
      Cmd: ['sh', '-c', 'cp /bin/busybox /v/suid; chmod 4755 /v/suid; sleep 100'],
      Env: ['PASSWORD=hunter2'],
      HostConfig: { NetworkMode: 'none', Binds: ['vol:/v'] },
    });
    await engine.containers.start(Id);
    const { Id: exec } = await engine.execs.create(Id, { Cmd: ['sh', '-c', 'echo secret; exec sleep 100'] });
    await engine.execs.startDetached(exec);
    const looked = Promise.withResolvers<string[]>();
    const look = (): string[] => {
      spawnSync('chmod', ['755', directory]);
      const script =
        'while read -r path; do [ -r "$path" ] || [ -w "$path" ] || [ -f "$path" -a -x "$path" ] && echo "$path"; done; true';
      const asNobody = ['--reuid', '65534', '--regid', '65534', '--clear-groups', 'sh', '-c', script];
      const paths = ['data', 'run'].flatMap((name) =>
        readdirSync(join(directory, name), { recursive: true, encoding: 'utf8' }).map((path) =>
          join(directory, name, path),
        ),
      );
      assert.ok(paths.length > 100);
      const { stdout, status, stderr } = spawnSync('setpriv', asNobody, {
        input: paths.filter((path) => !path.includes('\n')).join('\n'),
        encoding: 'utf8',
        maxBuffer: 64 << 20,
      });
      assert.equal(status, 0, stderr);
      return stdout.split('\n').filter((path) => path !== '');
    };
    // in the middle of a step, which has all that a build has
    const context = await tarOf({ '.env': 'PASSWORD=hunter2', '.dockerignore': 'none', Dockerfile: 'FROM busybox' });
    const lines = [
      'FROM busybox',
      'COPY .env /env',
      'RUN --mount=type=bind,target=/b,rw --mount=type=cache,target=/c for d in /c /b; do cp /bin/busybox $d/suid; chmod 4755 $d/suid; done; echo now; sleep 3',
    ];
    const onProgress = ({ stream }: { readonly stream?: string }): void => {
      if (stream?.includes('now\n') && !stream.includes('RUN')) looked.resolve(look());
    };
    await engine.builder.build(
      streamOf(context),
      { dockerfileText: lines.join('\n'), networkMode: 'none' },
      { onProgress },
    );
    const harmless = /\/run\/(engine\.pid$|tasks\/[0-9a-f]+\/(monitor\.json|pid)$)/;
    for (const found of [await looked.promise, look()])
      assert.deepEqual(
        found.filter((path) => !harmless.test(path)),
        [],
      );
    await engine.containers.remove(Id, { force: true });
    await engine.volumes.remove('vol', { force: true });
  }));

test('what a container writes into its /etc/hosts stays its own, and is never read back (28)', () =>
  withEngine(async (engine, { options }) => {
    const { containers } = engine;
    const EVIL = '6.6.6.6 registry.example evil-line';
    await containers.create(
      {
        Image: 'busybox',
        Cmd: [
          'sh',
          '-c',
          `echo "${EVIL}" >> /etc/hosts; rm -f /etc/hosts 2>/dev/null; ln -sf /etc/passwd /etc/hosts 2>/dev/null; head -c 3000000 /dev/zero >> /etc/resolv.conf; sleep 1000`,
        ],
        HostConfig: { NetworkMode: 'bridge' },
      },
      { name: 'writer' },
    );
    await containers.start('writer');
    const own = join(options.dataRoot!, 'containers', (await containers.inspect('writer')).Id, 'hosts');
    for (let tries = 0; !readFileSync(own, 'utf8').includes('evil-line'); tries++) {
      assert.ok(tries < 300, 'it never wrote');
      await sleep(100);
    }
    assert.ok(!readFileSync('/etc/hosts', 'utf8').includes('evil-line'));
    assert.doesNotMatch(await run(engine, 'cat /etc/hosts', { NetworkMode: 'bridge' }), /evil-line/);
    const traced = await engine.networks.traceName('registry.example', 'writer').catch(() => ({ Addresses: [] }));
    assert.deepEqual(
      traced.Addresses.filter((address) => address === '6.6.6.6'),
      [],
    );
    await containers.restart('writer', { timeoutSeconds: 0 });
    const again = await run(engine, 'cat /etc/hosts', { NetworkMode: 'container:writer' });
    assert.match(again, /localhost/);
    assert.ok((await containers.inspect('writer')).HostsPath.startsWith(options.dataRoot!));
  }));

test('devices of a container that are links mask nothing of the host and open nothing of it (20, CVE-2025-31133, -52565, -52881)', () =>
  withEngine(async (engine) => {
    // of the host, and harmless
    const SETTING = '/proc/sys/kernel/domainname';
    const before = readFileSync(SETTING, 'utf8');
    try {
      // prepared in a volume that is the next container's /dev: what a racing one would put there at the right moment
      for (const [name, target] of [
        ['null', SETTING],
        ['console', SETTING],
        ['pts', '/proc/sys'],
      ] as const) {
        const made = await run(engine, `rm -rf /v/*; ln -s ${target} /v/${name}; ls /v`, {
          Mounts: [{ Type: 'volume', Source: 'dev', Target: '/v' }],
        });
        assert.equal(made, name);
        for (const Tty of [false, true]) {
          const said = await run(
            engine,
            `for p in /proc/kcore /proc/keys /proc/timer_list ${SETTING}; do echo evil > $p; done; head -c 10 /proc/kcore | wc -c`,
            { UTSMode: 'host', Mounts: [{ Type: 'volume', Source: 'dev', Target: '/dev' }] },
            { Tty },
          );
          assert.match(said, /^refused: |0$/, `${name} ${target}: ${said}`);
          assert.equal(readFileSync(SETTING, 'utf8'), before, `${name} ${target}`);
        }
      }
    } finally {
      if (readFileSync(SETTING, 'utf8') !== before) writeFileSync(SETTING, before);
      await engine.volumes.remove('dev');
    }
  }));

test('a limit of open files that no runtime can start with is told as that, and leaves nothing', () =>
  withEngine(async (engine) => {
    const limited = (nofile: number): Promise<string> =>
      run(engine, 'ulimit -n', { Ulimits: [{ Name: 'nofile', Soft: nofile, Hard: nofile }] });
    assert.match(await limited(5), /^refused: .*the limit of 5 open files \(--ulimit nofile\) is too low for \w+/);
    assert.equal(await limited(64), '64');
  }));

test('who may not send raw packets, or is set apart, claims no neighbour’s address (87)', () =>
  withEngine(async (engine) => {
    await engine.networks.create({ Name: 'together' });
    await engine.networks.create({ Name: 'apart', Options: { 'com.docker.network.bridge.enable_icc': 'false' } });
    for (const NetworkMode of ['together', 'apart']) {
      const { Id } = await engine.containers.create(
        { Image: 'busybox', Cmd: ['sleep', '1000'], HostConfig: { NetworkMode } },
        { name: `in-${NetworkMode}` },
      );
      await engine.containers.start(Id);
    }
    const addressIn = async (network: string): Promise<string> =>
      (await engine.containers.inspect(`in-${network}`)).NetworkSettings.Networks[network]!.IPAddress!;
    const asks = async (network: string, more: HostConfig = {}): Promise<string> =>
      run(engine, `arping -c 3 -w 5 -I eth0 ${await addressIn(network)}`, { NetworkMode: network, ...more });
    // as with Docker: within a network everybody may say who he is
    assert.match(await asks('together'), /Received [1-9]/);
    assert.match(await asks('together', { CapDrop: ['NET_RAW'] }), /permitted/);
    const apart = await asks('apart');
    assert.match(apart, /Received 0 response/);
    for (const network of ['together', 'apart']) {
      await engine.containers.remove(`in-${network}`, { force: true });
      await engine.networks.remove(network);
    }
  }));
