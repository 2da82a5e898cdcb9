import { EngineError } from '../../base/errors.ts';
import { emulation } from '../../linux/binfmt.ts';
import { hostX86Level } from '../../linux/cpu-level.ts';
import type { Platform } from '../../oci/descriptor.ts';
import { formatPlatform, hostPlatform, parsePlatform, platformDistance } from '../../oci/platform.ts';

/** This machine's platform with what its processor has beyond the least of its kind: programs of all variants up to it run. */
function runningPlatform(): Platform {
  const host = hostPlatform();
  return host.architecture === 'amd64' ? { ...host, variant: `v${hostX86Level()}` } : host;
}

/** This machine's platform, and those variants of it that its processor has as well: `linux/amd64`, `linux/amd64/v2`. */
export function runnableVariants(): string[] {
  const own = formatPlatform(hostPlatform());
  return [own, ...Array.from({ length: hostX86Level() - 1 }, (_, n) => `${own}/v${n + 2}`)];
}

/** Throws `unimplemented` when this machine cannot run programs for the platform, and says what can be done about it. */
export function checkEmulation(platform: string | undefined, find: typeof emulation = emulation): void {
  if (platform === undefined) return;
  const wanted = parsePlatform(platform);
  const host = runningPlatform();
  if (platformDistance(host, wanted) !== undefined) return;
  if (wanted.architecture === host.architecture)
    throw new EngineError(
      'unimplemented',
      `RUN for ${formatPlatform(wanted)} is not possible on this machine: its processor runs ${runnableVariants().join(', ')}`,
    );
  const found = find(wanted.architecture);
  if (found === 'ready') return;
  const [name, own] = [formatPlatform(wanted), formatPlatform(hostPlatform())];
  const why =
    found === 'absent'
      ? `no emulator for ${wanted.architecture} is registered with binfmt_misc`
      : `the emulator for ${wanted.architecture} is registered without the flag F, so that no image has it`;
  throw new EngineError(
    'unimplemented',
    `RUN for ${name} is not possible on this ${own} machine: ${why}. Install qemu-user-static with binfmt-support, or run the step in a stage FROM --platform=$BUILDPLATFORM`,
  );
}
