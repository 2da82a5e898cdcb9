import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ContainerConfig, HostConfig } from '../../api/container.ts';
import type { HostFacts } from '../../linux/host-facts.ts';
import { buildSpec, type SpecInput } from './build.ts';
import { testHost } from './fixtures.ts';
import type { OciMount, OciSpec } from './oci-spec.ts';

const ID = 'c0ffee'.padEnd(64, '1');

function build(
  hostConfig: HostConfig,
  config: ContainerConfig = {},
  input: Partial<SpecInput> = {},
): { spec: OciSpec; warnings: string[] } {
  return buildSpec({
    id: ID,
    config: { Cmd: ['sleep', '60'], ...config },
    hostConfig,
    host: testHost(),
    hostHostname: 'the-host',
    rootfs: '/run/rootfs',
    user: { uid: 0, gid: 0, additionalGids: [0], home: '/root' },
    mounts: [],
    files: [{ destination: '/etc/hosts', source: '/data/hosts' }],
    network: 'new',
    joins: {},
    initBinary: '/usr/bin/tini',
    cgroupParent: '/gantry',
    ...input,
  });
}

function types(spec: OciSpec): string[] {
  return spec.linux.namespaces.map((namespace) => namespace.type);
}

describe('defaults', () => {
  const { spec, warnings } = build({});

  test('process', () => {
    assert.deepEqual(spec.process.args, ['sleep', '60']);
    assert.equal(spec.process.cwd, '/');
    assert.deepEqual(spec.process.env, [
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'HOSTNAME=c0ffee111111',
      'HOME=/root',
    ]);
    assert.equal(spec.process.capabilities?.bounding.length, 14);
    assert.deepEqual(spec.process.capabilities?.inheritable, []);
    assert.deepEqual(spec.process.capabilities?.ambient, []);
    assert.deepEqual(warnings, []);
  });

  test('isolation', () => {
    assert.deepEqual(types(spec), ['mount', 'network', 'uts', 'pid', 'ipc', 'cgroup']);
    assert.equal(spec.linux.seccomp?.defaultAction, 'SCMP_ACT_ERRNO');
    assert.equal(spec.linux.cgroupsPath, `/gantry/${ID}`);
    assert.ok(spec.linux.maskedPaths?.includes('/proc/kcore'));
    assert.ok(spec.linux.readonlyPaths?.includes('/proc/sys'));
    assert.equal(spec.linux.sysctl?.['net.ipv4.ip_unprivileged_port_start'], '0');
    assert.equal(spec.hostname, 'c0ffee111111');
  });

  test('mounts', () => {
    assert.deepEqual(
      spec.mounts.map((mount) => mount.destination),
      ['/proc', '/dev', '/dev/pts', '/sys', '/sys/fs/cgroup', '/dev/mqueue', '/dev/shm', '/etc/hosts'],
    );
    assert.ok(spec.mounts[3]!.options!.includes('ro'));
  });
});

test('the host’s cgroup v2 hierarchy is bound, not mounted anew: that would change the options it has on the host', () => {
  const cgroup = (more: Partial<HostConfig>, version: 1 | 2): OciMount => {
    const host = testHost({ cgroup: { ...testHost().cgroup, version } });
    return build(more, {}, { host }).spec.mounts.find(({ destination }) => destination === '/sys/fs/cgroup')!;
  };
  const { type, source, options } = cgroup({ CgroupnsMode: 'host' }, 2);
  assert.deepEqual([type, source], ['bind', '/sys/fs/cgroup']);
  assert.deepEqual(options, ['rbind', 'rprivate', 'ro', 'nosuid', 'noexec', 'nodev']);
  assert.ok(!cgroup({ CgroupnsMode: 'host', Privileged: true }, 2).options!.includes('ro'));
  assert.equal(cgroup({}, 2).type, 'cgroup');
  assert.equal(cgroup({ CgroupnsMode: 'host' }, 1).type, 'cgroup');
});

test('cgroup v1 shares the host’s cgroup namespace unless asked', () => {
  const host = testHost({ cgroup: { ...testHost().cgroup, version: 1 } });
  assert.ok(!types(build({}, {}, { host }).spec).includes('cgroup'));
  assert.ok(types(build({ CgroupnsMode: 'private' }, {}, { host }).spec).includes('cgroup'));
  assert.ok(!types(build({ CgroupnsMode: 'host' }).spec).includes('cgroup'));
});

test('privileged: everything, as far as the engine has it', () => {
  const capabilities = new Set(['CAP_CHOWN', 'CAP_SYS_ADMIN']);
  const { spec } = build({ Privileged: true }, {}, { host: testHost({ capabilities }) });
  assert.deepEqual(spec.process.capabilities?.effective, ['CAP_CHOWN', 'CAP_SYS_ADMIN']);
  assert.equal(spec.linux.seccomp, undefined);
  assert.equal(spec.linux.maskedPaths, undefined);
  assert.equal(spec.linux.readonlyPaths, undefined);
  assert.deepEqual(spec.linux.resources?.devices, [{ allow: true, access: 'rwm' }]);
  assert.ok(spec.linux.devices?.some((device) => device.path === '/dev/full'));
  const options = spec.mounts.find((mount) => mount.destination === '/sys')!.options!;
  assert.ok(!options.includes('ro'));
});

