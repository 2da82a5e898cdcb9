import { isDigest, sha256 } from '../../../oci/digest.ts';
import { parseReference } from '../../../oci/reference.ts';
import { copyManifest } from '../../../registry/client/copy.ts';
import { command, CommandError } from '../../command.ts';
import { bool } from '../../flag.ts';
import { ManifestStore } from '../../manifest-store.ts';
import { namedReference, Remote } from '../../remote.ts';
import { indexOf } from '../../remote-manifest.ts';

export const push = command({
  usage: '[OPTIONS] MANIFEST_LIST',
  flags: {
    insecure: bool('Allow push to an insecure registry'),
    purge: bool('Remove the local manifest list after push', { short: 'p' }),
  },
  args: { min: 1, max: 1 },
  async run(cli, { flags, args }) {
    const store = new ManifestStore(cli);
    const list = namedReference(args[0]!);
    const manifests = store.list(list);
    if (!manifests || manifests.length === 0) throw new CommandError(`No such manifest: ${args[0]}`);
    for (const { Ref, Descriptor } of manifests) {
      if (!Descriptor.platform?.architecture || !Descriptor.platform.os)
        throw new CommandError(`manifest ${Ref} must have an OS and Architecture to be pushed to a registry`);
    }
    using remote = new Remote(cli, { insecure: flags.insecure ? [args[0]!, ...manifests.map(({ Ref }) => Ref)] : [] });
    const target = await remote.repository(list);
    for (const { Ref, Descriptor } of manifests) {
      const { digest, mediaType, size } = Descriptor;
      if (!isDigest(digest)) throw new CommandError(`the kept manifest ${Ref} has an invalid digest`);
      await copyManifest(await remote.repository(parseReference(Ref)), target, { digest, mediaType, size });
    }
    const { mediaType, text } = indexOf(manifests);
    const bytes = Buffer.from(text);
    const digest = sha256(bytes);
    await target.putManifest(list.tag ?? digest, { mediaType, digest, size: bytes.byteLength }, bytes);
    cli.print(digest);
    if (flags.purge) store.remove(list);
    return 0;
  },
});
