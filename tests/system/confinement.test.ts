import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ContainerCreateRequest, HostConfig } from '../../src/api/container.ts';
import type { Engine } from '../../src/index.ts';
import { bindMount, mount, setPropagation, unmount } from '../../src/linux/mount.ts';
import { withEngine } from '../support/private-engine.ts';
import { runScript as run } from '../support/run-script.ts';

before(() => assert.equal(process.getuid?.(), 0, 'these tests run containers: run them as root'));

/** Each runtime that is there and works: crun refuses hosts with both kinds of cgroups. */
async function runtimes(engine: Engine): Promise<string[]> {
  if (existsSync('/sys/fs/cgroup/unified')) return ['runc'];
  return Object.keys((await engine.system.info()).Runtimes ?? {}).filter((name) => name === 'crun' || name === 'runc');
}

const STATUS = 'grep -E "^(Cap|NoNewPrivs|Seccomp:)" /proc/self/status | tr -d "\\t" | tr "\\n" " "';

test('the default confinement, under every runtime', () =>
  withEngine(async (engine) => {
    for (const Runtime of await runtimes(engine)) {
      const probe = (script: string, hostConfig: HostConfig = {}): Promise<string> =>
        run(engine, script, { Runtime, ...hostConfig });
      assert.equal(
        await probe(STATUS),
        'CapInh:0000000000000000 CapPrm:00000000a80425fb CapEff:00000000a80425fb CapBnd:00000000a80425fb ' +
          'CapAmb:0000000000000000 NoNewPrivs:0 Seccomp:2',
        Runtime,
      );
      const refused = await probe(`
        mount -t tmpfs x /tmp || echo no mount; unshare -U true || echo no namespaces
        echo x > /proc/sys/kernel/hostname || echo no sysctl; touch /sys/x || echo no sysfs
        mkdir /sys/fs/cgroup/memory/x || echo no cgroup; cat /proc/kcore | wc -c; ls /sys/firmware | wc -l
        mknod /disk b 254 0; head -c1 /disk || echo no disk`);
      for (const word of ['no mount', 'no namespaces', 'no sysctl', 'no sysfs', 'no cgroup', 'no disk']) {
        assert.match(refused, new RegExp(word), `${Runtime}: ${refused}`);
      }
      assert.match(refused, /^0$/m);
      assert.match(await probe(STATUS, { Privileged: true }), /Seccomp:0/);
      assert.match(await probe(STATUS, { SecurityOpt: ['no-new-privileges'] }), /NoNewPrivs:1/);
      assert.match(await probe(STATUS, { CapDrop: ['ALL'], CapAdd: ['CHOWN'] }), /CapEff:0000000000000001 /);
      const profile = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['mkdir'], action: 'SCMP_ACT_ERRNO' }] };
      const own = await probe('mkdir /x && echo made', { SecurityOpt: [`seccomp=${JSON.stringify(profile)}`] });
      assert.match(own, /mkdir: .*Operation not permitted/, Runtime);
    }
  }));

test('what a process is started with, under every runtime', () =>
  withEngine(async (engine) => {
    for (const Runtime of await runtimes(engine)) {
      const probe = (script: string, hostConfig: HostConfig, more: Partial<ContainerCreateRequest>): Promise<string> =>
        run(engine, script, { Runtime, ...hostConfig }, more);
      assert.equal(
        await probe(
          'id -u; id -G; pwd; hostname; echo $HOME $A; ulimit -n',
          {
            GroupAdd: ['77'],
            Ulimits: [{ Name: 'nofile', Soft: 99, Hard: 100 }],
          },
          { User: '5:6', WorkingDir: '/made/here', Hostname: 'inside', Env: ['A=b'] },
        ),
        '5\n6 77\n/made/here\ninside\n/ b\n99',
        Runtime,
      );
      const files = `
        touch /x || echo root is read-only; touch /t/x && echo t; grep -c " /t .*size=64k" /proc/mounts
        df -k /dev/shm | grep -o " 2048 "; cat /proc/sys/kernel/shmmax; cat /proc/sys/net/ipv4/ip_unprivileged_port_start
        tr "\\0" " " < /proc/1/cmdline; touch /etc/hosts || echo hosts are too`;
      const answer = await probe(
        files,
        {
          ReadonlyRootfs: true,
          Tmpfs: { '/t': 'size=64k,exec' },
          ShmSize: 2 << 20,
          Sysctls: { 'kernel.shmmax': '4096' },
          Init: true,
        },
        {},
      );
      const expected = [
        'root is read-only',
        '^t$',
        '^1$',
        ' 2048 ',
        '^4096$',
        '^0$',
        '^/sbin/docker-init -- sh',
        'hosts are too',
      ];
      for (const word of expected) assert.match(answer, new RegExp(word, 'm'), `${Runtime}: ${answer}`);
    }
  }));

