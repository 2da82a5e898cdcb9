import { EngineError } from '../../base/errors.ts';
import type { HostFacts } from '../../linux/host-facts.ts';
import type { LinuxSeccomp } from './oci-spec.ts';
import { defaultSeccompProfile } from './seccomp-default.ts';

/**
 * A profile in Docker's form: the runtime specification's, and beside it rules that hold only on some architectures,
 * kernels, or with some capabilities (docs: docker.com, "Seccomp security profiles").
 */
export interface SeccompProfile {
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number;
  readonly architectures?: readonly string[] | null;
  readonly archMap?:
    | readonly { readonly architecture: string; readonly subArchitectures?: readonly string[] | null }[]
    | null;
  readonly flags?: readonly string[];
  readonly syscalls?: readonly SeccompRule[] | null;
}

export interface SeccompRule {
  readonly names?: readonly string[];
  /** The old form, one rule a name. */
  readonly name?: string;
  readonly action: string;
  readonly errnoRet?: number;
  readonly args?: readonly SeccompArgument[] | null;
  readonly includes?: SeccompCondition;
  readonly excludes?: SeccompCondition;
}

export interface SeccompArgument {
  readonly index: number;
  readonly value: number;
  readonly valueTwo?: number;
  readonly op: string;
}

export interface SeccompCondition {
  readonly caps?: readonly string[];
  /** Go's names: `amd64`. */
  readonly arches?: readonly string[];
  /** `4.8`: this kernel or newer. */
  readonly minKernel?: string;
}

export interface SeccompFacts {
  readonly host: Pick<HostFacts, 'architecture' | 'kernel' | 'seccomp'>;
  /** The container's. */
  readonly capabilities: readonly string[];
}

/**
 * The filter for `setting`: undefined or `builtin` is Docker's default, `unconfined` none, anything else a profile as
 * JSON. Undefined when there is none to be set. Throws `invalid-argument`.
 */
export function containerSeccomp(setting: string | undefined, facts: SeccompFacts): LinuxSeccomp | undefined {
  if (setting === 'unconfined') return undefined;
  const own = setting !== undefined && setting !== '' && setting !== 'builtin';
  if (!facts.host.seccomp) {
    if (own) {
      throw new EngineError(
        'invalid-argument',
        'seccomp is not enabled in your kernel, cannot run a custom seccomp profile',
      );
    }
    return undefined;
  }
  return evaluateProfile(own ? parseSeccompProfile(setting) : defaultSeccompProfile(), facts);
}

/** Throws `invalid-argument` in Docker's words. */
export function parseSeccompProfile(text: string): SeccompProfile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw badProfile((error as Error).message);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw badProfile('not an object');
  const profile = value as Partial<Record<keyof SeccompProfile, unknown>>;
  if (typeof profile.defaultAction !== 'string') throw badProfile('defaultAction is missing');
  for (const key of ['architectures', 'archMap', 'syscalls', 'flags'] as const) {
    if (profile[key] != null && !Array.isArray(profile[key])) throw badProfile(`${key} is not an array`);
  }
  if (notEmpty(profile.architectures) && notEmpty(profile.archMap)) {
    throw badProfile('both architectures and archMap are specified in the seccomp profile, use only one');
  }
  for (const rule of (profile.syscalls ?? []) as unknown[]) checkRule(rule);
  return value as SeccompProfile;
}

function checkRule(rule: unknown): void {
  if (typeof rule !== 'object' || rule === null) throw badProfile('a rule is not an object');
  const { name, names, action, args } = rule as Partial<Record<keyof SeccompRule, unknown>>;
  if (typeof action !== 'string') throw badProfile('a rule has no action');
  if (name !== undefined && notEmpty(names)) {
    throw badProfile("both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'");
  }
  const list = Array.isArray(names) ? names : name === undefined ? [] : [name];
  if (!list.every((item) => typeof item === 'string')) throw badProfile('names of system calls must be strings');
  if (args != null && !Array.isArray(args)) throw badProfile('args is not an array');
}

function notEmpty(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0;
}

function badProfile(reason: string): EngineError {
  return new EngineError('invalid-argument', `Decoding seccomp profile failed: ${reason}`);
}

/** To the runtime's form: the rules that hold here, without their conditions. */
export function evaluateProfile(profile: SeccompProfile, facts: SeccompFacts): LinuxSeccomp {
  const filter: LinuxSeccomp = { defaultAction: profile.defaultAction };
  if (profile.defaultErrnoRet !== undefined) filter.defaultErrnoRet = profile.defaultErrnoRet;
  const architectures = profile.architectures?.length ? [...profile.architectures] : mapArchitectures(profile, facts);
  if (architectures.length > 0) filter.architectures = architectures;
  if (profile.flags?.length) filter.flags = [...profile.flags];
  filter.syscalls = (profile.syscalls ?? []).filter((rule) => ruleHolds(rule, facts)).map(plainRule);
  return filter;
}

const SECCOMP_ARCHITECTURES: Readonly<Record<string, string>> = {
  amd64: 'SCMP_ARCH_X86_64',
  '386': 'SCMP_ARCH_X86',
  arm64: 'SCMP_ARCH_AARCH64',
  arm: 'SCMP_ARCH_ARM',
  ppc64le: 'SCMP_ARCH_PPC64LE',
  s390x: 'SCMP_ARCH_S390X',
  riscv64: 'SCMP_ARCH_RISCV64',
  loong64: 'SCMP_ARCH_LOONGARCH64',
};

function mapArchitectures(profile: SeccompProfile, facts: SeccompFacts): string[] {
  const native = SECCOMP_ARCHITECTURES[facts.host.architecture];
  const entry = (profile.archMap ?? []).find((item) => item.architecture === native);
  return entry ? [entry.architecture, ...(entry.subArchitectures ?? [])] : [];
}

function ruleHolds(rule: SeccompRule, facts: SeccompFacts): boolean {
  const { includes, excludes } = rule;
  const arch = facts.host.architecture;
  if (excludes?.arches?.includes(arch) === true) return false;
  if (excludes?.caps?.some((cap) => facts.capabilities.includes(cap)) === true) return false;
  if (excludes?.minKernel !== undefined && kernelAtLeast(excludes.minKernel, facts)) return false;
  if (includes?.arches?.length && !includes.arches.includes(arch)) return false;
  if (includes?.caps?.some((cap) => !facts.capabilities.includes(cap)) === true) return false;
  return includes?.minKernel === undefined || kernelAtLeast(includes.minKernel, facts);
}

function kernelAtLeast(version: string, facts: SeccompFacts): boolean {
  const match = /^(\d+)\.(\d+)$/.exec(version);
  if (!match) throw badProfile(`invalid kernel version "${version}"`);
  const { major, minor } = facts.host.kernel;
  return major !== Number(match[1]) ? major > Number(match[1]) : minor >= Number(match[2]);
}

function plainRule(rule: SeccompRule): NonNullable<LinuxSeccomp['syscalls']>[number] {
  const plain: NonNullable<LinuxSeccomp['syscalls']>[number] = {
    names: [...(rule.names ?? (rule.name === undefined ? [] : [rule.name]))],
    action: rule.action,
  };
  if (rule.errnoRet !== undefined) plain.errnoRet = rule.errnoRet;
  if (rule.args?.length) plain.args = rule.args.map((argument) => ({ ...argument }));
  return plain;
}
