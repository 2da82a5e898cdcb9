import type { Platform } from '../../../oci/descriptor.ts';
import { command, CommandError } from '../../command.ts';
import { string, strings } from '../../flag.ts';
import { ManifestStore } from '../../manifest-store.ts';
import { namedReference } from '../../remote.ts';
import { isKnownPlatform } from './platforms.ts';

export const annotate = command({
  usage: '[OPTIONS] MANIFEST_LIST MANIFEST',
  flags: {
    arch: string('Set architecture'),
    os: string('Set operating system'),
    'os-features': strings('Set operating system feature'),
    'os-version': string('Set operating system version'),
    variant: string('Set architecture variant'),
  },
  args: { min: 2, max: 2 },
  async run(cli, { flags, args }) {
    const [list, manifest] = args.map(namedReference);
    const store = new ManifestStore(cli);
    const kept = store.get(list!, manifest!);
    if (!kept) throw new CommandError(`manifest for image ${args[1]} does not exist in ${args[0]}`);
    const before = kept.Descriptor.platform;
    const platform = {
      architecture: flags.arch || before?.architecture || '',
      os: flags.os || before?.os || '',
      ...(flags['os-version'] || before?.['os.version']
        ? { 'os.version': flags['os-version'] || before?.['os.version'] }
        : {}),
      ...(flags['os-features'].length > 0 || before?.['os.features']
        ? { 'os.features': [...new Set([...(before?.['os.features'] ?? []), ...flags['os-features']])] }
        : {}),
      ...(flags.variant || before?.variant ? { variant: flags.variant || before?.variant } : {}),
    } as Platform;
    if (!isKnownPlatform(platform)) {
      throw new CommandError(
        `manifest entry for image has unsupported os/arch combination: ${platform.os}/${platform.architecture}`,
      );
    }
    store.put(list!, manifest!, { ...kept, Descriptor: { ...kept.Descriptor, platform } });
    return 0;
  },
});
