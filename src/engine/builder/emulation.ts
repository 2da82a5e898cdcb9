import { EngineError } from '../../base/errors.ts';
import { emulation } from '../../linux/binfmt.ts';
import { formatPlatform, hostPlatform, parsePlatform, platformDistance } from '../../oci/platform.ts';

/** Throws `unimplemented` when this machine cannot run programs for the platform, and says what can be done about it. */
export function checkEmulation(platform: string | undefined, find: typeof emulation = emulation): void {
  if (platform === undefined) return;
  const wanted = parsePlatform(platform);
  const host = hostPlatform();
  if (platformDistance(host, wanted) !== undefined) return;
  const found = find(wanted.architecture);
  if (found === 'ready') return;
  const [name, own] = [formatPlatform(wanted), formatPlatform(host)];
  const why =
    found === 'absent'
      ? `no emulator for ${wanted.architecture} is registered with binfmt_misc`
      : `the emulator for ${wanted.architecture} is registered without the flag F, so that no image has it`;
  throw new EngineError(
    'unimplemented',
    `RUN for ${name} is not possible on this ${own} machine: ${why}. Install qemu-user-static with binfmt-support, or run the step in a stage FROM --platform=$BUILDPLATFORM`,
  );
}
