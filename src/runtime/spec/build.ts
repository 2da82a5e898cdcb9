import type { ContainerConfig, HostConfig } from '../../api/container.ts';
import { EngineError } from '../../base/errors.ts';
import type { HostFacts } from '../../linux/host-facts.ts';
import { containerProfile, kernelProfile } from './apparmor-profile.ts';
import { checkAnnotations } from './annotations.ts';
import { containerCapabilities } from './capabilities.ts';
import { containerDevices } from './devices.ts';
import { initArgs } from './init.ts';
import {
  containerMounts,
  DEFAULT_READONLY_PATHS,
  defaultMaskedPaths,
  rootPropagation,
  type UserMount,
} from './mounts.ts';
import { cgroupNamespace, containerNamespaces, type SpecIds } from './namespaces.ts';
import type { IdMapping, OciSpec, ProcessSpec } from './oci-spec.ts';
import { containerHostname, processArgs, processDirectory, processEnvironment } from './process.ts';
import { cgroupsPath, linuxResources } from './resources.ts';
import { containerRlimits } from './rlimits.ts';
import { containerSeccomp } from './seccomp.ts';
import { parseSecurityOptions, securityWarnings, type SecurityOptions } from './security.ts';
import { containerSysctls } from './sysctl.ts';
import type { ContainerUser } from './user.ts';

export interface SpecInput {
  readonly id: string;
  /** The image's configuration and the request's, merged. */
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
  readonly host: HostFacts;
  /** The host's own name, for containers that share it. */
  readonly hostHostname: string;
  readonly rootfs: string;
  readonly user: ContainerUser;
  readonly mounts: readonly UserMount[];
  readonly files: readonly { readonly destination: string; readonly source: string }[];
  readonly network: { readonly path: string } | 'host' | 'new';
  readonly joins: { readonly ipc?: number; readonly pid?: number };
  readonly ids?: SpecIds | undefined;
  readonly userNamespace?: string | undefined;
  readonly shm?: string | undefined;
  /** Host path of an init; needed with `Init`. */
  readonly initBinary: string | undefined;
  /** Below which cgroup, when the container does not say. */
  readonly cgroupParent: string;
}

/**
 * The bundle's `config.json` of a container (runtime-spec 1.0.2), and what this host will not honour of the request.
 * Looks only at device nodes and /sys of the host; everything else comes in. Throws `invalid-argument`.
 */
export function buildSpec(input: SpecInput): { spec: OciSpec; warnings: string[] } {
  const { hostConfig, host } = input;
  const security = parseSecurityOptions(hostConfig.SecurityOpt ?? []);
  const warnings = securityWarnings(security, host);
  checkAnnotations(hostConfig.Annotations);
  const { devices: nodes, rules, renamed } = containerDevices(hostConfig);
  // Nobody makes a device in a user namespace: runtimes bind the host's, and look for it at the container's path.
  const bound = host.groups === undefined ? [] : renamed;
  const devices = nodes.filter(({ path }) => bound.every(({ destination }) => destination !== path));
  const hostname = hostConfig.UTSMode === 'host' ? undefined : hostnameOf(input);
  const process = containerProcess(input, security);
  warnings.push(...process.warnings);
  const mounts = containerMounts({
    hostConfig,
    mounts: input.mounts,
    files: input.files,
    init: usesInit(hostConfig) ? requireInit(input) : undefined,
    shm: input.shm,
    cgroups: host.cgroup.driver !== 'none',
    bindsCgroups: host.cgroup.version === 2 && cgroupNamespace(hostConfig, host) === 'host',
    bindsHost: host.groups !== undefined,
    writableCgroups: security.writableCgroups,
    recursiveReadOnly: host.recursiveReadOnly,
  });
  for (const { source, destination } of bound)
    mounts.push({ destination, type: 'bind', source, options: ['bind', 'nosuid', 'noexec'] });
  const propagation = rootPropagation(input.mounts);
  const seccomp =
    hostConfig.Privileged === true
      ? undefined
      : containerSeccomp(security.seccomp, {
          host,
          capabilities: process.spec.capabilities?.bounding ?? [],
        });
  // a /proc that is bound from a namespace above has mounts of its own, which nothing can be laid over
  const hostProc = host.groups !== undefined && hostConfig.PidMode === 'host';
  const maskable = (path: string): boolean => !hostProc || !path.startsWith('/proc/');
  const masked = maskedPaths(hostConfig, security).filter(maskable);
  const readOnly = readonlyPaths(hostConfig, security).filter(maskable);
  // writing it by /proc takes root of the whole machine; the specification's own field is a system call
  const domainname = host.groups === undefined || hostConfig.UTSMode === 'host' ? undefined : input.config.Domainname;
  const sysctl = containerSysctls(
    hostConfig,
    domainname ? undefined : input.config.Domainname,
    input.ids?.gid.size ?? host.groups,
  );
  const spec: OciSpec = {
    ociVersion: '1.0.2',
    process: process.spec,
    root: { path: input.rootfs, ...(hostConfig.ReadonlyRootfs === true ? { readonly: true } : {}) },
    ...(hostname === undefined ? {} : { hostname }),
    ...(domainname ? { domainname } : {}),
    mounts,
    ...(hostConfig.Annotations && Object.keys(hostConfig.Annotations).length > 0
      ? { annotations: { ...hostConfig.Annotations } }
      : {}),
    linux: {
      namespaces: containerNamespaces(input),
      ...idMappings(input),
      ...(host.cgroup.driver === 'none'
        ? {}
        : {
            cgroupsPath: cgroupsPath(input.id, hostConfig, input.cgroupParent, host.cgroup.base),
            resources: { devices: rules, ...linuxResources(hostConfig, host.cgroup) },
          }),
      ...(devices.length > 0 ? { devices } : {}),
      ...(Object.keys(sysctl).length > 0 ? { sysctl } : {}),
      ...(seccomp ? { seccomp } : {}),
      ...(propagation === undefined ? {} : { rootfsPropagation: propagation }),
      ...(masked.length > 0 ? { maskedPaths: masked } : {}),
      ...(readOnly.length > 0 ? { readonlyPaths: readOnly } : {}),
    },
  };
  return { spec, warnings };
}

