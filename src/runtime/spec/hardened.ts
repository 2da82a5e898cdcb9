import type { ContainerConfig, HostConfig } from '../../api/container.ts';
import { EngineError } from '../../base/errors.ts';
import { parseSecurityOptions, type SecurityOptions } from './security.ts';

/** Processes that a hardened container may have, when it does not say. */
const PIDS = 512;
/** What is empty, writable and in memory, where nothing else is mounted. */
const WRITABLE: Readonly<Record<string, string>> = {
  '/tmp': 'rw,noexec,nosuid,nodev,size=64m,mode=1777',
  '/run': 'rw,noexec,nosuid,nodev,size=16m,mode=1777',
};
const SECRET_SOCKETS = /\/(?:docker|gantry|containerd|crio)\.sock$/;

/**
 * What `--security-opt hardened=true` makes of a request, changed in place: no capability but those that are added, no new
 * privileges, a root filesystem that is read-only with /tmp and /run in memory, and a bound on processes. Gives warnings.
 * Throws `invalid-argument` when the request takes back what this gives.
 */
export function harden(config: ContainerConfig, hostConfig: HostConfig): string[] {
  const security = parseSecurityOptions(hostConfig.SecurityOpt ?? []);
  if (!security.hardened) return [];
  refuseOpposites(hostConfig, security);
  hostConfig.CapDrop = [...new Set([...(hostConfig.CapDrop ?? []), 'ALL'])];
  if (!security.noNewPrivileges) hostConfig.SecurityOpt = [...hostConfig.SecurityOpt!, 'no-new-privileges'];
  hostConfig.ReadonlyRootfs = true;
  if (hostConfig.PidsLimit == null) hostConfig.PidsLimit = PIDS;
  const mounted = new Set([
    ...Object.keys(hostConfig.Tmpfs ?? {}),
    ...Object.keys(config.Volumes ?? {}),
    ...(hostConfig.Binds ?? []).map((bind) => bind.split(':')[1] ?? ''),
    ...(hostConfig.Mounts ?? []).map(({ Target }) => Target ?? ''),
  ]);
  const places = Object.entries(WRITABLE).filter(([path]) => !mounted.has(path));
  hostConfig.Tmpfs = { ...hostConfig.Tmpfs, ...Object.fromEntries(places) };
  return hardenedWarnings(config, hostConfig);
}

function refuseOpposites(hostConfig: HostConfig, security: SecurityOptions): void {
  const opposites: readonly (readonly [boolean, string])[] = [
    [hostConfig.Privileged === true, 'privileged'],
    [security.seccomp === 'unconfined', 'seccomp=unconfined'],
    [security.apparmor === 'unconfined', 'apparmor=unconfined'],
    [security.systemPathsUnconfined || hostConfig.MaskedPaths?.length === 0, 'systempaths=unconfined'],
    [security.privilegesAllowed, 'no-new-privileges=false'],
    [security.writableCgroups, 'writable-cgroups=true'],
    [(hostConfig.CapAdd ?? []).some((name) => /^(?:CAP_)?(?:ALL|SYS_ADMIN)$/i.test(name)), 'cap-add ALL or SYS_ADMIN'],
    [hostConfig.PidMode === 'host', 'pid=host'],
  ];
  const found = opposites.find(([holds]) => holds);
  if (!found) return;
  throw new EngineError(
    'invalid-argument',
    `conflicting options: hardened and ${found[1]}: one takes back what the other gives`,
  );
}

function hardenedWarnings(config: ContainerConfig, hostConfig: HostConfig): string[] {
  const warnings: string[] = [];
  if (/^(?:|0|root)(?::.*)?$/.test(config.User ?? '')) {
    warnings.push(
      'hardened: the container runs as root, though without its powers: use --user, or USER in the Dockerfile',
    );
  }
  const socket = [
    ...(hostConfig.Binds ?? []).map((bind) => bind.split(':')[0]!),
    ...(hostConfig.Mounts ?? []).map(({ Source }) => Source ?? ''),
  ].find((source) => SECRET_SOCKETS.test(source));
  if (socket !== undefined) warnings.push(`hardened: who has ${socket} is root on this host`);
  if (hostConfig.NetworkMode === 'host') warnings.push('hardened: the container is on the host’s own network');
  return warnings;
}
