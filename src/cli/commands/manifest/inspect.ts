import { isIndex } from '../../../content/children.ts';
import { command, CommandError } from '../../command.ts';
import { bool } from '../../flag.ts';
import { ManifestStore } from '../../manifest-store.ts';
import { namedReference, Remote } from '../../remote.ts';
import { indexEntries, indexOf, listedManifest, manifestFields } from '../../remote-manifest.ts';
import { noSuchManifest } from './words.ts';

export const inspect = command({
  usage: '[OPTIONS] [MANIFEST_LIST] MANIFEST',
  flags: {
    insecure: bool('Allow communication with an insecure registry'),
    verbose: bool('Output additional info including layers and platform', { short: 'v' }),
  },
  args: { min: 1, max: 2 },
  async run(cli, { flags, args }) {
    const store = new ManifestStore(cli);
    const show = (value: unknown, indent: number | string): void => cli.print(JSON.stringify(value, null, indent));
    const reference = namedReference(args.at(-1)!);
    if (args.length === 2) {
      // One of a list that is being made here, else the registry's.
      const kept = store.get(namedReference(args[0]!), reference);
      if (kept) {
        show(flags.verbose ? kept : manifestFields(Buffer.from(kept.Raw, 'base64')), '\t');
        return 0;
      }
    }
    const local = args.length === 1 ? store.list(reference) : undefined;
    if (local) {
      if (local.length === 0) throw new CommandError(`No such manifest: ${args[0]}`);
      if (flags.verbose) show(local, '\t');
      else cli.print(indexOf(local).text);
      return 0;
    }
    using remote = new Remote(cli, { insecure: flags.insecure ? args : [] });
    const found = await remote.manifest(reference).catch((error: unknown) => noSuchManifest(reference, error));
    if (isIndex(found.descriptor.mediaType)) {
      if (flags.verbose) show(await indexEntries(reference, found, found.repository), '\t');
      else show(indexFields(JSON.parse(found.bytes.toString('utf8')) as Record<string, unknown>), 3);
    } else if (flags.verbose) {
      show(await listedManifest(reference, found, found.repository), '\t');
    } else {
      show(manifestFields(found.bytes), '\t');
    }
    return 0;
  },
});

/** As docker orders a descriptor's fields. */
function indexFields(index: Record<string, unknown>): Record<string, unknown> {
  const manifests = (index['manifests'] as Record<string, unknown>[]).map(({ mediaType, digest, size, ...rest }) => ({
    mediaType,
    size,
    digest,
    ...rest,
  }));
  return { ...index, manifests };
}
