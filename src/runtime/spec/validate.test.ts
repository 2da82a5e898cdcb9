import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerCreateRequest, HostConfig } from '../../api/container.ts';
import { parseSize } from '../../base/size.ts';
import { testHost } from './fixtures.ts';
import { isSignal } from './validate-config.ts';
import { checkLogConfig } from './validate-log.ts';
import { parseNumberList, validateResources } from './validate-resources.ts';
import { validateCreate } from './validate.ts';

function check(hostConfig: HostConfig, config: ContainerCreateRequest = {}, hasInit = true): string[] {
  const facts = { host: testHost(), runtimes: ['crun', 'runc'], hasInit };
  return validateCreate({ Cmd: ['true'], ...config, HostConfig: hostConfig }, facts).warnings;
}

const REFUSED: readonly (readonly [HostConfig, string])[] = [
  [{ Memory: 1000 }, 'Minimum memory limit allowed is 6MB'],
  [{ Memory: 1e8, MemorySwap: 1000 }, 'Minimum memoryswap limit should be larger than memory limit, see usage'],
  [{ MemorySwap: 1e8 }, 'You should always set the Memory limit when using Memoryswap limit, see usage'],
  [{ MemoryReservation: 1000 }, 'Minimum memory reservation allowed is 6MB'],
  [
    { MemoryReservation: 1e8, Memory: 5e7 },
    'Minimum memory limit can not be less than memory reservation limit, see usage',
  ],
  [{ NanoCpus: 1e9, CpuPeriod: 1000 }, 'Conflicting options: Nano CPUs and CPU Period cannot both be set'],
  [{ NanoCpus: 1e11 }, 'range of CPUs is from 0.01 to 4.00, as there are only 4 CPUs available'],
  [{ CpuQuota: 10 }, 'CPU cfs quota can not be less than 1ms (i.e. 1000)'],
  [{ CpusetCpus: '9' }, 'Requested CPUs are not available - requested 9, available: 0-3'],
  [{ CpusetCpus: '0,a' }, 'Invalid value 0,a for cpuset cpus: invalid format: a'],
  [{ BlkioWeight: 5 }, 'Range of blkio weight is from 10 to 1000'],
  [{ ShmSize: -1 }, 'SHM size can not be less than 0'],
  [{ OomScoreAdj: -2000 }, 'Invalid value -2000, range for oom score adj is [-1000, 1000]'],
  [{ AutoRemove: true, RestartPolicy: { Name: 'always' } }, "can't create 'AutoRemove' container with restart policy"],
  [
    { RestartPolicy: { Name: 'always', MaximumRetryCount: 4 } },
    "invalid restart policy: maximum retry count can only be used with 'on-failure'",
  ],
  [
    { RestartPolicy: { Name: 'on-failure', MaximumRetryCount: -4 } },
    'invalid restart policy: maximum retry count cannot be negative',
  ],
  [{ UTSMode: 'foo' }, 'invalid UTS mode: foo'],
  [{ PidMode: 'container:' }, 'invalid PID mode: container:'],
  [{ IpcMode: 'foo' }, 'invalid IPC mode: foo'],
  [{ CgroupnsMode: 'foo' as '' }, 'invalid cgroup namespace mode: foo'],
  [
    { NetworkMode: 'container:x', PublishAllPorts: true },
    'conflicting options: port publishing and the container type network mode',
  ],
  [{ NetworkMode: 'container:x', Dns: ['1.1.1.1'] }, 'conflicting options: dns and the network mode'],
  [{ Runtime: 'foo' }, 'unknown or invalid runtime name: foo'],
  [{ CapAdd: ['FOO'] }, 'invalid CapAdd: unknown capability: "CAP_FOO"'],
  [{ Sysctls: { 'vm.swappiness': '1' } }, 'sysctl "vm.swappiness" is not in a separate kernel namespace'],
  [
    { Sysctls: { 'net.core.somaxconn': '1' }, NetworkMode: 'host' },
    'sysctl "net.core.somaxconn" not allowed in host network namespace',
  ],
  [{ Ulimits: [{ Name: 'foo', Soft: 1, Hard: 1 }] }, 'invalid ulimit type: foo'],
  [{ LogConfig: { Type: 'foo' } }, 'error looking up logging plugin foo: plugin "foo" not found'],
  [{ Tmpfs: { a: '' } }, "invalid mount path: 'a' mount path must be absolute"],
  [{ Tmpfs: { '/': '' } }, "invalid specification: destination can't be '/'"],
  [{ ExtraHosts: ['foo'] }, 'bad format for add-host: "foo"'],
  [{ ExtraHosts: [':1.2.3.4'] }, 'bad format for add-host: ":1.2.3.4"'],
  [{ ExtraHosts: ['foo:bar'] }, 'invalid IP address in add-host: "bar"'],
  [{ ExtraHosts: ['foo:'] }, 'invalid IP address in add-host: ""'],
  [{ DeviceCgroupRules: ['foo'] }, "invalid device cgroup rule format: 'foo'"],
  [{ StorageOpt: { size: '1G' } }, "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"],
  [{ ExtraHosts: ['a:1.1.1.1\n2.2.2.2 b'] }, 'invalid host entry "a:1.1.1.1\\n2.2.2.2 b": control characters'],
];

