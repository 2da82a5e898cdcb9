import { isIndex, parseIndex } from '../../../content/children.ts';
import type { Descriptor } from '../../../oci/descriptor.ts';
import { signedBundle } from '../../../registry/signature/bundle.ts';
import { signaturePayload, signBytes } from '../../../registry/signature/payload.ts';
import { writeBundle, writeSignature } from '../../../registry/signature/storage.ts';
import { command, CommandError } from '../../command.ts';
import { bool, list, string } from '../../flag.ts';
import { namedReference, Remote } from '../../remote.ts';
import { readPrivateKey } from './keys.ts';

export const sign = command({
  usage: '[OPTIONS] IMAGE',
  description: `Sign an image in its registry with a key of this machine.
The signature is cosign's, in its older form and as a bundle: \`cosign verify --key\` of any version reads it. It is
stored beside the image, and says its digest.`,
  examples: `gantry push registry.lan/team/app:1
gantry trust sign --key team.key registry.lan/team/app:1`,
  flags: {
    annotation: list('Add KEY=VALUE to what is signed', { short: 'a' }),
    insecure: bool('Allow communication with an insecure registry'),
    key: string('Private key in PEM, ECDSA on P-256', { complete: 'file' }),
    recursive: bool('Sign every manifest of an index too', { short: 'r' }),
  },
  args: { min: 1, max: 1 },
  complete: 'image',
  async run(cli, { flags, args }) {
    if (flags.key === '') throw new CommandError('name the private key: --key FILE (`gantry trust keygen` makes one)');
    const annotations = Object.fromEntries(
      flags.annotation.map((word) => {
        const at = word.indexOf('=');
        if (at < 1) throw new CommandError(`invalid annotation ${JSON.stringify(word)}: expected KEY=VALUE`);
        return [word.slice(0, at), word.slice(at + 1)];
      }),
    );
    const reference = namedReference(args[0]!);
    const key = await readPrivateKey(cli, flags.key);
    using remote = new Remote(cli, { insecure: flags.insecure ? args : [] });
    const repository = await remote.repository(reference);
    const { descriptor, bytes } = await repository.manifest(reference.digest ?? reference.tag!);
    const children = flags.recursive && isIndex(descriptor.mediaType) ? parseIndex(bytes).manifests : [];
    for (const target of [descriptor, ...children] as readonly Descriptor[]) {
      const payload = signaturePayload(reference.repository, target.digest, annotations);
      await writeSignature(repository, target, signBytes(key, payload));
      await writeBundle(repository, target, signedBundle(key, target.digest, annotations));
      cli.print(`Signed ${reference.repository}@${target.digest}`);
    }
    return 0;
  },
});