test('namespaces of the host and of other containers', () => {
  const host = build(
    { PidMode: 'host', IpcMode: 'host', UTSMode: 'host', NetworkMode: 'host' },
    {},
    { network: 'host' },
  );
  assert.deepEqual(types(host.spec), ['mount', 'cgroup']);
  assert.equal(host.spec.hostname, undefined);
  assert.ok(host.spec.process.env!.includes('HOSTNAME=the-host'));
  assert.equal(host.spec.linux.sysctl, undefined);
  const joined = build(
    { PidMode: 'container:a', IpcMode: 'container:b', NetworkMode: 'container:a' },
    {},
    { joins: { pid: 11, ipc: 12 }, network: { path: '/proc/11/ns/net' }, shm: '/x/shm' },
  ).spec;
  assert.deepEqual(joined.linux.namespaces, [
    { type: 'mount' },
    { type: 'network', path: '/proc/11/ns/net' },
    { type: 'uts' },
    { type: 'pid', path: '/proc/11/ns/pid' },
    { type: 'ipc', path: '/proc/12/ns/ipc' },
    { type: 'cgroup' },
  ]);
  assert.equal(joined.mounts.find((mount) => mount.destination === '/dev/shm')?.source, '/x/shm');
  assert.equal(joined.linux.sysctl, undefined);
});

test('init runs the command, but not where another process is number 1', () => {
  const { spec } = build({ Init: true });
  assert.deepEqual(spec.process.args, ['/sbin/docker-init', '--', 'sleep', '60']);
  assert.equal(spec.mounts.find((mount) => mount.destination === '/sbin/docker-init')?.source, '/usr/bin/tini');
  assert.deepEqual(build({ Init: true, PidMode: 'host' }).spec.process.args, ['sleep', '60']);
  assert.throws(() => build({ Init: true }, {}, { initBinary: undefined }), /no init binary/);
});

test('what cannot be raised is lowered with a warning', () => {
  const host: HostFacts = testHost({ capabilities: new Set(['CAP_CHOWN']), raisesLimits: false, oomScoreAdj: 100 });
  const { spec, warnings } = build(
    { OomScoreAdj: -500, Ulimits: [{ Name: 'nofile', Soft: 600000, Hard: -1 }] },
    {},
    { host },
  );
  assert.equal(spec.process.oomScoreAdj, 100);
  assert.deepEqual(spec.process.rlimits, [{ type: 'RLIMIT_NOFILE', soft: 524288, hard: 524288 }]);
  assert.equal(warnings.length, 2);
  const able = build({ Ulimits: [{ Name: 'nofile', Soft: -1, Hard: -1 }] }).spec.process.rlimits;
  assert.equal(
    JSON.stringify(able),
    '[{"type":"RLIMIT_NOFILE","soft":18446744073709551615,"hard":18446744073709551615}]',
  );
});

test('limits', () => {
  const { spec } = build({ Memory: 64 << 20, NanoCpus: 1.5e9, PidsLimit: 55, CpusetCpus: '0-1', CpuShares: 1 });
  assert.deepEqual(spec.linux.resources?.memory, { limit: 64 << 20, swap: 128 << 20 });
  assert.deepEqual(spec.linux.resources?.cpu, { shares: 2, period: 100000, quota: 150000, cpus: '0-1' });
  assert.deepEqual(spec.linux.resources?.pids, { limit: 55 });
  assert.equal(build({ CgroupParent: 'mine' }).spec.linux.cgroupsPath, `/mine/${ID}`);
});

test('security options', () => {
  const { spec } = build({ SecurityOpt: ['no-new-privileges', 'seccomp=unconfined', 'systempaths=unconfined'] });
  assert.equal(spec.process.noNewPrivileges, true);
  assert.equal(spec.linux.seccomp, undefined);
  assert.equal(spec.linux.maskedPaths, undefined);
  assert.throws(() => build({ SecurityOpt: ['nonsense'] }), { message: 'invalid --security-opt 1: "nonsense"' });
  assert.throws(() => build({ SecurityOpt: ['a=b'] }), { message: 'invalid --security-opt 2: "a=b"' });
  assert.throws(() => build({ Annotations: { 'run.oci.handler': 'x' } }), /reserved/);
});

test('a terminal, its environment, an environment taken apart', () => {
  const { spec } = build(
    { ConsoleSize: [24, 80] },
    { Tty: true, Env: ['A=1', 'PATH=/bin', 'B', 'A=2=3', '__proto__=x', 'HOME='] },
  );
  assert.equal(spec.process.terminal, true);
  assert.deepEqual(spec.process.consoleSize, { height: 24, width: 80 });
  assert.deepEqual(spec.process.env, [
    'PATH=/bin',
    'HOSTNAME=c0ffee111111',
    'TERM=xterm',
    'A=2=3',
    '__proto__=x',
    'HOME=/root',
  ]);
});

test('command lines', () => {
  assert.deepEqual(build({}, { Entrypoint: ['/e', 'x'], Cmd: ['y'] }).spec.process.args, ['/e', 'x', 'y']);
  assert.throws(() => build({}, { Cmd: [] }), { message: 'no command specified' });
  assert.throws(() => build({}, { WorkingDir: 'rel' }), /needs to be an absolute path/);
});
