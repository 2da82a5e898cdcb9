import { EngineError } from '../../base/errors.ts';
import { type Emulation, emulation } from '../../linux/binfmt.ts';
import type { Platform } from '../../oci/descriptor.ts';
import { formatPlatform, hostPlatform, parsePlatform, samePlatform } from '../../oci/platform.ts';

/** What Debian and Ubuntu call the architecture of a platform (dpkg-architecture(1)). */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  'linux/amd64': 'amd64',
  'linux/386': 'i386',
  'linux/arm64': 'arm64',
  'linux/arm/v7': 'armhf',
  'linux/arm/v5': 'armel',
  'linux/ppc64le': 'ppc64el',
  'linux/s390x': 's390x',
  'linux/riscv64': 'riscv64',
  'linux/mips64le': 'mips64el',
  'linux/loong64': 'loong64',
};
/** What a processor runs beside its own. */
const ALSO: Readonly<Record<string, readonly string[]>> = { amd64: ['386'], arm64: [] };

export interface PackagePlatform {
  readonly platform: Platform;
  readonly architecture: string;
}

/**
 * The platform that packages are asked for; undefined is this machine's own. Installing a package runs its scripts, so the
 * machine has to run programs of that platform. Throws `invalid-argument`, `unimplemented`.
 */
export function packagePlatform(
  asked: string | undefined,
  { host = hostPlatform(), find = emulation }: { host?: Platform; find?: (architecture: string) => Emulation } = {},
): PackagePlatform | undefined {
  if (asked === undefined) return undefined;
  const platform = parsePlatform(asked, host);
  if (samePlatform(platform, host)) return undefined;
  const name = formatPlatform(platform);
  const architecture = ARCHITECTURES[name];
  if (architecture === undefined)
    throw new EngineError(
      'invalid-argument',
      `there are no packages for ${name}: want one of ${Object.keys(ARCHITECTURES).join(', ')}`,
    );
  const native = ALSO[host.architecture]?.includes(platform.architecture) === true;
  const found = native ? 'ready' : find(platform.architecture);
  if (found !== 'ready') {
    const why =
      found === 'absent'
        ? `no emulator for ${platform.architecture} is registered with binfmt_misc`
        : `the emulator for ${platform.architecture} is registered without the flag F`;
    throw new EngineError(
      'unimplemented',
      `a base for ${name} cannot be made on this ${formatPlatform(host)} machine: packages run scripts when they are installed, and ${why}. Install qemu-user-static with binfmt-support`,
    );
  }
  return { platform, architecture };
}
