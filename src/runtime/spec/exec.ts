import type { ContainerConfig, HostConfig } from '../../api/container.ts';
import { EngineError } from '../../base/errors.ts';
import type { HostFacts } from '../../linux/host-facts.ts';
import { containerProfile, kernelProfile } from './apparmor-profile.ts';
import { capabilitySets } from './build.ts';
import { containerCapabilities } from './capabilities.ts';
import type { ProcessSpec } from './oci-spec.ts';
import { processEnvironment } from './process.ts';
import { parseSecurityOptions } from './security.ts';
import type { ContainerUser } from './user.ts';

export interface ExecProcessInput {
  readonly args: readonly string[];
  /** Over the container's environment. */
  readonly env: readonly string[];
  /** Empty is the container's. */
  readonly workingDir: string;
  readonly tty: boolean;
  readonly privileged: boolean;
  readonly user: ContainerUser;
  /** The container's own. */
  readonly config: ContainerConfig;
  readonly hostname: string;
  readonly hostConfig: HostConfig;
  readonly host: HostFacts;
}

/**
 * A further process in a container: it has the container's confinement, not the engine's. `privileged` gives it all
 * capabilities, but leaves the container's seccomp filter as it is. Throws `invalid-argument`.
 */
export function execProcess(input: ExecProcessInput): ProcessSpec {
  if (input.args.length === 0) throw new EngineError('invalid-argument', 'No exec command specified');
  const { hostConfig, host, user } = input;
  const cwd = input.workingDir || input.config.WorkingDir || '/';
  if (!cwd.startsWith('/')) {
    throw new EngineError('invalid-argument', 'OCI runtime exec failed: exec failed: Cwd must be an absolute path');
  }
  const capabilities = containerCapabilities(
    {
      add: hostConfig.CapAdd ?? [],
      drop: hostConfig.CapDrop ?? [],
      privileged: input.privileged || hostConfig.Privileged === true,
    },
    host.capabilities,
  );
  const security = parseSecurityOptions(hostConfig.SecurityOpt ?? []);
  return {
    ...(input.tty ? { terminal: true } : {}),
    user: { uid: user.uid, gid: user.gid, additionalGids: [...user.additionalGids] },
    args: [...input.args],
    env: processEnvironment([...(input.config.Env ?? []), ...input.env], {
      hostname: input.hostname,
      tty: input.tty,
      user,
    }),
    cwd,
    capabilities: capabilitySets(capabilities),
    ...(security.noNewPrivileges ? { noNewPrivileges: true } : {}),
    ...(host.apparmor === 'yes'
      ? { apparmorProfile: kernelProfile(containerProfile(security.apparmor, hostConfig.Privileged === true)) }
      : {}),
  };
}
