import assert from 'node:assert/strict';
import { test } from 'node:test';
import { containerProfile, defaultProfileText, kernelProfile } from './apparmor-profile.ts';
import { buildSpec } from './build.ts';
import { testHost } from './fixtures.ts';
import { securityWarnings, parseSecurityOptions } from './security.ts';

test('which profile confines what', () => {
  assert.equal(containerProfile(undefined, false), 'docker-default');
  assert.equal(containerProfile(undefined, true), 'unconfined');
  assert.equal(containerProfile('mine', true), 'mine');
  assert.equal(kernelProfile('docker-default'), 'gantry-default');
  assert.equal(kernelProfile('mine'), 'mine');
});

test('a container’s process has it where the host has AppArmor, and nowhere else', () => {
  const profile = (apparmor: 'yes' | 'no' | 'no-parser', SecurityOpt: string[] = []): string | undefined =>
    buildSpec({
      id: 'a'.repeat(64),
      config: { Cmd: ['true'] },
      hostConfig: { SecurityOpt },
      host: { ...testHost(), apparmor },
      hostHostname: 'h',
      rootfs: '/r',
      user: { uid: 0, gid: 0, additionalGids: [], home: '/' },
      mounts: [],
      files: [],
      network: 'new',
      joins: {},
      initBinary: undefined,
      cgroupParent: '/gantry',
    }).spec.process.apparmorProfile;
  assert.equal(profile('yes'), 'gantry-default');
  assert.equal(profile('yes', ['apparmor=unconfined']), 'unconfined');
  assert.equal(profile('no'), undefined);
  assert.equal(profile('no-parser', ['apparmor=mine']), undefined);
  const warnings = securityWarnings(parseSecurityOptions(['apparmor=mine']), { apparmor: 'no-parser', selinux: false });
  assert.match(warnings.join(), /apt-get install apparmor/);
});

/** What the profile denies to write; its patterns as the kernel reads them. */
const DENIED = [...defaultProfileText().matchAll(/^ {2}deny (\/\S+) \w*w\w*,$/gm)].map(
  ([, pattern]) => new RegExp(`^${pattern!.replaceAll('**', '.*')}$`),
);

test('files of the kernel that cannot be written, and those that can', () => {
  const denied = (path: string): boolean => DENIED.some((pattern) => pattern.test(path));
  for (const path of [
    '/proc/sysrq-trigger',
    '/proc/kcore',
    '/proc/irq/1/smp_affinity',
    '/proc/scsi/scsi',
    '/proc/sys/vm/panic_on_oom',
    '/proc/sys/kernel/core_pattern',
    '/proc/sys/kernel/sysrq',
    '/proc/sys/fs/binfmt_misc/register',
    '/sys/kernel/uevent_helper',
    '/sys/firmware/efi/vars/x',
    '/sys/fs/bpf/x',
  ])
    assert.ok(denied(path), path);
  for (const path of [
    '/proc/1/attr/exec',
    '/proc/12345/oom_score_adj',
    '/proc/sys/kernel/shmmax',
    '/sys/fs/cgroup/memory.max',
    '/proc.txt',
    '/system/x',
    '/data/file',
  ])
    assert.ok(!denied(path), path);
});