test('volumes: filled from the image, shared, read-only, parts of them', () =>
  withEngine(async (engine, { directory }) => {
    const volume = (Source: string, Target: string, VolumeOptions = {}): HostConfig => ({
      Mounts: [{ Type: 'volume', Source, Target, VolumeOptions }],
    });
    const applets = await run(engine, 'ls /bin | wc -l');
    assert.equal(await run(engine, 'ls /bin | wc -l', volume('bin', '/bin')), applets);
    assert.equal(await run(engine, 'ls /x | wc -l', volume('bin', '/x')), applets);
    await run(engine, 'mkdir /v/in; echo here > /v/in/f; ln -s / /v/out; ln -s /etc /v/etc', volume('data', '/v'));
    assert.equal(await run(engine, 'cat /p/f', volume('data', '/p', { Subpath: 'in' })), 'here');
    await assert.rejects(
      run(engine, 'ls /p', volume('data', '/p', { Subpath: 'etc' })),
      /cannot access path|path concatenation escapes the base directory/,
    );
    assert.equal(await run(engine, 'ls /p', volume('data', '/p', { Subpath: 'out' })), 'etc\nin\nout');
    assert.match(await run(engine, 'touch /v/x', { Binds: ['data:/v:ro'] }), /Read-only file system/);

    const source = join(directory, 'source');
    mkdirSync(source);
    writeFileSync(join(source, 'file'), 'of the host');
    const binds = [`${source}:/dir:ro`, `${source}/file:/one:ro`, `${source}/new:/made`];
    assert.equal(
      await run(engine, 'cat /dir/file /one; touch /made/x && rm /made/x', { Binds: binds }),
      'of the hostof the host',
    );
    assert.deepEqual(readdirSync(source), ['file', 'new']);
    const part = (Subpath: string, more = {}): HostConfig => ({
      Mounts: [{ Type: 'bind', Source: source, Target: '/p', BindOptions: { Subpath, ...more } }],
    });
    assert.equal(await run(engine, 'cat /p', part('file')), 'of the host');
    await assert.rejects(run(engine, 'ls /p', part('none')), /cannot access path/);
    await assert.rejects(run(engine, 'ls /p', part('../source')), /subpath must be a relative path within the source/);
    // what is mounted below comes with it, and stays on the host when the container has ended
    bindMount(source, source);
    try {
      setPropagation(source, 'shared');
      mount({ type: 'tmpfs', source: 'below', options: [] }, join(source, 'new'));
      mkdirSync(join(source, 'new', 'in'));
      for (const Propagation of ['', 'rslave', 'rshared'])
        assert.equal(await run(engine, 'ls /p/new', part('.', { Propagation })), 'in');
      assert.equal(await run(engine, 'ls /p', part('new')), 'in');
      assert.equal(await run(engine, 'ls /p/new', part('.', { NonRecursive: true })), '');
      assert.deepEqual(readdirSync(join(source, 'new')), ['in']);
    } finally {
      unmount(source, { detach: true });
    }

    const before = (await engine.volumes.list()).Volumes.length;
    await run(engine, 'touch /anon/x', {}, { Volumes: { '/anon': {} } });
    assert.equal((await engine.volumes.list()).Volumes.length, before);
    for (const Name of ['bin', 'data']) await engine.volumes.remove(Name);
  }));

test('a container’s own user database cannot hold the engine up, nor show it the host’s', () =>
  withEngine(async (engine, { directory }) => {
    const { containers } = engine;
    const hostUser = readFileSync('/etc/passwd', 'utf8').split('\n').at(-2)!.split(':')[0]!;
    const cases = [
      ['mkfifo /etc/passwd', /is not a regular file/],
      ['ln -s /dev/zero /etc/passwd', /is not a regular file/],
      ['truncate -s 700M /etc/passwd', /larger than/],
      ['ln -s passwd /etc/passwd', /ELOOP/],
      ['ln -s ../../../../../../outside /etc/passwd', /unable to find user/],
    ] as const;
    for (const [number, [make, words]] of cases.entries()) {
      const sync = join(directory, `sync-${number}`);
      const { Id } = await containers.create({
        Image: 'busybox',
        Cmd: ['sh', '-c', `rm /etc/passwd; ${make}; echo >/sync/ready; sleep 1000`],
        HostConfig: { NetworkMode: 'none', Binds: [`${sync}:/sync`] },
      });
      await containers.start(Id);
      while (!existsSync(join(sync, 'ready'))) await sleep(10);
      const started = performance.now();
      await assert.rejects(engine.execs.create(Id, { Cmd: ['true'], User: hostUser }), words, make);
      assert.ok(performance.now() - started < 2000, make);
    }
  }));
