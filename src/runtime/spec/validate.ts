import type { ContainerCreateRequest, HostConfig, RestartPolicy } from '../../api/container.ts';
import { EngineError } from '../../base/errors.ts';
import type { HostFacts } from '../../linux/host-facts.ts';
import { checkAnnotations } from './annotations.ts';
import { clampOomScore } from './build.ts';
import { containerCapabilities } from './capabilities.ts';
import { parseDeviceRule } from './devices.ts';
import { tmpfsOptions } from './mounts.ts';
import { processDirectory } from './process.ts';
import { containerRlimits } from './rlimits.ts';
import { parseSeccompProfile } from './seccomp.ts';
import { parseSecurityOptions, securityWarnings } from './security.ts';
import { containerSysctls } from './sysctl.ts';
import { checkConfig } from './validate-config.ts';
import { checkLogConfig } from './validate-log.ts';
import { checkModes } from './validate-modes.ts';
import { validateResources } from './validate-resources.ts';

export interface ValidationFacts {
  readonly host: HostFacts;
  /** Names of the configured OCI runtimes. */
  readonly runtimes: readonly string[];
  readonly hasInit: boolean;
}

/**
 * What Docker's daemon checks of a create request, in its words, and what would fail at every start. Mounts and
 * networks are checked where they are resolved. Throws `invalid-argument`.
 */
export function validateCreate(request: ContainerCreateRequest, facts: ValidationFacts): { warnings: string[] } {
  const hostConfig = request.HostConfig ?? {};
  const warnings = [
    ...checkConfig(request),
    ...checkModes(request, hostConfig),
    ...validateResources(hostConfig, facts.host, { update: false }),
    ...checkIsolation(request, hostConfig, facts),
  ];
  checkRestartPolicy(hostConfig.RestartPolicy, hostConfig.AutoRemove === true);
  checkLogConfig(hostConfig.LogConfig);
  checkTmpfs(hostConfig.Tmpfs);
  checkHostDetails(hostConfig, facts);
  processDirectory(request.WorkingDir);
  return { warnings };
}

/** Also of `update`. Throws `invalid-argument` in Docker's words. */
export function checkRestartPolicy(policy: RestartPolicy | undefined, autoRemove: boolean): void {
  const name = policy?.Name ?? '';
  const retries = policy?.MaximumRetryCount ?? 0;
  if (!['', 'no', 'always', 'on-failure', 'unless-stopped'].includes(name)) {
    throw invalid(
      `invalid restart policy: unknown policy '${name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`,
    );
  }
  if (name !== 'on-failure' && retries !== 0) {
    throw invalid("invalid restart policy: maximum retry count can only be used with 'on-failure'");
  }
  if (retries < 0) throw invalid('invalid restart policy: maximum retry count cannot be negative');
  if (autoRemove && name !== '' && name !== 'no') {
    throw invalid("can't create 'AutoRemove' container with restart policy");
  }
}

function checkIsolation(request: ContainerCreateRequest, hostConfig: HostConfig, facts: ValidationFacts): string[] {
  const { host } = facts;
  const security = parseSecurityOptions(hostConfig.SecurityOpt ?? []);
  if (security.seccomp !== undefined && security.seccomp !== 'unconfined' && security.seccomp !== 'builtin') {
    parseSeccompProfile(security.seccomp);
  }
  checkAnnotations(hostConfig.Annotations);
  containerSysctls(hostConfig, request.Domainname);
  containerCapabilities(
    { add: hostConfig.CapAdd ?? [], drop: hostConfig.CapDrop ?? [], privileged: hostConfig.Privileged === true },
    host.capabilities,
  );
  for (const rule of hostConfig.DeviceCgroupRules ?? []) parseDeviceRule(rule);
  for (const { CgroupPermissions } of hostConfig.Devices ?? []) {
    if (!/^[rwm]{0,3}$/.test(CgroupPermissions ?? '')) {
      throw invalid(`invalid device mode: ${CgroupPermissions}: use a combination of r, w and m`);
    }
  }
  return [
    ...securityWarnings(security, host),
    ...containerRlimits(hostConfig.Ulimits ?? [], host).warnings,
    ...clampOomScore(hostConfig.OomScoreAdj ?? 0, host).warnings,
  ];
}

function checkTmpfs(tmpfs: HostConfig['Tmpfs']): void {
  for (const [destination, options] of Object.entries(tmpfs ?? {})) {
    if (!destination.startsWith('/')) throw invalid(`invalid mount path: '${destination}' mount path must be absolute`);
    if (/^[/.]*$/.test(destination)) throw invalid("invalid specification: destination can't be '/'");
    tmpfsOptions(options.split(','));
  }
}

function checkHostDetails(hostConfig: HostConfig, facts: ValidationFacts): void {
  if ((hostConfig.ShmSize ?? 0) < 0) throw invalid('SHM size can not be less than 0');
  const score = hostConfig.OomScoreAdj ?? 0;
  if (score < -1000 || score > 1000) throw invalid(`Invalid value ${score}, range for oom score adj is [-1000, 1000]`);
  const runtime = hostConfig.Runtime ?? '';
  if (runtime !== '' && !facts.runtimes.includes(runtime)) throw invalid(`unknown or invalid runtime name: ${runtime}`);
  const isolation = (hostConfig.Isolation ?? '').toLowerCase();
  if (isolation !== '' && isolation !== 'default') {
    throw invalid(`invalid isolation (${hostConfig.Isolation}): linux only supports 'default'`);
  }
  for (const option of Object.keys(hostConfig.StorageOpt ?? {})) {
    if (option !== 'size') throw invalid(`Unknown option ${option}`);
    throw invalid("--storage-opt is supported only for overlay over xfs with 'pquota' mount option");
  }
  for (const { Driver, Capabilities } of hostConfig.DeviceRequests ?? []) {
    const wanted = (Capabilities ?? []).map((list) => `[${(list ?? []).join(' ')}]`).join(' ');
    throw invalid(`could not select device driver "${Driver ?? ''}" with capabilities: [${wanted}]`);
  }
  if (hostConfig.Init === true && !facts.hasInit) {
    throw invalid('no init binary on this host for --init: install catatonit or tini (apt-get install catatonit)');
  }
}

function invalid(message: string): EngineError {
  return new EngineError('invalid-argument', message);
}