function containerProcess(input: SpecInput, security: SecurityOptions): { spec: ProcessSpec; warnings: string[] } {
  const { config, hostConfig, host, user } = input;
  const warnings: string[] = [];
  const args = processArgs(config);
  const tty = config.Tty === true;
  const { rlimits, warnings: limitWarnings } = containerRlimits(hostConfig.Ulimits ?? [], host);
  const adjustment = clampOomScore(hostConfig.OomScoreAdj ?? 0, host);
  warnings.push(...limitWarnings, ...adjustment.warnings);
  const capabilities = containerCapabilities(
    { add: hostConfig.CapAdd ?? [], drop: hostConfig.CapDrop ?? [], privileged: hostConfig.Privileged === true },
    host.capabilities,
  );
  const spec: ProcessSpec = {
    ...(tty ? { terminal: true } : {}),
    ...(tty && hostConfig.ConsoleSize && hostConfig.ConsoleSize[0] > 0
      ? { consoleSize: { height: hostConfig.ConsoleSize[0], width: hostConfig.ConsoleSize[1] } }
      : {}),
    user: { uid: user.uid, gid: user.gid, additionalGids: [...user.additionalGids] },
    args: usesInit(hostConfig) ? initArgs(args) : args,
    env: processEnvironment(config.Env ?? [], { hostname: hostnameOf(input), tty, user }),
    cwd: processDirectory(config.WorkingDir),
    capabilities: capabilitySets(capabilities),
    ...(rlimits.length > 0 ? { rlimits } : {}),
    ...(security.noNewPrivileges ? { noNewPrivileges: true } : {}),
    ...(host.apparmor === 'yes'
      ? { apparmorProfile: kernelProfile(containerProfile(security.apparmor, hostConfig.Privileged === true)) }
      : {}),
    oomScoreAdj: adjustment.value,
  };
  return { spec, warnings };
}

/** Of the user namespace: runc wants them of one that is there, too. */
function idMappings({ ids }: SpecInput): Pick<OciSpec['linux'], 'uidMappings' | 'gidMappings'> {
  if (!ids) return {};
  const mapping = ({ base, size }: SpecIds['uid']): IdMapping[] => [{ containerID: 0, hostID: base, size }];
  return { uidMappings: mapping(ids.uid), gidMappings: mapping(ids.gid) };
}

/** Inheritable and ambient stay empty: what a program without them executes gains nothing (CVE-2022-24769). */
export function capabilitySets(names: readonly string[]): NonNullable<ProcessSpec['capabilities']> {
  return { bounding: [...names], effective: [...names], permitted: [...names], inheritable: [], ambient: [] };
}

/** Only CAP_SYS_RESOURCE may make a process less likely to be killed than the engine itself. */
export function clampOomScore(
  wanted: number,
  host: Pick<HostFacts, 'raisesLimits' | 'oomScoreAdj'>,
): { value: number; warnings: string[] } {
  if (wanted >= host.oomScoreAdj || host.raisesLimits) return { value: wanted, warnings: [] };
  if (wanted === 0) return { value: host.oomScoreAdj, warnings: [] };
  return {
    value: host.oomScoreAdj,
    warnings: [
      `OomScoreAdj raised to ${host.oomScoreAdj}: the engine has no CAP_SYS_RESOURCE to go below its own value.`,
    ],
  };
}

function hostnameOf(input: SpecInput): string {
  return containerHostname(input.id, input.config, input.hostConfig, input.hostHostname);
}

/** An init is of no use where another process is number 1. */
function usesInit(hostConfig: HostConfig): boolean {
  return hostConfig.Init === true && !hostConfig.PidMode;
}

function requireInit(input: SpecInput): string {
  if (input.initBinary === undefined) {
    throw new EngineError(
      'invalid-argument',
      'no init binary on this host for --init: install catatonit or tini (apt-get install catatonit)',
    );
  }
  return input.initBinary;
}

function maskedPaths(hostConfig: HostConfig, security: SecurityOptions): string[] {
  if (hostConfig.Privileged === true || security.systemPathsUnconfined) return [];
  return [...(hostConfig.MaskedPaths ?? defaultMaskedPaths())];
}

function readonlyPaths(hostConfig: HostConfig, security: SecurityOptions): string[] {
  if (hostConfig.Privileged === true || security.systemPathsUnconfined) return [];
  return [...(hostConfig.ReadonlyPaths ?? DEFAULT_READONLY_PATHS)];
}
