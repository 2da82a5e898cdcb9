import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testHost } from './fixtures.ts';
import type { LinuxSeccomp } from './oci-spec.ts';
import { containerSeccomp, type SeccompFacts } from './seccomp.ts';

function facts(capabilities: string[] = [], changes: Parameters<typeof testHost>[0] = {}): SeccompFacts {
  return { host: testHost(changes), capabilities };
}

function allowed(filter: LinuxSeccomp): Set<string> {
  return new Set(filter.syscalls!.filter((rule) => rule.action === 'SCMP_ACT_ALLOW').flatMap((rule) => rule.names));
}

test('the default: 361 names without condition, the dangerous ones not', () => {
  const filter = containerSeccomp(undefined, facts())!;
  assert.equal(filter.syscalls![0]!.names.length, 361);
  assert.equal(new Set(filter.syscalls![0]!.names).size, 361);
  assert.deepEqual(filter.architectures, ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32']);
  const names = allowed(filter);
  for (const name of [
    'mount',
    'unshare',
    'setns',
    'bpf',
    'keyctl',
    'add_key',
    'io_uring_setup',
    'userfaultfd',
    'kexec_load',
  ]) {
    assert.ok(!names.has(name), name);
  }
  assert.ok(names.has('arch_prctl') && names.has('ptrace') && !names.has('chroot'));
  const clone3 = filter.syscalls!.find((rule) => rule.names.includes('clone3'));
  assert.deepEqual(clone3, { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 });
});

test('sockets: by family, without AF_ALG and AF_VSOCK', () => {
  const rules = containerSeccomp(undefined, facts())!.syscalls!.filter((rule) => rule.names[0] === 'socket');
  const passes = (family: number): boolean =>
    rules.some(({ args }) => {
      const { op, value } = args![0]!;
      return op === 'SCMP_CMP_LT' ? family < value : op === 'SCMP_CMP_GT' ? family > value : family === value;
    });
  assert.deepEqual([1, 2, 10, 16, 17, 37, 38, 39, 40, 41].map(passes), [
    true,
    true,
    true,
    true,
    true,
    true,
    false,
    true,
    false,
    true,
  ]);
});

test('capabilities and kernels unlock', () => {
  const admin = containerSeccomp(undefined, facts(['CAP_SYS_ADMIN', 'CAP_SYS_CHROOT']))!;
  assert.ok(allowed(admin).has('mount') && allowed(admin).has('clone3') && allowed(admin).has('chroot'));
  assert.ok(!admin.syscalls!.some((rule) => rule.action === 'SCMP_ACT_ERRNO'));
  const old = containerSeccomp(undefined, facts([], { kernel: { major: 4, minor: 4 } }))!;
  assert.ok(!allowed(old).has('ptrace'));
  const arm = containerSeccomp(undefined, facts([], { architecture: 'arm64' }))!;
  assert.deepEqual(arm.architectures, ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM']);
  assert.ok(!allowed(arm).has('arch_prctl') && allowed(arm).has('cacheflush'));
});

test('own profiles', () => {
  assert.equal(containerSeccomp('unconfined', facts()), undefined);
  const own = containerSeccomp(
    JSON.stringify({
      defaultAction: 'SCMP_ACT_ALLOW',
      syscalls: [
        { name: 'mkdir', action: 'SCMP_ACT_ERRNO' },
        { names: ['chmod'], action: 'SCMP_ACT_ERRNO', excludes: { arches: ['amd64'] } },
      ],
    }),
    facts(),
  );
  assert.deepEqual(own, {
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [{ names: ['mkdir'], action: 'SCMP_ACT_ERRNO' }],
  });
  for (const bad of ['{', '[]', '{}', '{"defaultAction":"x","syscalls":[3]}', '{"defaultAction":"x","syscalls":{}}']) {
    assert.throws(() => containerSeccomp(bad, facts()), /Decoding seccomp profile failed/, bad);
  }
});

test('a kernel without seccomp', () => {
  assert.equal(containerSeccomp(undefined, facts([], { seccomp: false })), undefined);
  assert.throws(
    () => containerSeccomp('{"defaultAction":"SCMP_ACT_ALLOW"}', facts([], { seccomp: false })),
    /not enabled/,
  );
});
