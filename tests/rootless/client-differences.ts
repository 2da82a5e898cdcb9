import type { Difference } from '../clients/suite.ts';

const NO_MEMORY_LIMIT =
  'Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.\n';
const NO_CPUSET = 'WARNING: Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.\n';
const NO_CPUS =
  'Error response from daemon: NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted\n';
const NO_PAUSE = 'Error response from daemon: the container has no cgroup, so it cannot be paused\n';
const HELP = "\nRun 'docker run --help' for more information\n";

/** Where an engine without root, on a host with cgroup v1, answers otherwise than dockerd does for root. */
export const ROOTLESS_DIFFERENCES: Readonly<Record<string, Difference | undefined>> = {
  'run sysfs is read-only': {
    why: 'there are no cgroups in /sys/fs/cgroup',
    result: { stdout: 'refused\nrc=0\n' },
  },
  'run device access is denied': {
    why: 'nobody makes a device in a user namespace',
    result: { stderr: 'mknod: /tmp/sda: Operation not permitted\n' },
  },
  'run -m': { why: 'no cgroups', result: { stderr: `WARNING: ${NO_MEMORY_LIMIT}` } },
  'run out of memory': { why: 'no cgroups, so nothing was killed', result: { stdout: 'ended\nfalse\n' } },
  'run --cpus': {
    why: 'no cgroups: dockerd’s words for such a host',
    result: { stdout: '\nrc=1\n', stderr: `${NO_CPUS}Error: No such object: <name>\n` },
  },
  'run --cpus too many': { why: 'no cgroups', result: { stderr: `docker: ${NO_CPUS}${HELP}` } },
  'run --cpuset-cpus': {
    why: 'no cgroups',
    result: { stdout: 'Cpus_allowed_list:\t0-1\nrc=0\n', stderr: NO_CPUSET },
  },
  'run --cpuset-cpus missing': { why: 'no cgroups', result: { stdout: 'rc=0\n', stderr: NO_CPUSET } },
  'run --pids-limit': { why: 'no cgroups', result: { stdout: '0\n' } },
  'pause and unpause': {
    why: 'no cgroups',
    result: {
      stdout: 'rc=1\nrunning true false\nrc=1\nrc=1\n',
      stderr: `${NO_PAUSE}${NO_PAUSE}Error response from daemon: Container <id> is not paused\n`,
    },
  },
  update: {
    why: 'no cgroups',
    result: {
      stdout: `N\n${NO_MEMORY_LIMIT}rc=0\n134217728 unless-stopped\n`,
      stderr: `WARNING: ${NO_MEMORY_LIMIT}`,
    },
  },
  'exec in a paused one': {
    why: 'no cgroups',
    result: {
      exitCode: 1,
      stdout: 'rc=0\n',
      stderr: `${NO_PAUSE}Error response from daemon: Container <id> is not paused\n`,
    },
  },
};
