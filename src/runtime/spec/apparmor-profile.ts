/** The profile that confines containers which name no other, as the Engine API calls it. */
export const DEFAULT_PROFILE = 'docker-default';
/** The same in the kernel: a name of our own, for an engine of Docker's may have loaded its profile on the same host. */
export const KERNEL_PROFILE = 'gantry-default';
export const UNCONFINED = 'unconfined';

/**
 * What a container gets on a host with AppArmor: the profile asked for, in the API's words. A privileged container is
 * confined only by a profile that it names.
 */
export function containerProfile(asked: string | undefined, privileged: boolean): string {
  if (asked !== undefined && asked !== '') return asked;
  return privileged ? UNCONFINED : DEFAULT_PROFILE;
}

/** The kernel's name of a profile of the API. */
export function kernelProfile(profile: string): string {
  return profile === DEFAULT_PROFILE ? KERNEL_PROFILE : profile;
}

/** Who sends signals to containers: programs without a profile, and the runtimes where a distribution gives them one. */
const SIGNAL_SENDERS = ['unconfined', 'crun', 'runc', 'conmon', KERNEL_PROFILE];

/**
 * The profile's text, for apparmor_parser. It says again what namespaces, capabilities, masked and read-only paths say,
 * for the case that one of these fails: files of the kernel that are not of the container's own namespaces cannot be
 * written, whatever is mounted where; nothing is mounted; processes of others are neither traced nor signalled. Files,
 * network and capabilities are otherwise left to what the container has.
 */
export function defaultProfileText(): string {
  const deny = (access: string, paths: readonly string[]): string[] => paths.map((path) => `deny ${path} ${access},`);
  const rules = [
    'file,',
    'network,',
    'unix,',
    'capability,',
    'umount,',
    ...SIGNAL_SENDERS.map((peer) => `signal (receive) peer=${peer},`),
    `signal (send) peer=${KERNEL_PROFILE},`,
    `ptrace (trace, read, tracedby, readby) peer=${KERNEL_PROFILE},`,
    'deny mount,',
    // processes' own files, and of the switches those of shared memory, which belong to the IPC namespace
    ...deny('wl', ['/proc/[^0-9s]**', ...allBut('/proc/', 'sys/'), ...allBut('/proc/sys/', 'kernel/shm', 0)]),
    ...deny('rwklx', ['/proc/sysrq-trigger', '/proc/kcore']),
    // control groups, for containers that may write to their own
    ...deny('wklx', allBut('/sys/', 'fs/cgroup', 0)),
    ...deny('rwklx', ['/sys/firmware/**', '/sys/devices/virtual/powercap/**', '/sys/kernel/security/**']),
  ];
  return [
    `profile ${KERNEL_PROFILE} flags=(attach_disconnected,mediate_deleted) {`,
    ...rules.map((rule) => `  ${rule}`),
    '}',
    '',
  ].join('\n');
}

/**
 * Patterns for everything below `directory` that does not begin with `name`: AppArmor has no exceptions from a denial.
 * The first `given` letters of a name are taken for granted.
 */
function allBut(directory: string, name: string, given = 1): string[] {
  return Array.from(name)
    .slice(given)
    .map((letter, index) => {
      const at = given + index;
      return `${directory}${name.slice(0, at)}[^${letter}]**`;
    });
}
