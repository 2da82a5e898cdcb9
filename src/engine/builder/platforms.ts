import type { BuildPlan } from '../../build/plan.ts';
import { formatPlatform, parsePlatform } from '../../oci/platform.ts';
import { readEmulations } from '../../linux/binfmt.ts';
import { checkEmulation, runnableVariants } from './emulation.ts';

/** Platforms whose programs steps can run here: this machine's, and those that it has an emulator for. */
export function runnablePlatforms(): string[] {
  const emulations = readEmulations();
  const others = FOREIGN.filter((platform) => {
    try {
      checkEmulation(platform, emulations);
      return true;
    } catch {
      return false;
    }
  });
  return [...new Set([...runnableVariants(), ...others])];
}

const FOREIGN = [
  'linux/amd64',
  'linux/386',
  'linux/arm64',
  'linux/arm/v7',
  'linux/arm/v6',
  'linux/riscv64',
  'linux/ppc64le',
  'linux/s390x',
  'linux/mips64le',
  'linux/loong64',
];

/** `linux/amd64,linux/arm64`; undefined is this host's. Throws `invalid-argument`. */
export function platformsOf(text: string | undefined): (string | undefined)[] {
  const asked = (text ?? '').split(',').map((one) => one.trim());
  const known = [...new Set(asked.filter((one) => one !== '').map((one) => formatPlatform(parsePlatform(one))))];
  return known.length === 0 ? [undefined] : known;
}

/** What the target's image is for: what its base was asked to be for, where the file says so. */
export function targetPlatform({ stages }: BuildPlan, asked: string): string {
  let at = stages.at(-1);
  while (at && at.platform === undefined && at.base.kind === 'stage') {
    const { index } = at.base;
    at = stages.find((stage) => stage.index === index);
  }
  return at?.platform === undefined ? asked : formatPlatform(parsePlatform(at.platform));
}

/** TARGETPLATFORM and its like for `linux/arm64/v8`; this host's without one. */
export function platformArguments(platform: string | undefined): Map<string, string> {
  const host = `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`;
  const describe = (prefix: string, text: string): [string, string][] => {
    const [os = '', arch = '', variant = ''] = text.split('/');
    return [
      [`${prefix}PLATFORM`, text],
      [`${prefix}OS`, os],
      [`${prefix}ARCH`, arch],
      [`${prefix}VARIANT`, variant],
    ];
  };
  return new Map([...describe('TARGET', platform || host), ...describe('BUILD', host)]);
}