test('refused in Docker’s words', () => {
  for (const [hostConfig, message] of REFUSED) {
    assert.throws(() => check(hostConfig), { code: 'invalid-argument', message }, JSON.stringify(hostConfig));
  }
  assert.throws(() => check({ Init: true }, {}, false), /no init binary/);
});

test('the portable half', () => {
  const refused: readonly (readonly [ContainerCreateRequest, string])[] = [
    [{ Env: ['=x'] }, 'invalid environment variable: =x'],
    [{ StopSignal: 'SIGFOO' }, 'invalid signal: SIGFOO'],
    [{ Healthcheck: { Interval: 10 } }, 'Interval in Healthcheck cannot be less than 1ms'],
    [{ Healthcheck: { Retries: -1 } }, 'Retries in Healthcheck cannot be negative'],
    [{ WorkingDir: 'rel' }, "the working directory 'rel' is invalid, it needs to be an absolute path"],
  ];
  for (const [config, message] of refused) assert.throws(() => check({}, config), { message });
  assert.throws(() => check({}, { Env: ['A=\0'] }), /NUL/);
  assert.throws(() => check({}, { Hostname: 'a\nb' }), /control characters/);
  assert.throws(() => check({}, { Hostname: 'x'.repeat(65) }), /longer than/);
  assert.throws(() => check({}, { Env: ['A=' + 'x'.repeat(2 ** 20)] }), { code: 'too-large' });
  const labels = Object.fromEntries(Array.from({ length: 10_001 }, (_, i) => [`l${i}`, '']));
  assert.throws(() => check({}, { Labels: labels }), { code: 'too-large' });
  assert.deepEqual(check({}, { Labels: JSON.parse('{"__proto__":"plain"}') }), []);
});

test('what the host cannot honour is said', () => {
  const cgroup = { ...testHost().cgroup, memorySwap: false, blkioWeight: false, pids: false };
  const warnings = validateResources(
    { Memory: 1e8, BlkioWeight: 500, PidsLimit: 5, OomKillDisable: true, MemorySwappiness: 10 },
    testHost({ cgroup }),
    { update: false },
  );
  assert.deepEqual(warnings, [
    'Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.',
    'Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.',
    'Your kernel does not support OomKillDisable. OomKillDisable discarded.',
    'Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.',
    'Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.',
  ]);
  assert.deepEqual(check({ NetworkMode: 'host', PortBindings: { '80/tcp': [] } }), [
    'Published ports are discarded when using host network mode',
  ]);
});

test('logs are bounded unless told otherwise', () => {
  assert.deepEqual(checkLogConfig(undefined), { driver: 'json-file', maxBytes: 10 << 20, maxFiles: 3 });
  assert.deepEqual(checkLogConfig({ Type: 'local' }), { driver: 'local', maxBytes: 20 << 20, maxFiles: 5 });
  const own = checkLogConfig({ Type: '', Config: { 'max-size': '1.5k', 'max-file': '7', compress: 'true' } });
  assert.deepEqual(own, { driver: 'json-file', maxBytes: 1536, maxFiles: 7 });
  assert.equal(checkLogConfig({ Config: { 'max-size': '-1' } }).maxBytes, 0);
  const refused: Record<string, string>[] = [
    { 'max-file': '0' },
    { 'max-size': 'x' },
    { foo: '1' },
    { mode: 'x' },
    { compress: 'x' },
  ];
  for (const config of refused) {
    assert.throws(() => checkLogConfig({ Config: config }), { code: 'invalid-argument' });
  }
});

test('small languages', () => {
  assert.deepEqual(['TERM', 'SIGKILL', 'sigterm', '9', 'SIGRTMIN+3', 'RTMAX-1'].map(isSignal), Array(6).fill(true));
  assert.deepEqual(['0', '65', 'FOO', '', '-9', 'RTMIN+99'].map(isSignal), Array(6).fill(false));
  assert.deepEqual(parseNumberList('0-2,7'), [0, 1, 2, 7]);
  for (const bad of ['3-1', 'a', '0-999999999', ',', '1,']) assert.equal(parseNumberList(bad), undefined, bad);
  assert.deepEqual(['10', '1k', '2MB', '1.5GiB', 'x', '1x', ''].map(parseSize), [
    10,
    1024,
    2 ** 21,
    1.5 * 2 ** 30,
    undefined,
    undefined,
    undefined,
  ]);
});
