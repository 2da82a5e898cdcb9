import { EngineError } from '../../base/errors.ts';
import type { HostFacts } from '../../linux/host-facts.ts';

/** What `--security-opt` says, taken apart. */
export interface SecurityOptions {
  readonly noNewPrivileges: boolean;
  /** `unconfined`, `builtin`, or a profile as JSON; undefined when not said. */
  readonly seccomp: string | undefined;
  readonly apparmor: string | undefined;
  readonly labels: readonly string[];
  /** `systempaths=unconfined`: nothing masked, nothing read-only. */
  readonly systemPathsUnconfined: boolean;
  /** The container may write to its own cgroups. */
  readonly writableCgroups: boolean;
  /** `no-new-privileges=false`: against what the engine's configuration may say. */
  readonly privilegesAllowed: boolean;
  /** See hardened.ts. */
  readonly hardened: boolean;
}

/** Throws `invalid-argument` in Docker's words. */
export function parseSecurityOptions(options: readonly string[]): SecurityOptions {
  const result = {
    noNewPrivileges: false,
    seccomp: undefined as string | undefined,
    apparmor: undefined as string | undefined,
    labels: [] as string[],
    systemPathsUnconfined: false,
    writableCgroups: false,
    privilegesAllowed: false,
    hardened: false,
  };
  for (const option of options) {
    if (option === 'no-new-privileges') {
      result.noNewPrivileges = true;
      continue;
    }
    if (option === 'hardened') {
      result.hardened = true;
      continue;
    }
    if (option === 'disable') {
      result.labels.push('disable');
      continue;
    }
    const cut = separator(option);
    if (cut < 0) throw new EngineError('invalid-argument', `invalid --security-opt 1: "${option}"`);
    const key = option.slice(0, cut);
    const value = option.slice(cut + 1);
    switch (key) {
      case 'label':
        result.labels.push(value);
        break;
      case 'apparmor':
        result.apparmor = value;
        break;
      case 'seccomp':
        result.seccomp = value;
        break;
      case 'no-new-privileges':
        result.noNewPrivileges = truth(value, option);
        result.privilegesAllowed = !result.noNewPrivileges;
        break;
      case 'hardened':
        result.hardened = truth(value, option);
        break;
      case 'writable-cgroups':
        result.writableCgroups = truth(value, option);
        break;
      case 'systempaths':
        if (value !== 'unconfined') throw new EngineError('invalid-argument', `invalid --security-opt 2: "${option}"`);
        result.systemPathsUnconfined = true;
        break;
      default:
        throw new EngineError('invalid-argument', `invalid --security-opt 2: "${option}"`);
    }
  }
  return result;
}

/** `=`, or the old `:` where there is no `=` before it. */
function separator(option: string): number {
  const equals = option.indexOf('=');
  return equals >= 0 ? equals : option.indexOf(':');
}

function truth(value: string, option: string): boolean {
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(value)) return true;
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(value)) return false;
  throw new EngineError('invalid-argument', `invalid --security-opt 2: "${option}"`);
}

/** Docker leaves AppArmor out then, too, and says nothing. */
export const NO_PARSER =
  'The kernel has AppArmor, but apparmor_parser is not installed (Debian: apt-get install apparmor): containers run without a profile.';

/** What the host cannot do of it. */
export function securityWarnings(options: SecurityOptions, host: Pick<HostFacts, 'apparmor' | 'selinux'>): string[] {
  const warnings: string[] = [];
  if (options.apparmor !== undefined && options.apparmor !== 'unconfined' && host.apparmor !== 'yes') {
    warnings.push(
      host.apparmor === 'no'
        ? 'AppArmor is not enabled on this host. The AppArmor profile is discarded.'
        : `${NO_PARSER} The AppArmor profile is discarded.`,
    );
  }
  if (options.labels.some((label) => label !== 'disable') && !host.selinux) {
    warnings.push('SELinux is not enabled on this host. Label options are discarded.');
  }
  return warnings;
}
