import { isIndex } from '../../../content/children.ts';
import { command, CommandError } from '../../command.ts';
import { bool } from '../../flag.ts';
import { ManifestStore } from '../../manifest-store.ts';
import { namedReference, Remote, shownName } from '../../remote.ts';
import { listedManifest } from '../../remote-manifest.ts';
import { noSuchManifest } from './words.ts';

export const create = command({
  usage: 'MANIFEST_LIST MANIFEST [MANIFEST...]',
  examples: `# One name for two platforms
gantry manifest create registry.lan/app:1 registry.lan/app:1-amd64 registry.lan/app:1-arm64
gantry manifest push registry.lan/app:1`,
  flags: {
    amend: bool('Amend an existing manifest list', { short: 'a' }),
    insecure: bool('Allow communication with an insecure registry'),
  },
  args: { min: 2 },
  async run(cli, { flags, args }) {
    const [list, ...manifests] = args.map(namedReference);
    const store = new ManifestStore(cli);
    if (store.list(list!) && !flags.amend)
      throw new CommandError('refusing to amend an existing manifest list with no --amend flag');
    using remote = new Remote(cli, { insecure: flags.insecure ? args : [] });
    // All are looked at before one is kept.
    const found = [];
    for (const reference of manifests) {
      const manifest = await remote.manifest(reference).catch((error: unknown) => noSuchManifest(reference, error));
      if (isIndex(manifest.descriptor.mediaType)) throw new CommandError(`${shownName(reference)} is a manifest list`);
      found.push({ reference, document: await listedManifest(reference, manifest, manifest.repository) });
    }
    for (const { reference, document } of found) store.put(list!, reference, document);
    cli.print(`Created manifest list ${shownName(list!)}`);
    return 0;
  },
});
