import { isSignedBy, readPublicKey, type Signature, signedImage } from '../../../registry/signature/payload.ts';
import { readSignatures } from '../../../registry/signature/storage.ts';
import type { Digest } from '../../../oci/digest.ts';
import type { Cli } from '../../cli.ts';
import { command, CommandError } from '../../command.ts';
import { bool, list } from '../../flag.ts';
import { namedReference, Remote } from '../../remote.ts';
import { readKeyFile } from './keys.ts';

export const verify = command({
  usage: '[OPTIONS] IMAGE',
  description: `Verify that an image in a registry is signed with a key.
Prints what was signed, and fails when no signature is good.`,
  flags: {
    insecure: bool('Allow communication with an insecure registry'),
    key: list('Public key in PEM; one of several is enough'),
  },
  args: { min: 1, max: 1 },
  complete: 'image',
  async run(cli, { flags, args }) {
    if (flags.key.length === 0) throw new CommandError('name the public key: --key FILE');
    const keys = flags.key.map((file) => readPublicKey(readKeyFile(file)));
    const { digest, signatures } = await signaturesOf(cli, args[0]!, flags.insecure);
    const good = signatures.filter((signature) => isSignedBy(signature, digest, keys));
    if (good.length === 0) {
      const words = signatures.length === 0 ? 'it has no signature' : `it has ${signatures.length}, none of these keys`;
      throw new CommandError(`no matching signatures for ${args[0]} (${digest}): ${words}`);
    }
    cli.print(
      JSON.stringify(
        good.map(({ payload }) => JSON.parse(payload.toString('utf8')) as unknown),
        null,
        4,
      ),
    );
    return 0;
  },
});

export const inspect = command({
  usage: '[OPTIONS] IMAGE',
  description: 'Show the signatures of an image in a registry. Nothing is verified: see `gantry trust verify`.',
  flags: { insecure: bool('Allow communication with an insecure registry') },
  args: { min: 1, max: 1 },
  complete: 'image',
  async run(cli, { flags, args }) {
    const { digest, signatures } = await signaturesOf(cli, args[0]!, flags.insecure);
    const shown = signatures.map(({ payload, signature }) => ({
      Digest: signedImage(payload)?.digest ?? null,
      SaysImage: signedImage(payload)?.digest === digest,
      Payload: payload.toString('utf8'),
      Signature: signature,
    }));
    cli.print(JSON.stringify([{ Name: args[0], Digest: digest, Signatures: shown }], null, 4));
    return 0;
  },
});

async function signaturesOf(
  cli: Cli,
  name: string,
  insecure: boolean,
): Promise<{ digest: Digest; signatures: Signature[] }> {
  const reference = namedReference(name);
  using remote = new Remote(cli, { insecure: insecure ? [name] : [] });
  const { descriptor, repository } = await remote.manifest(reference);
  return { digest: descriptor.digest, signatures: await readSignatures(repository, descriptor.digest) };
}
