import type { ContainerCreateRequest } from '../../api/container.ts';
import type { HostFacts } from '../../linux/host-facts.ts';
import { checkAnnotations } from './annotations.ts';
import { clampOomScore } from './build.ts';
import { containerCapabilities } from './capabilities.ts';
import { containerRlimits } from './rlimits.ts';
import { parseSecurityOptions, securityWarnings } from './security.ts';
import { containerSysctls } from './sysctl.ts';

export interface ValidationFacts {
  readonly host: HostFacts;
  /** Names of the configured OCI runtimes. */
  readonly runtimes: readonly string[];
  readonly hasInit: boolean;
}

/** What Docker's daemon checks of a create request, in its words. Throws `invalid-argument`. */
export function validateCreate(request: ContainerCreateRequest, facts: ValidationFacts): { warnings: string[] } {
  const { host } = facts;
  const hostConfig = request.HostConfig ?? {};
  const security = parseSecurityOptions(hostConfig.SecurityOpt ?? []);
  checkAnnotations(hostConfig.Annotations);
  containerSysctls(hostConfig, request.Domainname);
  containerCapabilities(
    { add: hostConfig.CapAdd ?? [], drop: hostConfig.CapDrop ?? [], privileged: hostConfig.Privileged === true },
    host.capabilities,
  );
  return {
    warnings: [
      ...securityWarnings(security, host),
      ...containerRlimits(hostConfig.Ulimits ?? [], host).warnings,
      ...clampOomScore(hostConfig.OomScoreAdj ?? 0, host).warnings,
    ],
  };
}
