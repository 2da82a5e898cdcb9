import type { HostConfig } from '../../api/container.ts';
import { EngineError } from '../../base/errors.ts';

const IPC_SYSCTLS = new Set([
  'kernel.msgmax',
  'kernel.msgmnb',
  'kernel.msgmni',
  'kernel.sem',
  'kernel.shmall',
  'kernel.shmmax',
  'kernel.shmmni',
  'kernel.shm_rmid_forced',
]);

/**
 * Kernel settings of the container's own namespaces. In a network namespace of its own, ports below 1024 and ping need
 * no privilege (as Docker since 20.10), unless said otherwise. `groups` is how many there are in
 * its user namespace. Throws `invalid-argument` for one that would change the host.
 */
export function containerSysctls(
  hostConfig: HostConfig,
  domainname?: string,
  groups = MAX_GROUP + 1,
): Record<string, string> {
  const sysctls = new Map(Object.entries(hostConfig.Sysctls ?? {}));
  for (const name of sysctls.keys()) checkSysctl(name, hostConfig);
  // the specification's own field for it came with 1.1; older runtimes would drop it
  if (domainname && hostConfig.UTSMode !== 'host' && !sysctls.has('kernel.domainname')) {
    sysctls.set('kernel.domainname', domainname);
  }
  if (ownsNetwork(hostConfig)) {
    const defaults = [
      ['net.ipv4.ip_unprivileged_port_start', '0'],
      ['net.ipv4.ping_group_range', `0 ${groups - 1}`],
    ] as const;
    for (const [name, value] of defaults) if (!sysctls.has(name)) sysctls.set(name, value);
  }
  return Object.fromEntries(sysctls);
}

const MAX_GROUP = 2_147_483_647;

function ownsNetwork(hostConfig: HostConfig): boolean {
  const mode = hostConfig.NetworkMode ?? '';
  return mode !== 'host' && !mode.startsWith('container:');
}

/** Docker leaves this to its runtime; here it fails at create, and not at start. */
export function checkSysctl(name: string, hostConfig: HostConfig): void {
  const canonical = name.replaceAll('/', '.');
  if (IPC_SYSCTLS.has(canonical) || canonical.startsWith('fs.mqueue.')) {
    if (hostConfig.IpcMode === 'host') throw notAllowed(name, 'IPC');
    return;
  }
  if (canonical.startsWith('net.')) {
    if (hostConfig.NetworkMode === 'host') throw notAllowed(name, 'network');
    return;
  }
  if (canonical === 'kernel.domainname' || canonical === 'kernel.hostname') {
    if (hostConfig.UTSMode === 'host') throw notAllowed(name, 'UTS');
    return;
  }
  throw new EngineError('invalid-argument', `sysctl "${name}" is not in a separate kernel namespace`);
}

function notAllowed(name: string, namespace: string): EngineError {
  return new EngineError('invalid-argument', `sysctl "${name}" not allowed in host ${namespace} namespace`);
}
